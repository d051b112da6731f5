"""Figures of sets of crystals."""

from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._lazy import needed
from skcgcnn._text import wrapped
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.plotting._axes import BLUE, get_axes, with_unit


def embedding_map(
    embeddings: npt.ArrayLike,
    values: npt.ArrayLike | None = None,
    *,
    method: str = "pca",
    name: str = "",
    unit: str = "",
    ax: Any = None,
) -> Any:
    """Draw crystals as points in a plane, near where the network finds them alike.

    Parameters
    ----------
    embeddings : array-like of shape (n_crystals, n_features)
        What ``est.transform`` returns; rows with NaN are left out.
    values : array-like of shape (n_crystals,), optional
        Numbers that color the points, or labels, each of which has a color.
    method : {"pca", "umap"}, default="pca"
        Principal components, or UMAP (``pip install umap-learn``).
    name, unit : str, optional
        What the values are.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        If UMAP is asked for and not installed.
    TypeError
        If they are graphs.
    ValueError
        If there is no such method, fewer than two crystals or features, or the values are of other
        crystals.

    Examples
    --------
    >>> import numpy as np
    >>> ax = embedding_map(np.random.default_rng(0).normal(size=(20, 5)), np.arange(20))
    >>> ax.get_xlabel()[:21]
    'principal component 1'
    """
    if isinstance(embeddings, CrystalGraphs):
        raise TypeError("embeddings are graphs; pass est.transform(graphs)")
    rows = np.asarray(embeddings, dtype=float)
    if rows.ndim != 2 or rows.shape[1] < 2:
        raise ValueError(
            f"embeddings has shape {rows.shape}; expected (n_crystals, n_features), with at least "
            "2 features"
        )
    if values is not None and np.shape(values) != (len(rows),):
        raise ValueError(
            f"values has shape {np.shape(values)}; expected one value for each of {len(rows)} "
            "crystals"
        )
    known = np.isfinite(rows).all(axis=1)
    if known.sum() < 2:
        raise ValueError(f"{known.sum()} crystals have embeddings; at least 2 are needed")
    scaled = (rows[known] - rows[known].mean(axis=0)) / (rows[known].std(axis=0) + 1e-12)
    ax = get_axes(ax, (5.0, 3.8))
    points, labels = _project(scaled, method)
    style = {"s": 14, "edgecolors": "none"}
    if values is None:
        ax.scatter(*points.T, color=BLUE, **style)
    elif np.issubdtype(np.asarray(values).dtype, np.number):
        shown = ax.scatter(*points.T, c=np.asarray(values)[known], cmap="viridis", **style)
        ax.figure.colorbar(shown, ax=ax, label=with_unit(name, unit))
    else:
        own = np.asarray(values).astype(str)[known]
        for place, label in enumerate(np.unique(own)):
            ax.scatter(
                *points[own == label].T, color=f"C{place % 10}", label=wrapped(label, 24), **style
            )
        place_beside = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}  # it would cover points
        ax.legend(title=with_unit(name, unit), frameon=False, fontsize="small", **place_beside)
    ax.set(xlabel=labels[0], ylabel=labels[1])
    return ax


def _project(rows: npt.NDArray[np.float64], method: str) -> tuple[Any, list[str]]:
    if method == "pca":
        from sklearn.decomposition import PCA

        pca = PCA(2, svd_solver="full")
        points = pca.fit_transform(rows)
        shares = pca.explained_variance_ratio_
        return points, [f"principal component {i + 1} ({s:.0%})" for i, s in enumerate(shares)]
    if method == "umap":
        with needed('method="umap" needs UMAP', "umap-learn"):
            from umap import UMAP
        return UMAP(random_state=0).fit_transform(rows), ["UMAP 1", "UMAP 2"]
    raise ValueError(f'method={method!r}; expected "pca" or "umap"')


def crystal_sizes(n_sites: CrystalGraphs | npt.ArrayLike, *, ax: Any = None) -> Any:
    """Draw how many crystals have how many sites.

    Parameters
    ----------
    n_sites : CrystalGraphs, or array-like of shape (n_crystals,)
        Graphs, of which those without sites could not be read and are left out; or numbers.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> crystal_sizes([2, 8, 8]).get_ylabel()
    'crystals'
    """
    if isinstance(n_sites, CrystalGraphs):
        n_sites = n_sites.n_sites[n_sites.n_sites > 0]
    sizes = np.asarray(n_sites)
    ax = get_axes(ax)
    ax.hist(sizes, bins=min(40, len(np.unique(sizes)) + 1), color=BLUE)
    ax.set(xlabel="sites per crystal", ylabel="crystals")
    return ax
