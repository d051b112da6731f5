"""The report of a search of parameters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skcgcnn._text import for_figures
from skcgcnn.metrics import HeldOutError
from skcgcnn.plotting import BLUE, ORANGE
from skcgcnn.reports._html import Figure, Section, Table, new_figure, page

_ROWS = 30
# Why a trial failed that was in its folds when the time of the search ended.
TIME_UP = "the time was up"
_ERROR = "error / error of the simplest prediction"


@dataclass(frozen=True)
class Trial:
    """Parameters that were tried.

    Attributes
    ----------
    number : int
    params : mapping
        Those that are not as usual.
    errors : tuple of float
        Fold by fold, as shares of the error of the simplest prediction.
    outcome : {"complete", "given up", "failed"}
    why : str
        Why it failed.
    """

    number: int
    params: Mapping[str, Any]
    errors: tuple[float, ...]
    outcome: str
    why: str = ""

    @property
    def mean(self) -> float:
        """The mean error of its folds."""
        return float(np.mean(self.errors)) if self.errors else float("nan")


def usual_trial(trials: Sequence[Trial]) -> Trial | None:
    """Return that of the usual parameters; None where it did not come to its end."""
    complete = (each for each in trials if each.outcome == "complete")
    return next((each for each in complete if not each.params), None)


@dataclass(frozen=True)
class TuneResult:
    """What a report of a search tells of.

    Attributes
    ----------
    name : str
        Of the run.
    trials : sequence of Trial
    chosen : Trial or None
        The parameters that were taken; None where the usual ones were not tried to the end.
    command, python : str
        How to train with the chosen parameters.
    tested, usual : mapping of str to HeldOutError
        Errors on the test crystals with the chosen and with the usual parameters.
    """

    name: str
    trials: Sequence[Trial]
    chosen: Trial | None
    command: str
    python: str
    tested: Mapping[str, HeldOutError]
    usual: Mapping[str, HeldOutError]

    @property
    def usual_trial(self) -> Trial | None:
        """That of the usual parameters; None where it did not come to its end."""
        return usual_trial(self.trials)

    @property
    def text(self) -> str:
        """What came out, as a sentence."""
        usual, n = self.usual_trial, len(self.trials)
        tried = f"{n} {'trial' if n == 1 else 'trials'}"
        if usual is None or self.chosen is None:
            failed = (each for each in self.trials if each.outcome == "failed" and not each.params)
            if why := next((each.why for each in failed if each.why != TIME_UP), None):
                return (
                    f"{tried}: nothing could be compared with the usual parameters, which failed "
                    f"({why}); they were taken"
                )
            return (
                f"{tried}: the time was too short to try the usual parameters in all folds, so "
                "that nothing could be compared; they were taken"
            )
        if not self.chosen.params:
            return (
                f"{tried}: none was better than the usual parameters by more than chance; they "
                "were taken"
            )
        less = 1 - self.chosen.mean / usual.mean
        return (
            f"{tried}: the error of the cross-validation is {less:.0%} lower than with the usual "
            f"parameters ({self.chosen.mean:.3f} instead of {usual.mean:.3f} of the error of the "
            "simplest prediction). It is the best of many, and so it looks better than it is: "
            "the test crystals tell what was gained"
        )


def tune_report(result: TuneResult) -> str:
    """Return the report of a search as HTML, complete in itself."""
    sections = [
        Section("Summary", [f"{result.text}.", *_shown(result.chosen)]),
        Section(
            "To train so again",
            ["On the command line and in Python:"],
            [Table(["", ""], [["command", result.command], ["Python", result.python]])],
        ),
        _test(result),
        Section("What was tried", [_outcomes(result.trials)], list(_parts(result))),
    ]
    return page(f"Search of parameters: {result.name}", sections)


def _shown(chosen: Trial | None) -> list[str]:
    if chosen is None or not chosen.params:
        return []
    return ["Changed: " + ", ".join(f"{name} = {value}" for name, value in chosen.params.items())]


def _test(result: TuneResult) -> Section:
    """Tell the errors on crystals that the search did not see."""
    if not result.tested:
        return Section("Test crystals", ["There are none."])
    rows: list[list[Any]] = []
    for name, error in result.tested.items():
        rows.append([name, "usual", str(result.usual[name])])
        if result.chosen is not None and result.chosen.params:
            rows.append([name, "chosen", str(error)])
    lines = ["The search did not look at them."]
    return Section("Test crystals", lines, [Table(["target", "parameters", "error"], rows)])


def _outcomes(trials: Sequence[Trial]) -> str:
    counts = {
        word: sum(each.outcome == word for each in trials)
        for word in ("complete", "given up", "failed")
    }
    texts = {
        "complete": "{} in all folds",
        "given up": "{} given up early, since half of the others were better",
        "failed": "{} failed, or ended with the time",
    }
    return "; ".join(texts[word].format(count) for word, count in counts.items() if count) + "."


def _parts(result: TuneResult) -> Iterator[Figure | Table]:
    known = [each for each in result.trials if each.errors]
    if known:
        yield Figure(
            _by_number(known),
            "The error of each trial, complete (blue) or given up (gray), and the lowest so far. "
            "Errors of few folds are less certain.",
        )
    for name in sorted({name for each in known for name in each.params}):
        yield Figure(
            _by_value(known, name),
            f"The error by {name}; trials without a value have the usual one.",
        )
    ranked = sorted(result.trials, key=lambda each: (each.outcome != "complete", _last(each)))
    rows: list[list[Any]] = [
        [
            each.number,
            _last(each) if each.errors else "",
            len(each.errors),
            each.outcome if not each.why else f"{each.outcome}: {each.why}",
            ", ".join(f"{name} = {value}" for name, value in each.params.items()) or "as usual",
        ]
        for each in ranked[:_ROWS]
    ]
    title = "Trials" if len(ranked) <= _ROWS else f"The best {_ROWS} of {len(ranked)} trials"
    yield Table(["trial", "error", "folds", "outcome", "parameters"], rows, title)


def _last(trial: Trial) -> float:
    return trial.mean if trial.errors else float("inf")


def _by_number(trials: Sequence[Trial]) -> Any:
    figure, (ax,) = new_figure(1, (7.0, 3.2))
    for outcome, color in (("given up", "0.7"), ("complete", BLUE)):
        own = [each for each in trials if each.outcome == outcome]
        ax.scatter([e.number for e in own], [e.mean for e in own], s=18, color=color, label=outcome)
    complete = [each for each in trials if each.outcome == "complete"]
    if complete:
        lowest = np.minimum.accumulate([each.mean for each in complete])
        ax.step([e.number for e in complete], lowest, where="post", color=ORANGE, label="lowest")
    ax.set(xlabel="trial", ylabel=_ERROR)
    ax.legend(frameon=False)
    return figure


def _by_value(trials: Sequence[Trial], name: str) -> Any:
    figure, (ax,) = new_figure(1, (5.0, 3.0))
    own = [each for each in trials if name in each.params]
    values = [each.params[name] for each in own]
    if any(isinstance(value, str) for value in values):
        words = sorted(set(map(str, values)))
        places = [words.index(str(value)) for value in values]
        ax.set_xticks(range(len(words)), [for_figures(word) for word in words])
    else:
        places = values
        if min(values) > 0 and max(values) > 5 * min(values):
            ax.set_xscale("log")
    colors = [BLUE if each.outcome == "complete" else "0.7" for each in own]
    ax.scatter(places, [each.mean for each in own], s=18, c=colors)
    ax.set(xlabel=for_figures(name), ylabel=_ERROR)
    return figure
