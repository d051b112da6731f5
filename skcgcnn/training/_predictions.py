"""Predictions of every target of a model, as a CSV or Parquet file and as a report."""

import gzip
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn._files import atomic_write, write_text
from skcgcnn._lazy import needed
from skcgcnn._text import encodable, repeated
from skcgcnn.datasets import write_rows
from skcgcnn.estimators import BaseCGCNN
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.reports import PredictionResult, prediction_report
from skcgcnn.tasks import Classes, Prediction, is_missing
from skcgcnn.training._sources import Found

_PARQUET, _GZIP = ".parquet", ".gz"
# What other programs would take for files of another kind, or is a model or crystal.
_OTHER_KINDS = (
    *(".tsv", ".xlsx", ".xls", ".json", ".zip", ".bz2", ".xz", ".zst", ".tar", ".tar.gz"),
    *(".tgz", ".cif", ".cif.gz", ".safetensors", ".joblib", ".pkl", ".pickle", ".pt", ".pth"),
)


class Column(NamedTuple):
    """A column of a file of predictions.

    Attributes
    ----------
    name : str
    values : array-like
        Those of some crystals.
    classes : ndarray or None, default=None
        All values that a column of classes can hold: those of some crystals may all be missing.
    """

    name: str
    values: Any
    classes: Any = None


Columns = list[Column]


def write_predictions(
    target: Any,
    cif_ids: Sequence[str],
    predictions: list[Prediction],
    truth: npt.NDArray[Any] | None = None,
    *,
    unlike: npt.NDArray[Any] | None = None,
) -> int:
    """Write predictions: a header, and one line per crystal.

    For every target its name (where the truth is known), ``<name>_pred``, ``<name>_std`` where the
    model knows it, and for classes the probability: ``<name>_proba`` of the second of two,
    ``<name>_proba_<class>`` of more.

    Parameters
    ----------
    target : Path or file object
        Where to write; an existing file is replaced once the new one is complete. Parquet or
        packed CSV where the name of a file says so (``.parquet``, ``.csv.gz``), else CSV.
    cif_ids : sequence of str
    predictions : list of Prediction
    truth : ndarray of shape (n_crystals, n_targets), optional
        The true targets.
    unlike : ndarray of shape (n_crystals,), optional
        Which crystals are unlike those of the training, for a column ``unlike_training``; None for
        those that could not be read.

    Returns
    -------
    int
        Number of crystals that have predictions.
    """
    with prediction_file(target) as write:
        columns = _columns(cif_ids, predictions, truth)
        if unlike is not None:
            columns.append(Column("unlike_training", unlike))
            _refuse_same([column.name for column in columns], "")
        write(columns)
    return _count(predictions)


def write_prediction_chunks(
    target: Path, cif_ids: Sequence[str], chunks: Iterator[list[Prediction]]
) -> int:
    """Write predictions as they come, for more crystals than fit into memory.

    Returns
    -------
    int
        Number of crystals that have predictions.
    """
    done, known = 0, 0
    with prediction_file(target) as write:
        for predictions in chunks:
            n = len(predictions[0].values)
            write(_columns(cif_ids[done : done + n], predictions))
            done += n
            known += _count(predictions)
    return known


def _count(predictions: list[Prediction]) -> int:
    """Return how many crystals could be read."""
    return int((~is_missing(predictions[0].values)).sum()) if predictions else 0


def check_ending(target: Any, *, plain: bool = False) -> None:
    """Refuse a name that promises another kind of file than those that are written.

    Parameters
    ----------
    target : Path or file object
    plain : bool, default=False
        Whether CSV alone is written.

    Raises
    ------
    DataError
        If it does.
    """
    others = (*_OTHER_KINDS, _PARQUET, _GZIP) if plain else _OTHER_KINDS
    if isinstance(target, Path) and target.name.lower().endswith(others):
        what = "the crystals" if plain else "predictions"
        kinds = ".csv" if plain else ".csv, .csv.gz or .parquet"
        raise DataError(f"{target}: {what} are written as {kinds}")


@contextmanager
def prediction_file(target: Any) -> Iterator[Callable[[Columns], None]]:
    """Open a file of predictions, and yield what writes some of its rows.

    Yields
    ------
    callable
        Takes columns: names and values. Always the same names.

    Raises
    ------
    ImportError
        If a Parquet file needs pyarrow.
    DataError
        If the name is that of another kind of file.
    """
    name = target.name.lower() if isinstance(target, Path) else ""
    check_ending(target)
    with ExitStack() as stack:
        if name.endswith(_PARQUET):
            yield _parquet_writer(target, stack)
        elif name.endswith(_GZIP):
            file = stack.enter_context(atomic_write(target, "wb"))
            # Without the time: the same predictions are the same bytes.
            packed = gzip.GzipFile("", "wb", fileobj=file, mtime=0)
            stack.enter_context(packed)
            yield _csv_writer(stack.enter_context(TextIOWrapper(packed, "utf-8", newline="")))
        elif isinstance(target, Path):
            yield _csv_writer(stack.enter_context(atomic_write(target)))
        else:
            yield _csv_writer(target)


