"""What a check finds, as rows of a table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from skcgcnn._text import encodable

# From the worst on. A remark is worth a look, and does not make data unsound.
SEVERITIES = ("error", "warning", "remark")


class Finding(NamedTuple):
    """Something that is odd about data.

    Attributes
    ----------
    kind : str
        What it is, in a few words that are the same for all of the kind.
    rows : sequence of int
        The crystals; none where it is about all of them.
    severity : {"error", "warning", "remark"}
    message : str
        A sentence or two, with what to do.
    """

    kind: str
    rows: Sequence[int]
    severity: str
    message: str


@dataclass(frozen=True)
class Names:
    """How messages name crystals.

    Attributes
    ----------
    ids : sequence of str
        Of all crystals.
    """

    ids: Sequence[Any]

    def __getitem__(self, row: int) -> str:
        return encodable(str(self.ids[row]))

    def some(self, rows: Iterable[int], most: int = 5) -> str:
        """Return the names of some crystals, and how many more there are."""
        rows = list(rows)
        shown = ", ".join(self[row] for row in rows[:most])
        return shown if len(rows) <= most else f"{shown} and {len(rows) - most} more"


def to_frame(findings: Iterable[Finding], names: Names) -> Any:
    """Return findings as a table, the worst first.

    Returns
    -------
    DataFrame
        With the columns kind, ids (lists of str), severity and message.
    """
    import pandas as pd

    # sorted is stable: findings of a severity stay in their order.
    rows = [
        (one.kind, [names[row] for row in one.rows], one.severity, one.message)
        for one in sorted(findings, key=lambda one: SEVERITIES.index(one.severity))
    ]
    return pd.DataFrame(rows, columns=["kind", "ids", "severity", "message"])
