"""The transformer from crystals to crystal graphs."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Self

from joblib import effective_n_jobs
from sklearn.base import BaseEstimator, TransformerMixin

from skcgcnn._parallel import streaming_parallel, task
from skcgcnn._parameters import MAX_MERGE_TOL, MAX_NEIGHBORS, MAX_RADIUS
from skcgcnn._progress import Progress
from skcgcnn._sklearn import (
    N_JOBS,
    Documented,
    HasMethods,
    Interval,
    StrOptions,
    as_memory,
    crystal_tags,
)
from skcgcnn._warnings import warn_caller
from skcgcnn.crystals import MAX_BYTES, list_sources, split_numbers, told_units
from skcgcnn.exceptions import StructureError, describe_failures, describe_notes
from skcgcnn.graphs._beside import Beside
from skcgcnn.graphs._build import GraphMaker
from skcgcnn.graphs._chunks import Chunk, build_chunk
from skcgcnn.graphs._concatenate import concatenate
from skcgcnn.graphs._elements import load_element_features
from skcgcnn.graphs._graphs import CrystalGraphs
from skcgcnn.graphs._items import join_items
from skcgcnn.graphs._options import GraphOptions
from skcgcnn.graphs._recent import RECENT, Plan, all_unknown, in_order_of_kinds
from skcgcnn.graphs._schema import CrystalGraph

# Crystals per chunk: large enough that sending it to a worker costs little, small enough that the
# progress bar moves and the workers finish together.
CHUNK = 500


@dataclass(kw_only=True, eq=False, repr=False)
class CrystalGraphTransformer(Documented, TransformerMixin, BaseEstimator):
    """Turn crystals into crystal graphs.

    Every site is connected to its `max_num_nbr` nearest neighbors, periodic images included, and
    carries the features of its element (Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018)).
    A partially occupied site carries the occupancy-weighted mean over its elements; vacancies do
    not count.

    Parameters
    ----------
    radius : float, default=8.0
        Initial cutoff of the neighbor search, in Å. It grows for sites with fewer than
        `max_num_nbr` neighbors within it.
    max_num_nbr : int, default=12
        Neighbors per site.
    atom_features : None, path or mapping, default=None
        Features of the elements. None is the built-in table of 92; a path names a JSON file in
        the layout of CGCNN's ``atom_init.json``; a mapping gives a vector for every atomic
        number or symbol.
    neighbor_ties : {"invariant", "official"}, default="invariant"
        Which neighbors are taken where `max_num_nbr` cuts a shell of neighbors at the same
        distance (to 1e-4 Å). "invariant" decides by their species, then by their surroundings,
        so that a crystal has one graph, whatever the order of its sites. "official" takes those
        that pymatgen finds first, as the original CGCNN code does. Weights trained with that
        code expect it; the graph then depends on the order of the sites.
    merge_tol : float or None, default=1e-05
        Distances in one crystal that differ by no more, in Å, can count as equal. Equal sites and
        bonds are stored and computed once (quotient graphs), with the same predictions. None merges
        nothing.
    memory : None, str, path or joblib.Memory, default=None
        A folder in which graphs are cached, chunk by chunk. The key is the content of the files
        and the parameters, not the path. Use only folders that you trust: the files in it are
        pickles, which can run code.
    max_bytes : int, default=100000000
        Maximum size of a file, and of what it holds when it is unpacked.
    n_jobs : int, default=None
        Number of parallel workers, as in scikit-learn: None is 1 unless a
        ``joblib.parallel_config`` says otherwise, -1 is all cores.
    on_error : {"raise", "nan"}, default="raise"
        What to do with crystals that cannot be read or cannot exist. "raise" reads all, then
        raises one `StructureError` with all failures. "nan" warns once, names the first ten,
        and returns a graph without sites for each of them, so that order and length stay
        the same; estimators predict NaN for it and leave it out of a fit.
    verbose : int, default=0
        1 shows progress: crystals read a second, and the time left; 2 also lists all remarks about
        files, not only the first.

    See Also
    --------
    CGCNNRegressor : Takes crystals, or the graphs that this transformer returns.

    Notes
    -----
    The graph of a crystal does not depend on the setting of the axes, on the origin, on the
    choice of the cell or on the order of the sites. With ``neighbor_ties="official"`` there is
    one exception, which the original CGCNN code shares: where `max_num_nbr` cuts a shell of
    equally distant but different neighbors, pymatgen's order decides which of them are taken.

    Examples
    --------
    >>> from pymatgen.core import Lattice, Structure
    >>> from skcgcnn import CrystalGraphTransformer
    >>> nacl = Structure.from_spacegroup(
    ...     "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    ... )
    >>> graphs = CrystalGraphTransformer().fit_transform([nacl])
    >>> graphs
    CrystalGraphs(1 crystals, 8 sites in 2 classes, 12 neighbors)
    >>> graphs[0].distances[:2].round(2), graphs[0].bond_counts[:2]
    (array([2.82, 3.99], dtype=float32), array([6, 6], dtype=uint8))
    >>> graphs.expand().distances.shape
    (8, 12)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "radius": [Interval(Real, 0, MAX_RADIUS, closed="right")],
        "max_num_nbr": [Interval(Integral, 1, MAX_NEIGHBORS, closed="both")],
        "atom_features": "no_validation",  # load_element_features tells what is wrong with it
        "neighbor_ties": [StrOptions({"invariant", "official"})],
        "merge_tol": [Interval(Real, 0, MAX_MERGE_TOL, closed="right"), None],
        "memory": [None, str, PathLike, HasMethods("cache")],
        "max_bytes": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": N_JOBS,
        "on_error": [StrOptions({"raise", "nan"})],
        "verbose": ["verbose"],
    }

    radius: float = 8.0
    max_num_nbr: int = 12
    atom_features: Any = None
    neighbor_ties: str = "invariant"
    merge_tol: float | None = 1e-5
    memory: Any = None
    max_bytes: int = MAX_BYTES
    n_jobs: int | None = None
    on_error: str = "raise"
    verbose: int = 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A pickle of an earlier version lacks the parameters that are new.
        super().__setstate__({**type(self)().get_params(), **state})

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
            A list, tuple, generator, 1-D or (n, 1) object array, or a pandas, polars or Arrow
            column or one-column frame. A frame may have columns of numbers besides, such as a
            temperature, which go with the crystals as `CrystalGraphs.global_features`; with
            ``on_error="nan"`` a crystal without such a number counts as one that cannot be read.
            `CrystalGraphs` pass through, if they were made with the same parameters, and so do
            containers of their items.

        Returns
        -------
        CrystalGraphs
            One graph for every crystal, in the order of X.

        Raises
        ------
        StructureError
            If crystals cannot be read or cannot exist and ``on_error="raise"``. All failures
            of the call are in its attribute `failures`.
        """
        self._validate_params()
        if isinstance(X, CrystalGraphs):
            return self._check_graphs(X)
        return concatenate(list(self.stream(X)))

    def stream(
        self, X: Any, *, failures: list[tuple[str, str]] | None = None
    ) -> Iterator[CrystalGraphs]:
        """Turn crystals into graphs, a chunk at a time, for more than fit into memory.

        Parameters
        ----------
        X : sequence of paths, pymatgen Structures or ASE Atoms
            As for `transform`.
        failures : list, optional
            Filled with all crystals that failed (a path or a position in X), and why.

        Yields
        ------
        CrystalGraphs
            Graphs of consecutive crystals, some hundreds of them; at least one chunk.

        Raises
        ------
        StructureError
            At the end, like `transform`; after a failure no more chunks are yielded.

        Examples
        --------
        >>> from skcgcnn.datasets import load_sample_regression
        >>> cifs = load_sample_regression().data[:600]
        >>> [len(graphs) for graphs in CrystalGraphTransformer().stream(cifs * 3)]
        [500, 262]
        """
        self._validate_params()
        # With "nan", what can be no crystal is reported like what cannot be read.
        units = told_units(X, "X")
        X, numbers, names = split_numbers(X, allow_missing=self.on_error == "nan")
        sources, done = list_sources(X, check=False), 0
        beside = Beside(sources, numbers, names, units)
        failures = [] if failures is None else failures
        if sources and all(isinstance(source, CrystalGraph) for source in sources):
            graphs = self._check_graphs(in_order_of_kinds(join_items(sources)))
            yield beside.join(graphs, 0, failures)
            if failures:
                warn_caller(describe_failures(failures, len(sources)))
            return
        if self.on_error == "raise":
            list_sources(sources)  # refuses what can be no crystal
        notes: list[tuple[str, str]] = []
        for chunk in self._chunks(sources):
            failures.extend(chunk.failures)
            notes.extend(chunk.notes)
            if not failures or self.on_error == "nan":
                yield beside.join(chunk.graphs, done, failures)
            done += len(chunk.graphs)
        if failures and self.on_error == "raise":
            raise StructureError.from_failures(failures, len(sources))
        if failures:
            warn_caller(describe_failures(failures, len(sources)))
        if notes:
            complete = int(self.verbose) > 1
            warn_caller(describe_notes(notes, len(sources), complete=complete))

    def _chunks(self, sources: Sequence[Any]) -> Iterator[Chunk]:
        maker = self._maker()
        memory = as_memory(self.memory)
        starts = range(0, max(len(sources), 1), self._chunk_size(len(sources)))
        plans: deque[Plan] = deque()

        def tasks() -> Iterator[Any]:
            for start in starts:
                some = sources[start : start + starts.step]
                # A cache on the disk knows chunks by all that they hold.
                known = memory is None
                plan = RECENT.look_up(some, maker, self.max_bytes) if known else all_unknown(some)
                plans.append(plan)
                positions = [start + place for place in plan.unknown]
                unknown = [some[place] for place in plan.unknown]
                yield task(build_chunk)(unknown, positions, maker, self.max_bytes, memory)

        with Progress(len(sources), "crystal", enabled=bool(self.verbose)) as progress:
            # The progress bar moves as chunks arrive.
            for read in streaming_parallel(self.n_jobs)(tasks()):
                plan = plans.popleft()
                RECENT.remember(plan, read)
                progress.update(len(plan.keys))
                yield plan.join(read)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Do nothing: graphs are not a table, whatever a pipeline asks for.

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

    def graph_options(self) -> GraphOptions:
        """Return what the graphs that this transformer makes depend on.

        Returns
        -------
        GraphOptions
        """
        return self._maker().options

    def _maker(self) -> GraphMaker:
        return GraphMaker(
            features=load_element_features(self.atom_features),
            max_num_nbr=self.max_num_nbr,
            radius=self.radius,
            neighbor_ties=self.neighbor_ties,
            merge_tol=self.merge_tol,
        )

    def _check_graphs(self, graphs: CrystalGraphs) -> CrystalGraphs:
        own = replace(self.graph_options(), global_features=graphs.options.global_features)
        if different := own.differences(graphs.options):
            raise ValueError(
                f"X holds graphs that were made with {graphs.options.describe(different)}, but "
                f"this transformer has {own.describe(different)}; make both the same"
            )
        return graphs

    def __sklearn_tags__(self) -> Any:
        return crystal_tags(super().__sklearn_tags__())


def read_ahead(chunks: Iterator[CrystalGraphs]) -> Iterator[CrystalGraphs]:
    """Yield chunks while the next one is read.

    Parameters
    ----------
    chunks : iterator of CrystalGraphs
        The first chunk is read in the calling thread, whose joblib configuration applies; later
        ones in a worker thread.
    """
    chunk = next(chunks, None)
    with ThreadPoolExecutor(1) as reader:
        while chunk is not None:
            coming = reader.submit(next, chunks, None)
            yield chunk
            chunk = coming.result()
