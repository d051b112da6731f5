"""Whether crystals and targets are sound: what is there twice, odd, or rare."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._numbers import as_floats
from skcgcnn._text import crystals, repeated
from skcgcnn._warnings import warn_of_other_rows
from skcgcnn.crystals import list_sources, source_id, split_numbers
from skcgcnn.exceptions import UnseenElementsWarning
from skcgcnn.graphs import (
    CrystalGraphs,
    CrystalGraphTransformer,
    concatenate,
    load_element_features,
)
from skcgcnn.quality._crystals import kinds_as_elements, odd_crystals
from skcgcnn.quality._duplicates import Duplicates, Floor, find_duplicates
from skcgcnn.quality._findings import Finding, Names, to_frame
from skcgcnn.quality._labels import is_classes, odd_columns
from skcgcnn.quality._residuals import (
    FEWEST,
    LEAST_SKILL,
    Expected,
    expect_labels,
    expect_numbers,
    is_mostly_one,
    odd_labels,
    odd_numbers,
    skill,
)
from skcgcnn.quality._valences import odd_valences
from skcgcnn.tasks import column_names, is_missing, split_columns

Columns = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Survey:
    """What a check looked at, and what it found.

    Attributes
    ----------
    findings : DataFrame
        See `check`.
    ids : sequence of str
        Names of the crystals.
    graphs : CrystalGraphs
        Without sites where a crystal could not be read.
    sources : sequence of crystals, or None
        Where they come from; None where there are graphs alone.
    elements : ndarray of shape (n_kinds,)
        Atomic number of each kind of site; 0 where it is mixed or unknown.
    groups : ndarray of shape (n_crystals,)
        The same number for crystals with one graph.
    columns : mapping of str to ndarray
        The targets.
    expected : mapping of str to Expected
        What networks expect of the targets that were looked at.
    floors : list of Floor
        Errors below which no network can get.
    """

    findings: Any
    ids: Sequence[Any]
    graphs: CrystalGraphs
    sources: Any
    elements: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    columns: Columns
    expected: Mapping[str, Expected]
    floors: Sequence[Floor]

    @property
    def is_sound(self) -> bool:
        """Whether all findings are remarks, if there are any."""
        return not (self.findings["severity"] != "remark").any()

    @property
    def n_different(self) -> int:
        """How many of the crystals that can be read are different."""
        return len(np.unique(self.groups[self.graphs.n_sites > 0]))

    def counted(self) -> str:
        """Return how many crystals there are, as words."""
        n_unreadable = int((self.graphs.n_sites == 0).sum())
        text = f"{crystals(len(self.ids))}, {self.n_different} different"
        return f"{text}, {n_unreadable} unreadable" if n_unreadable else text


def check(
    X: Any,
    y: Any = None,
    *,
    ids: Sequence[Any] | None = None,
    labels: bool = True,
    estimator: Any = None,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Any:
    """Find what is odd about crystals and their targets.

    It finds crystals that cannot be read; the same crystal twice, whatever the cell, the order of
    the sites or the axes; near duplicates, which pymatgen's `StructureMatcher` confirms; atoms
    that are too close; and columns that are constant, rounded or spelled in several ways. Networks
    say which targets they do not expect, each by a network that was not trained on it.

    Parameters
    ----------
    X : sequence of crystals, or CrystalGraphs
        The crystals. Near duplicates among graphs cannot be confirmed, for these hold no positions.
    y : array-like, Series, DataFrame or mapping of str to array-like, optional
        One or several columns of targets, numbers or texts.
    ids : sequence of str, optional
        Names of the crystals; by default those of their graphs.
    labels : bool, default=True
        Whether networks look at the targets, which takes most of the time.
    estimator : estimator, optional
        The regressor that predicts numbers; by default an ensemble of three networks.
    random_state : int, default=0
        Seed of networks and folds.
    n_jobs : int, optional
        Number of workers that read crystals.

    Returns
    -------
    DataFrame
        A row for each finding, the worst first: ``kind``, ``ids`` (a list of the crystals), and
        ``severity`` ("error", "warning", or "remark" for what is worth a look only), ``message``.

    Raises
    ------
    ValueError
        If y or `ids` are not of the same length as X.

    Examples
    --------
    >>> from pymatgen.core import Lattice, Structure
    >>> cscl = Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> found = check([cscl, cscl * (2, 1, 1)], [-2.1, -2.3], ids=["CsCl", "again"])
    >>> found["message"][0]
    'CsCl, again: one crystal, 2 times; y differs by 0.2 (-2.3 to -2.1).'
    """
    return survey(
        X,
        y,
        ids=ids,
        labels=labels,
        estimator=estimator,
        random_state=random_state,
        n_jobs=n_jobs,
    ).findings


def survey(
    X: Any,
    y: Any = None,
    *,
    ids: Sequence[Any] | None = None,
    labels: bool = True,
    estimator: Any = None,
    random_state: int = 0,
    n_jobs: int | None = None,
    atom_features: Any = None,
    n_left_out: int = 0,
    n_remarks: int = 0,
    verbose: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Survey:
    """Check crystals and targets, and return also what a report shows of them.

    Parameters
    ----------
    X, y, ids, labels, estimator, random_state, n_jobs
        See `check`.
    atom_features : optional
        Features of the elements, see `CrystalGraphTransformer`.
    n_left_out, n_remarks : int, default=0
        Crystals that a store was made without, and those whose files were odd.
    verbose : int, default=0
        1 shows a progress bar while crystals are read.
    progress : callable, optional
        Called with a sentence before each part that takes long.

    Returns
    -------
    Survey
    """
    tell = progress or (lambda _: None)
    warn_of_other_rows(X, y=y)
    failures: list[tuple[str, str]] = []
    if isinstance(X, CrystalGraphs):
        graphs, sources = X, None
        known_ids: Any = graphs.ids
    else:
        sources = list_sources(split_numbers(X)[0], check=False)
        graphs = _read(X, n_jobs, atom_features, verbose, failures)
        known_ids = [source_id(source, place) for place, source in enumerate(sources)]
    names = Names(known_ids if ids is None else ids)
    columns = as_columns(y)
    if not len(graphs):
        raise ValueError("X holds no crystals")
    _check_lengths(len(graphs), names, columns)
    table = load_element_features(atom_features)
    elements = kinds_as_elements(graphs, table)
    tell("Looking for crystals that are there twice")
    twice = find_duplicates(graphs, columns, sources, names)
    findings = list(_unreadable(graphs, sources, failures, names))
    if n_left_out:
        text = f"{crystals(n_left_out)} of its source could not become graphs: see failures.csv"
        findings.append(Finding("left out of the store", [], "warning", text))
    if n_remarks:
        text = f"there are remarks on {crystals(n_remarks)} of its source: see remarks.csv"
        findings.append(Finding("read with remarks", [], "remark", text))
    findings += twice.findings
    findings += odd_crystals(graphs, elements, names)
    findings += odd_valences(graphs, elements, names)
    for name, column in columns.items():
        findings += odd_columns(name, column, names)
    expected: dict[str, Expected] = {}
    for name, column in columns.items() if labels else ():
        tell(f"Training networks that say what they expect of {name}")
        with warnings.catch_warnings():
            # Each fold lacks some; which elements are rare is a finding.
            warnings.simplefilter("ignore", UnseenElementsWarning)
            try:
                findings += _unexpected(
                    name, column, graphs, twice, names, expected, estimator, random_state
                )
            except ValueError as error:  # as of numbers that are too large to be learned
                text = f"{name}: networks cannot learn it: {error}"
                findings.append(Finding("not judged by networks", [], "warning", text))
    return Survey(
        findings=to_frame(findings, names),
        ids=names.ids,
        graphs=graphs,
        sources=sources,
        elements=elements,
        groups=twice.groups,
        columns=columns,
        expected=expected,
        floors=twice.floors,
    )


def _read(
    X: Any,
    n_jobs: int | None,
    atom_features: Any,
    verbose: int,
    failures: list[tuple[str, str]],
) -> CrystalGraphs:
    transformer = CrystalGraphTransformer(
        n_jobs=n_jobs, atom_features=atom_features, on_error="nan", verbose=verbose
    )
    with warnings.catch_warnings():
        # They become findings.
        warnings.filterwarnings("ignore", message=".*cannot be turned into graphs")
        return concatenate(list(transformer.stream(X, failures=failures)))


def as_columns(y: Any) -> dict[str, npt.NDArray[Any]]:
    """Return targets as columns of floats or objects, by name."""
    if y is None:
        return {}
    if isinstance(y, Mapping):
        # One by one: a frame would put series of different indices in one order.
        names, columns = list(map(str, y)), [split_columns(column)[0] for column in y.values()]
    else:
        columns = split_columns(y)
        several = np.ndim(y) > 1
        names = column_names(y, [f"y{i}" for i in range(len(columns))] if several else ["y"])
    if twice := repeated(names):
        raise ValueError(f"y has several columns with the name {twice[0]!r}; rename them")
    return {name: _as_column(name, each) for name, each in zip(names, columns, strict=True)}


def _as_column(name: str, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    import pandas as pd

    if column.dtype.kind == "c":
        raise ValueError(f"{name} holds complex numbers; give their real or imaginary parts")
    values = np.array([None if pd.isna(value) else value for value in column], dtype=object)
    try:
        return as_floats(column if column.dtype.kind in "biuf" else values)
    except ValueError:  # texts
        return np.where(is_missing(values), np.nan, values)


def _check_lengths(n_crystals: int, names: Names, columns: Columns) -> None:
    if len(names.ids) != n_crystals:
        raise ValueError(f"{len(names.ids)} ids for {n_crystals} crystals")
    for name, column in columns.items():
        if len(column) != n_crystals:
            raise ValueError(f"{name} has {len(column)} values for {n_crystals} crystals")


def _unreadable(
    graphs: CrystalGraphs, sources: Any, failures: Sequence[tuple[str, str]], names: Names
) -> Iterator[Finding]:
    rows = np.flatnonzero(graphs.n_sites == 0).tolist()
    # In the order of the crystals.
    causes = [why for _, why in failures] if len(failures) == len(rows) else [""] * len(rows)
    for row, why in zip(rows, causes, strict=True):
        text = f"{names[row]}: {why or 'has no sites'}"
        yield Finding("unreadable crystal", [row], "error", text)


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Silence what networks say about their deviations, which are compared with each other."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not calibrated")
        yield


def _unexpected(
    name: str,
    column: npt.NDArray[Any],
    graphs: CrystalGraphs,
    twice: Duplicates,
    names: Names,
    expected: dict[str, Expected],
    estimator: Any,
    random_state: int,
) -> Iterator[Finding]:
    """Yield targets that networks do not expect; keep what these say."""
    known = np.flatnonzero(~is_missing(column) & (graphs.n_sites > 0))
    different = len(set(column[known].tolist()))
    if len(np.unique(twice.groups[known])) < FEWEST or different < 2:
        return
    if not is_classes(column):
        if is_mostly_one(column):
            text = f"{name}: most values are the same; networks do not judge such a column."
            yield Finding("not judged by networks", [], "remark", text)
            return
        with _without_remarks():
            found = expect_numbers(column, graphs, twice.groups, estimator, random_state)
        odd = odd_numbers(name, column, found, graphs.n_sites, names)
    elif different <= len(known) // 10:
        with _without_remarks():
            found = expect_labels(column, known, graphs, twice.groups, random_state)
        odd = odd_labels(name, column, found, names)
    else:
        return
    if (gain := skill(column, found)) < LEAST_SKILL:
        text = (
            f"{name}: networks expect it hardly better than one answer for all crystals does "
            f"({max(gain, 0):.0%} less error), so that they say nothing about its values."
        )
        yield Finding("not judged by networks", [], "remark", text)
        return
    yield from odd
    expected[name] = found
