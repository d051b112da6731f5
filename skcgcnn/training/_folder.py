"""The folder of the results of a run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from skcgcnn._files import take_folder, unlock_folder
from skcgcnn.exceptions import DataError

# The last epoch, with all that training needs to go on; and the best, to predict with.
CHECKPOINT, BEST = "checkpoint.pth.tar", "model.safetensors"
# The best for the original code, under the name that its users expect.
ORIGINAL = "model_best.pth.tar"
# Errors, predictions of the test part and of all crystals by a cross-validation, the epochs a line
# each, and everything at a glance.
METRICS, TESTED, FOLDS = "metrics.json", "test_results.csv", "cv_predictions.csv"
HISTORY, REPORT = "history.csv", "report.html"
TOLD = (METRICS, TESTED, FOLDS, HISTORY, REPORT)
# What a run leaves.
RESULTS = (CHECKPOINT, BEST, ORIGINAL, *TOLD)
# Crystals that could not be read, where a run goes on without them.
FAILURES = "failures.csv"
# What Optuna writes, from which a search goes on; what was tried, as a table and as a page; and
# what came out.
SEARCH, TRIALS, SEARCH_PAGE, FOUND = "tune.log", "trials.csv", "tune.html", "tune.json"
SEARCHED = (SEARCH, TRIALS, SEARCH_PAGE, FOUND)

# Folders that the run of this thread has.
_held = ContextVar[frozenset[Path]]("_held", default=frozenset())


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Make a folder, and keep other runs from writing to it; a run that ends at once leaves none.

    Two at once would leave the model of one beside the results of the other. A run that is a part
    of another one, such as the last training of a search, writes to its folder.

    Parameters
    ----------
    folder : Path

    Yields
    ------
    bool
        Whether the run is no part of another one.

    Raises
    ------
    DataError
        If another run writes to it.
    """
    place = folder.resolve()
    if place in _held.get():
        yield False
        return
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        number = take_folder(folder)
    except BlockingIOError:
        raise DataError(
            f"{folder}: another run writes its results there; choose another folder with "
            "--output, or wait for it"
        ) from None
    before = _held.set(_held.get() | {place})
    try:
        yield True
    finally:
        _held.reset(before)
        with suppress(OSError):  # one that is not empty
            for path in made:
                path.rmdir()
        unlock_folder(number)


def refuse_results(folder: Path, names: Sequence[str]) -> None:
    """Refuse to replace the results of an earlier run.

    Parameters
    ----------
    folder : Path
        Where they would be.
    names : sequence of str
        Their names.

    Raises
    ------
    DataError
        If one of them is there.
    """
    for name in names:
        if (folder / name).exists():
            raise DataError(
                f"{folder} holds the results of an earlier run ({name}); choose another folder "
                "with --output, replace them with --overwrite, or continue with --resume"
            )


def remove_results(folder: Path, names: Sequence[str]) -> None:
    """Remove results of an earlier run, as far as they are there.

    Parameters
    ----------
    folder : Path
        Where they are.
    names : sequence of str
        Their names.
    """
    for name in names:
        (folder / name).unlink(missing_ok=True)
