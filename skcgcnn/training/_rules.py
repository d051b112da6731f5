"""By which rule crystals are split, and what stricter rules would give."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from skcgcnn.estimators import BaseCGCNN
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.model_selection import GROUPINGS, group_by_structure, join_groups
from skcgcnn.training._data import Part, RunData
from skcgcnn.training._settings import Rule, Settings
from skcgcnn.training._split import Rows, fold_rows, split_rows
from skcgcnn.training._tested import held_out, predict_part

RULES: tuple[str, ...] = get_args(Rule)
# In Å. With the rule "structure", distances that differ by no more count as equal.
_NEARLY = 0.01
_WORDS = {
    "structure": f"nearly the same crystals (distances within {_NEARLY} Å) stay in one part",
    "composition": "crystals of one composition stay in one part",
    "elements": "crystals with the same elements stay in one part",
    "prototype": "crystals of one anonymous formula and space group stay in one part",
}


@dataclass(frozen=True, eq=False)
class Grouping:
    """Which crystals stay together in a split, and why.

    Attributes
    ----------
    rule : str
        Name of the rule.
    groups : ndarray of shape (n_crystals,), or None
        None where every crystal is alone.
    text : str
        A sentence.
    by : str
        What puts crystals together, for messages.
    """

    rule: str
    groups: npt.NDArray[Any] | None
    text: str
    by: str


def find_groups(rule: str, data: RunData, graphs: CrystalGraphs) -> Grouping:
    """Return the groups of crystals that a rule keeps together.

    Crystals of a group of ``groups.csv``, and the same crystals, stay together by any rule.

    Raises
    ------
    DataError
        If the rule needs positions, and there are graphs alone, or other files by now.
    """
    same = group_by_structure(graphs)
    readable = graphs.n_sites > 0
    parts: list[Any] = [same]
    if rule == "prototype":
        if data.graphs is not None:
            raise DataError(
                "--split prototype needs positions, which a store does not hold; choose another "
                "rule, or train on the folder"
            )
        # What cannot be read is in no part of the split.
        parts.append(GROUPINGS[rule](data.paths))
        data.check_unchanged()
    elif rule == "structure":
        parts.append(group_by_structure(graphs, tol=_NEARLY))
    elif rule != "random":
        parts.append(GROUPINGS[rule](graphs))
    if data.groups is not None:
        parts.append(data.groups)
    n_again = int(readable.sum()) - len(np.unique(same[readable]))
    texts = [_WORDS[rule]] if rule in _WORDS else []
    if data.groups is not None:
        texts.append("so do those of a group in groups.csv" if texts else "groups.csv decides")
    again = f"{n_again} of the crystals {'is' if n_again == 1 else 'are'} there again"
    if n_again:
        texts.append(f"{again}, and {'stays' if n_again == 1 else 'stay'} with the first")
    head = "at random" if rule == "random" else f"by {rule}"
    text = f"Split {head}: {'; '.join(texts) or 'no crystal is there twice'}."
    by = "groups.csv" if rule == "random" and data.groups is not None else f"--split {rule}"
    if len(parts) == 1 and not n_again:
        return Grouping(rule, None, text, by)
    joined = join_groups(*parts)
    if data.groups is not None and joined.max() + 1 == len(np.unique(data.groups)):
        return Grouping(rule, data.groups, text, by)  # by their names, which decide the split
    return Grouping(rule, joined, text, by)


def split_parts(
    settings: Settings, data: RunData, graphs: CrystalGraphs, grouping: Grouping
) -> dict[str, Part]:
    """Return the parts of a split."""
    rows = split_rows(
        np.flatnonzero(graphs.n_sites > 0),
        settings.ratios(),
        labels=data.stratify_labels(),
        groups=grouping.groups,
        seed=settings.seed,
        grouped_by=grouping.by,
    )
    # Test rows in the data's order, whatever the split's.
    chosen = {"train": rows["train"], "val": rows["val"], "test": np.sort(rows["test"])}
    return {name: data.part(part, graphs) for name, part in chosen.items()}


def cross_validation_rows(
    settings: Settings, data: RunData, grouping: Grouping, rows: Rows, n_folds: int
) -> list[dict[str, Rows]]:
    """Return the rows of each part of each fold of a cross-validation; none without folds.

    Parameters
    ----------
    settings : Settings
    data : RunData
    grouping : Grouping
    rows : ndarray of int
        The crystals, each of which is tested once.
    n_folds : int

    Returns
    -------
    list of dict of str to ndarray of int
        See `skcgcnn.training._split.fold_rows`.
    """
    if not n_folds:
        return []
    return fold_rows(
        rows,
        n_folds,
        settings.val_ratio / (settings.train_ratio + settings.val_ratio),
        labels=data.stratify_labels(),
        groups=grouping.groups,
        seed=settings.seed,
        grouped_by=grouping.by,
    )


def compare_rules(
    est: BaseCGCNN,
    rules: Sequence[str],
    settings: Settings,
    data: RunData,
    graphs: CrystalGraphs,
    fit: Callable[[BaseCGCNN, dict[str, Part]], Any],
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the test errors of fits on splits by other rules.

    Parameters
    ----------
    est : fitted estimator
        Clones of it are fitted.
    rules : sequence of str
    settings, data, graphs
        Of the run.
    fit : callable
        Fits an estimator on the parts of a split.

    Yields
    ------
    rule : str
    errors : dict of str to dict
        The error of each target, as those of the run; or "cannot", and why.
    """
    for rule in rules:
        try:
            grouping = find_groups(rule, data, graphs)
            parts = split_parts(settings, data, graphs, grouping)
            other = clone(est)
            fit(other, parts)
        except ValueError as error:  # as of a part whose values are all one
            yield rule, {"cannot": str(error)}
            continue
        said = predict_part(other, parts["train"], parts["test"])
        errors = held_out(said, data, graphs, grouping.groups).errors
        yield rule, {name: asdict(error) for name, error in errors.items()}
