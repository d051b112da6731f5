"""The transformer from crystals to crystal graphs."""

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral, Real
from os import PathLike, fspath
from typing import Any, ClassVar, Self

from joblib import Parallel, delayed, effective_n_jobs
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_memory
from tqdm.auto import tqdm

from skcgcnn._sklearn import HasMethods, Interval, StrOptions
from skcgcnn.crystals import list_sources
from skcgcnn.exceptions import StructureError, describe_failures, describe_notes
from skcgcnn.graphs._build import Chunk, GraphOptions, build_chunk
from skcgcnn.graphs._elements import load_element_features
from skcgcnn.graphs._graphs import CrystalGraphs, concatenate

__all__ = ["CHUNK", "CrystalGraphTransformer", "read_ahead"]

# Large enough that sending a chunk to a worker costs little next to the work, small enough that
# the progress bar moves and the workers finish together.
CHUNK = 500


class CrystalGraphTransformer(TransformerMixin, BaseEstimator):
    """Turn crystals into crystal graphs.

    Every site is wired to its `max_num_nbr` nearest neighbours, periodic images included, and
    carries the features of its element (Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018)).
    A partially occupied site carries the occupancy-weighted mean over its elements; a vacant
    share weighs nothing.

    Parameters
    ----------
    radius : float, default=8.0
        Where the search for neighbours begins, in Å. It grows for sites that have fewer than
        `max_num_nbr` neighbours within it.
    max_num_nbr : int, default=12
        Number of neighbours a site.
    atom_features : None, path or mapping, default=None
        Features of the elements. None is the built-in table of 92; a path names a JSON file in
        the layout of CGCNN's ``atom_init.json``; a mapping gives a vector for every atomic
        number or symbol.
    neighbor_ties : {"invariant", "official"}, default="invariant"
        What decides where rank `max_num_nbr` cuts a shell of neighbours at the same distance
        (to 1e-4 Å). "invariant" fills the places by species, then by the neighbours' own
        surroundings, so one crystal has one graph however its file puts it. "official" takes
        the neighbours that pymatgen finds first, as the original CGCNN code does: what weights
        trained with that code expect, at the price that the order of the sites matters.
    memory : None, str, path or joblib.Memory, default=None
        A folder in which to keep graphs for the next time, chunk by chunk. They are looked up
        by the content of the files and the parameters, not by path.
    n_jobs : int, default=None
        Number of parallel workers, as in scikit-learn: None is 1 unless a
        ``joblib.parallel_config`` says otherwise, -1 is all cores.
    on_error : {"raise", "nan"}, default="raise"
        What to do with crystals that cannot be read or cannot exist. "raise" reads all, then
        raises one `StructureError` that lists every failure. "nan" warns once with the same
        list and gives a graph without sites for each of them, so order and length stay;
        estimators then predict NaN for it and leave it out of a fit.
    verbose : int, default=0
        1 shows a progress bar.

    See Also
    --------
    CGCNNRegressor : takes crystals directly, or graphs from here.

    Notes
    -----
    The graph of a crystal does not depend on the setting of the axes, on the origin, on the
    choice of the cell or on the order of the sites. With ``neighbor_ties="official"`` there is
    one exception, which the original CGCNN code shares: where a shell of equally distant but
    unlike neighbours straddles rank `max_num_nbr`, pymatgen's order decides which of them are
    in.

    Examples
    --------
    >>> from pymatgen.core import Lattice, Structure
    >>> from skcgcnn import CrystalGraphTransformer
    >>> nacl = Structure.from_spacegroup(
    ...     "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    ... )
    >>> graphs = CrystalGraphTransformer().fit_transform([nacl])
    >>> graphs
    CrystalGraphs(1 crystals, 8 sites, 12 neighbors)
    >>> graphs[0].distances[0, [0, 5, 6]].round(2)
    array([2.82, 2.82, 3.99], dtype=float32)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "radius": [Interval(Real, 0, None, closed="neither")],
        "max_num_nbr": [Interval(Integral, 1, None, closed="left")],
        "atom_features": "no_validation",  # load_element_features tells what is wrong with it
        "neighbor_ties": [StrOptions({"invariant", "official"})],
        "memory": [None, str, PathLike, HasMethods("cache")],
        "n_jobs": [None, Integral],
        "on_error": [StrOptions({"raise", "nan"})],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        radius: float = 8.0,
        max_num_nbr: int = 12,
        atom_features: Any = None,
        neighbor_ties: str = "invariant",
        memory: Any = None,
        n_jobs: int | None = None,
        on_error: str = "raise",
        verbose: int = 0,
    ) -> None:
        self.radius = radius
        self.max_num_nbr = max_num_nbr
        self.atom_features = atom_features
        self.neighbor_ties = neighbor_ties
        self.memory = memory
        self.n_jobs = n_jobs
        self.on_error = on_error
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters; there is nothing to learn.

        Parameters
        ----------
        X : sequence of crystals
            Ignored.
        y : None
            Ignored.

        Returns
        -------
        self : CrystalGraphTransformer
        """
        self._validate_params()
        return self

    def transform(self, X: Any) -> CrystalGraphs:
        """Turn crystals into graphs.

        Parameters
        ----------
        X : sequence of paths, pymatgen Structures or ASE Atoms
            A list, tuple, 1-D or (n, 1) object array, Series or one-column DataFrame.
            `CrystalGraphs` pass through as they are.

        Returns
        -------
        CrystalGraphs
            One graph for every crystal, in the order of X.

        Raises
        ------
        StructureError
            If crystals cannot be read or cannot exist and ``on_error="raise"``. All failures
            of the call are in the message.
        """
        self._validate_params()
        if isinstance(X, CrystalGraphs):
            return self._check_graphs(X)
        return concatenate(list(self.stream(X)))

    def stream(self, X: Any) -> Iterator[CrystalGraphs]:
        """Turn crystals into graphs, a chunk at a time, for more than memory holds.

        Parameters
        ----------
        X : sequence of paths, pymatgen Structures or ASE Atoms
            As for `transform`.

        Yields
        ------
        CrystalGraphs
            Graphs of consecutive crystals, some hundreds of them; at least one chunk.

        Raises
        ------
        StructureError
            At the end, as `transform`; after a failure nothing more is yielded.

        Examples
        --------
        >>> from skcgcnn.datasets import load_sample_regression
        >>> cifs = load_sample_regression().data[:600]
        >>> [len(graphs) for graphs in CrystalGraphTransformer().stream(cifs * 3)]
        [500, 262]
        """
        self._validate_params()
        sources = list_sources(X)
        failures: list[tuple[str, str]] = []
        notes: list[tuple[str, str]] = []
        for chunk in self._chunks(sources):
            failures.extend(chunk.failures)
            notes.extend(chunk.notes)
            if not failures or self.on_error == "nan":
                yield chunk.graphs
        if failures and self.on_error == "raise":
            raise StructureError.from_failures(failures, len(sources))
        if failures:
            warnings.warn(describe_failures(failures, len(sources)), stacklevel=2)
        if notes:
            warnings.warn(describe_notes(notes, len(sources)), stacklevel=2)

    def _chunks(self, sources: Sequence[Any]) -> Iterator[Chunk]:
        options = GraphOptions(
            features=load_element_features(self.atom_features),
            n_neighbors=self.max_num_nbr,
            radius=self.radius,
            neighbor_ties=self.neighbor_ties,
        )
        folder = fspath(self.memory) if isinstance(self.memory, PathLike) else self.memory
        memory = None if folder is None else check_memory(folder)
        starts = range(0, max(len(sources), 1), self._chunk_size(len(sources)))
        tasks = (
            delayed(build_chunk)(sources[start : start + starts.step], start, options, memory)
            for start in starts
        )
        with tqdm(total=len(sources), unit="crystal", disable=not self.verbose) as progress:
            # Ordered generator: the bar moves as chunks come in, and order stays.
            for chunk in Parallel(n_jobs=self.n_jobs, return_as="generator")(tasks):
                progress.update(len(chunk.graphs))
                yield chunk

    def set_output(self, *, transform: str | None = None) -> Self:
        """Do nothing: graphs are no table, whatever a pipeline's tables should be.

        Parameters
        ----------
        transform : str, optional
            Ignored.

        Returns
        -------
        self : CrystalGraphTransformer
        """
        return self

    def _chunk_size(self, n_crystals: int) -> int:
        workers: int = effective_n_jobs(self.n_jobs)
        return max(1, min(CHUNK, -(-n_crystals // workers)))

    def _check_graphs(self, graphs: CrystalGraphs) -> CrystalGraphs:
        if graphs.neighbors.shape[1] != self.max_num_nbr:
            raise ValueError(
                f"X holds graphs with {graphs.neighbors.shape[1]} neighbors a site, but "
                f"max_num_nbr={self.max_num_nbr}; make both the same"
            )
        return graphs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = False
        return tags


def read_ahead(chunks: Iterator[CrystalGraphs]) -> Iterator[CrystalGraphs]:
    """Yield chunks while the next one is read.

    Parameters
    ----------
    chunks : iterator of CrystalGraphs
        The first chunk is read in the calling thread, whose joblib configuration applies; later
        ones in a worker thread.

    Yields
    ------
    CrystalGraphs
    """
    chunk = next(chunks, None)
    with ThreadPoolExecutor(1) as reader:
        while chunk is not None:
            coming = reader.submit(next, chunks, None)
            yield chunk
            chunk = coming.result()
