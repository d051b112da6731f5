"""The errors that skcgcnn raises itself."""

import re
from collections.abc import Sequence

from skcgcnn._text import for_terminals

__all__ = [
    "DataError",
    "ProcessError",
    "StructureError",
    "TransientReadError",
    "UnseenElementsWarning",
]


class DataError(ValueError):
    """A data folder, an ``id_prop.csv`` or a model file is not as it should be.

    The message names the file and, where there is one, the line.
    """


class StructureError(ValueError):
    """A crystal cannot be read or cannot become a graph.

    The message names the file (or the position in X), the site and species where they are
    known, and what to do about it.

    Attributes
    ----------
    failures : list of (str, str)
        Of a call with several crystals: all that failed (a path or a position), and why. The
        message names the first ten.
    """

    failures: Sequence[tuple[str, str]] = ()

    def __init__(self, *args: object) -> None:
        # A value of a damaged file may be all the rest of it.
        super().__init__(*(shortened(one) if isinstance(one, str) else one for one in args))

    @classmethod
    def from_failures(
        cls, failures: Sequence[tuple[str, str]], n_total: int, *, into: str = "graphs"
    ) -> "StructureError":
        """Sum up every failure of one call.

        Parameters
        ----------
        failures : sequence of (str, str)
            What failed (a path or a position) and why.
        n_total : int
            Number of crystals in the call.
        into : str, default="graphs"
            What the crystals were to become.

        Returns
        -------
        StructureError
            One error that holds them all.
        """
        error = cls(f"{describe_failures(failures, n_total, into=into)}\n{_ADVICE}")
        error.failures = list(failures)
        return error


class ProcessError(RuntimeError):
    """A training on several processes lost one of them."""


class TransientReadError(StructureError):
    """A crystal could not be read for a reason that may be gone the next time.

    For example there were too many open files, or not enough memory. It is never cached.
    """


class UnseenElementsWarning(UserWarning):
    """A prediction is asked for elements that no training crystal contains.

    ``score`` does not give it, and a search or cross-validation of scikit-learn gives it once.
    """


# Of a line of a message, which may name a path of 4,096.
_MOST_LETTERS = 5_000


def shortened(text: str) -> str:
    """Return a message without the middle of its long lines.

    Examples
    --------
    >>> len(shortened(10_000 * "1"))
    5000
    """
    if len(text) <= _MOST_LETTERS:
        return text
    half = _MOST_LETTERS // 2
    return "\n".join(
        line if len(line) <= _MOST_LETTERS else f"{line[: half - 5]} ... {line[-half:]}"
        for line in text.split("\n")
    )


# More lines say no more, and there may be a hundred thousand.
_NAMED = 10
_CAUSES = 3
_ADVICE = "Repair or remove them, or pass on_error='nan' to continue without them."


def describe_failures(
    failures: Sequence[tuple[str, str]], n_total: int, *, into: str = "graphs"
) -> str:
    """Return a text with one line for each of the first crystals that failed."""
    head = f"{len(failures)} of {n_total} crystals cannot be turned into {into}:"
    more = len(failures) - _NAMED
    lines = [f"  {what}: {why}" for what, why in failures[:_NAMED]]
    return for_terminals("\n".join([head, *lines, *([f"  and {more} more"] if more > 0 else [])]))


def describe_notes(
    notes: Sequence[tuple[str, str]], n_total: int, *, complete: bool = False
) -> str:
    """Return one line about remarks on crystals, by their causes; all of them if complete."""
    crystals = dict.fromkeys(what for what, _ in notes)
    head = f"{len(crystals)} of {n_total} crystals were read with remarks:"
    if complete:
        return for_terminals("\n".join([head, *(f"  {what}: {why}" for what, why in notes)]))
    # Remarks that differ in numbers alone are of one cause.
    causes: dict[str, list[tuple[str, str]]] = {}
    for what, why in notes:
        causes.setdefault(re.sub(r"\d+", "#", why), []).append((what, why))
    parts = []
    for (what, why), *others in list(causes.values())[:_CAUSES]:
        parts.append(f"{what}: {why}" + (f" (and {len(others)} more such)" if others else ""))
    if len(causes) > _CAUSES:
        parts.append(f"and {len(causes) - _CAUSES} other causes")
    hint = "; verbose=2 lists all" if len(notes) > 1 else ""
    return for_terminals(f"{head} {'; '.join(parts)}{hint}")
