"""Figures of elements and of single crystals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._lazy import needed
from skcgcnn._text import for_figures
from skcgcnn.crystals import read_crystal
from skcgcnn.plotting._axes import get_axes


def elements(
    values: Mapping[str, float],
    *,
    label: str = "",
    center: float | None = None,
    log: bool = False,
    ax: Any = None,
) -> Any:
    """Draw a number for each element on the periodic table.

    Parameters
    ----------
    values : mapping of str to float
        By symbol; other symbols are left out.
    label : str, optional
        What the numbers are.
    center : float, optional
        Where colors change from blue to red; by default they go from low to high.
    log : bool, default=False
        Whether colors go by the logarithm of the numbers, such as counts; not with `center`.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        If the numbers are not by symbol.
    ValueError
        If both `log` and `center` are given.

    Examples
    --------
    >>> ax = elements({"Na": 4, "Cl": 4}, label="sites")
    >>> len(ax.texts)
    118
    """
    from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm
    from matplotlib.ticker import NullFormatter
    from pymatgen.core import Element

    if not isinstance(values, Mapping):
        raise TypeError(
            f"values is of type {type(values).__name__}; expected numbers by symbol, such as "
            '{"Na": 4, "Cl": 4}'
        )
    if log and center is not None:
        raise ValueError("elements takes log=True or center, not both")
    ax = get_axes(ax, (8.0, 4.4))
    table, symbols = np.full((9, 18), np.nan), {}
    for number in range(1, 119):
        element = Element.from_Z(number)
        place = _place(number, element)
        table[place], symbols[place] = values.get(element.symbol, np.nan), element.symbol
    if log:
        table[table <= 0] = np.nan
    known = table[np.isfinite(table)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    norm: Normalize
    if log and len(known):
        norm, colors = LogNorm(low, high if high > low else 10 * low), "YlOrBr"
    elif center is None:
        norm, colors = Normalize(low, high if high > low else low + 1), "YlOrBr"
    else:
        reach = max(high - center, center - low) or abs(center) or 1.0
        norm, colors = TwoSlopeNorm(center, center - reach, center + reach), "RdBu_r"
    shown = ax.imshow(table, cmap=colors, norm=norm)
    for (row, column), symbol in symbols.items():
        color = _text_color(shown, table[row, column])
        ax.text(column, row, symbol, ha="center", va="center", fontsize="x-small", color=color)
    bar = ax.figure.colorbar(shown, ax=ax, shrink=0.7, label=for_figures(label))
    if log:
        bar.ax.yaxis.set_major_formatter("{x:g}")
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax


def _text_color(shown: Any, value: float) -> str:
    """Return a color that can be read on that of a value."""
    if np.isnan(value):
        return "0.35"
    red, green, blue, _ = shown.cmap(shown.norm(value))
    return "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.45 else "black"


def _place(number: int, element: Any) -> tuple[int, int]:
    """Return row and column; lanthanoids and actinoids stand below."""
    for first, last, row in ((57, 71, 7), (89, 103, 8)):
        if first <= number <= last:
            return row, number - first + 2
    return element.row - 1, element.group - 1


def crystal(
    structure: Any,
    site_values: npt.ArrayLike | None = None,
    *,
    label: str = "",
    rotation: str = "-75x,10y,0z",
    ax: Any = None,
) -> Any:
    """Draw a crystal, its sites colored by element or by numbers. Needs ASE.

    Parameters
    ----------
    structure : pymatgen Structure, ASE Atoms, or path of a file
        The crystal; a mixed site is drawn as its most frequent element.
    site_values : array-like of shape (n_sites,), optional
        Numbers that color the sites, for example of `site_contributions`: red above 0, blue below.
    label : str, optional
        What the numbers are.
    rotation : str, default="-75x,10y,0z"
        From where to look, see ``ase.visualize.plot.plot_atoms``.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        If ASE is not installed.
    StructureError
        If it is not a crystal.
    ValueError
        If `site_values` has not one number for each site.

    Examples
    --------
    >>> from pymatgen.core import Lattice, Structure
    >>> cscl = Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> ax = crystal(cscl, [0.5, -0.5], label="contribution (eV)")
    """
    with needed("drawing crystals needs ASE", "skcgcnn[ase]"):
        from ase import Atoms
        from ase.visualize.plot import plot_atoms

    read = read_crystal(structure)
    # The first of elements with equal shares.
    elements = [max(site, key=lambda pair: pair[1])[0] for site in read.species]
    atoms = Atoms(elements, positions=read.coords, cell=read.lattice)
    if site_values is not None and np.shape(site_values) != (len(atoms),):
        raise ValueError(
            f"site_values has shape {np.shape(site_values)}; expected one number for each of "
            f"{len(atoms)} sites"
        )
    ax = get_axes(ax)
    colors = None
    if site_values is not None:
        import matplotlib as mpl

        numbers = np.asarray(site_values, dtype=float)
        reach = float(np.abs(numbers).max()) or 1.0
        scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(-reach, reach), "RdBu_r")
        colors = scale.to_rgba(numbers)[:, :3]
        ax.figure.colorbar(scale, ax=ax, shrink=0.7, label=for_figures(label))
    plot_atoms(atoms, ax, rotation=rotation, colors=colors)
    ax.set_axis_off()
    return ax