def _csv_writer(file: Any) -> Callable[[Columns], None]:
    begun = list[bool]()

    def write(columns: Columns) -> None:
        if not begun:
            begun.append(True)
            write_rows(file, [[column.name for column in columns]])
        rows = zip(*(column.values for column in columns), strict=True)
        write_rows(file, ([_cell(value) for value in row] for row in rows))

    return write


def _parquet_writer(target: Path, stack: ExitStack) -> Callable[[Columns], None]:
    with needed("Parquet files, unlike .csv files, need pyarrow", "skcgcnn[parquet]"):
        import pyarrow as pa
        from pyarrow import parquet

    file = stack.enter_context(atomic_write(target, "wb"))
    writers: list[Any] = []

    def write(columns: Columns) -> None:
        arrays = {}
        for name, values, classes in columns:
            kind = None if classes is None else pa.array(_arrow(classes)).type
            # NaN is what is missing: classes stay whole numbers, or texts.
            arrays[name] = pa.array(_arrow(values), kind, from_pandas=True)
        table = pa.table(arrays)
        if not writers:
            writers.append(stack.enter_context(parquet.ParquetWriter(file, table.schema)))
        writers[0].write_table(table)

    return write


def _arrow(values: Any) -> Any:
    """Return a column for Arrow: texts as such, not as the objects of NumPy."""
    array = np.asarray(values)
    if array.dtype.kind not in "OU":
        return array
    return [encodable(each) if isinstance(each, str) else each for each in array.tolist()]


def _columns(
    cif_ids: Sequence[str], predictions: list[Prediction], truth: npt.NDArray[Any] | None = None
) -> Columns:
    columns = [Column("cif_id", cif_ids)]
    for index, prediction in enumerate(predictions):
        if truth is not None:
            columns.append(Column(prediction.target.name, truth[:, index]))
        first, *more = prediction.target.columns(prediction)
        columns += [Column(*first, prediction.target.classes), *(Column(*one) for one in more)]
    _refuse_same([column.name for column in columns], "")
    return columns


def check_names(names: Sequence[str], file: Path, label: str = "", classes: Any = ()) -> None:
    """Refuse targets whose results would have columns of one name.

    Parameters
    ----------
    names : sequence of str
        Of the targets.
    file : Path
        The table; messages name it.
    label : str, default=""
        Name of the target of classes, if there is one.
    classes : sequence, default=()
        They.

    Raises
    ------
    DataError
        If a target has the name that a column of another one would have.
    """
    endings = ("", "_pred", "_std", "_calibration", "_proba")
    columns = ["cif_id", *(f"{name}{end}" for name in names for end in endings)]
    columns += [f"{label}_proba_{Classes(label).cell(each)}" for each in classes]
    _refuse_same(columns, f"{file}: ")


def _refuse_same(names: list[str], place: str) -> None:
    if twice := repeated(names):
        raise DataError(
            f"{place}two columns of the results would have the name {twice[0]!r}; rename the target"
        )


def write_prediction_report(
    target: Path,
    model: str,
    est: BaseCGCNN,
    graphs: CrystalGraphs,
    found: Found,
    predictions: list[Prediction],
    training: tuple[CrystalGraphs, Sequence[str]] | None = None,
    numbers: Mapping[str, float] | None = None,
) -> None:
    """Write an HTML file with figures of predictions.

    Parameters
    ----------
    target : Path
        The file.
    model : str
        Name of the model.
    est : BaseCGCNN
        The model.
    graphs : CrystalGraphs
        Of the crystals.
    found : Found
        Their names and where they come from.
    predictions : list of Prediction
    training : (CrystalGraphs, sequence of str), optional
        Those that the model was trained on, and their names: crystals unlike all of them are named.
    numbers : mapping of str to float, optional
        What the model file tells of the quality of the model.
    """
    result = PredictionResult(
        name=model,
        est=est,
        graphs=graphs,
        ids=found.ids,
        paths=found.paths,
        predictions=predictions,
        training=None if training is None else training[0],
        training_ids=[] if training is None else training[1],
        numbers=numbers or {},
    )
    write_text(target, prediction_report(result))


def _cell(value: Any) -> Any:
    if isinstance(value, (float, np.floating)):
        # Whole numbers in a column of floats are labels as a rule: 1, not 1.0.
        if math.isnan(value):
            return ""
        # All digits: those of numbers that are far from zero and near each other are at the end.
        return int(value) if float(value).is_integer() else float(value)
    return value
