"""A search of parameters by Optuna: what to try next, and what to give up early."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from scipy.stats import ttest_rel

from skcgcnn._lazy import needed
from skcgcnn.exceptions import DataError
from skcgcnn.reports import TIME_UP, Trial, usual_trial
from skcgcnn.training._journal import Journal

# So many folds, each with about as many crystals of every class.
N_FOLDS = 5
# Where training may start: as usual, or from scratch.
USUAL, SCRATCH = "auto", "none"
# What is tried in the place of what a parameter usually is: values, or factors around it.
_VALUES: dict[str, tuple[Any, ...]] = {
    "dropout": (0.0, 0.1, 0.2, 0.3),
    "n_conv": (2, 3, 4, 5),
    "atom_fea_len": (32, 64, 96, 128),
}
_FACTORS = {"lr": 3.0, "weight_decay": 10.0, "max_epochs": 2.0}
# Those of a model that training starts from are as they are.
_SIZES = {"n_conv", "atom_fea_len"}
# Trials that are drawn at random before the others decide.
_RANDOM = 10
_STUDY = "skcgcnn tune"
# Chance that parameters which are no better than the usual ones are taken.
_LEVEL = 0.05
# Where so many in a row fail, so will others: a parameter that is given may be impossible.
_MOST_FAILURES = 10


@dataclass(frozen=True)
class Space:
    """What is searched.

    Attributes
    ----------
    usual : dict of str to dict
        The parameters as they are without a search, by where training starts.
    fixed : frozenset of str
        Parameters that are given, and not searched.
    """

    usual: Mapping[str, Mapping[str, Any]]
    fixed: frozenset[str]

    def names(self, start: str) -> Iterator[str]:
        """Yield the parameters that are searched from a start."""
        for name in (*_VALUES, *_FACTORS):
            is_number = isinstance(self.usual[start].get(name), (int, float))
            is_given = name in _SIZES and self.usual[start]["init_from"] is not None
            if name not in self.fixed and is_number and not is_given:
                yield name

    def usual_point(self, start: str) -> dict[str, Any]:
        """Return the point at which every parameter is as usual."""
        own = self.usual[start]
        names = self.names(start)
        return {"start": start} | {n: own[n] if n in _VALUES else 1.0 for n in names}

    def params(self, trial: Any) -> dict[str, Any]:
        """Return the parameters of a trial that are not as usual."""
        start = trial.suggest_categorical("start", list(self.usual))
        own = self.usual[start]
        found: dict[str, Any] = {} if start == USUAL else {"init_from": start}
        for name in self.names(start):
            if name in _VALUES:
                # A usual value that a user would not find here is one more.
                values = sorted({*_VALUES[name], own[name]})
                value = trial.suggest_categorical(name, values)
            else:
                most = _FACTORS[name]
                factor = trial.suggest_float(name, 1 / most, most, log=True)
                value = own[name] if factor == 1.0 else _rounded(own[name], factor)
            if value != own[name]:
                found[name] = value
        return found


def _rounded(usual: float, factor: float) -> float:
    """Return a multiple that can be read: three digits, or a whole number."""
    if isinstance(usual, int):
        return max(1, round(usual * factor))
    return float(f"{usual * factor:.3g}")


class Search:
    """A search that can be interrupted and goes on from its file.

    Parameters
    ----------
    file : Path
        The history, which Optuna writes.
    space : Space
        What is searched.
    about : str
        What tells these crystals and settings from others.
    seed : int
        Decides what is tried.

    Raises
    ------
    DataError
        If the file is of another search, or no history.
    """

    def __init__(self, file: Path, space: Space, about: str, seed: int) -> None:
        optuna = load_optuna()
        self.file, self.space = file, space
        with _named(file):
            storage = optuna.storages.JournalStorage(Journal(file))
            self.study = optuna.create_study(
                storage=storage,
                study_name=_STUDY,
                load_if_exists=True,
                pruner=optuna.pruners.SuccessiveHalvingPruner(reduction_factor=2),
            )
            before = self.study.user_attrs.get("about")
            trials = self.study.get_trials()
        # One without either ended before it began.
        if before != about and (before is not None or trials):
            raise DataError(
                f"{file}: is the search of other crystals, settings or options; restore them, or "
                "begin anew with --overwrite"
            )
        # Other trials than those before, which the same random numbers would give.
        self.study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=_RANDOM, seed=seed + len(trials)
        )
        self.study.set_user_attr("about", about)
        self._wanted = self._begin(trials)

    def _begin(self, trials: list[Any]) -> list[dict[str, Any]]:
        """Return the usual parameters, which come first, and what ended with its process or time.

        Optuna gets each when it is its turn: those that it has already would come before.
        """
        state = load_optuna().trial.TrialState
        wanted = [self.space.usual_point(start) for start in self.space.usual]
        known, left = [], []
        for each in trials:
            point = each.system_attrs.get("fixed_params", each.params)
            if each.state == state.RUNNING:
                self.study.tell(each.number, state=state.FAIL)
            if each.state == state.RUNNING or _ended_early(each):
                wanted.append(point)
            else:
                known.append(point)
        for point in wanted:
            if point and point not in known:
                left.append(point)
                known.append(point)
        return left

    def run(
        self,
        evaluate: Callable[[dict[str, Any], int], float],
        n_trials: int | None,
        deadline: float,
        shown: Callable[[Trial], None],
    ) -> None:
        """Try parameters until the time is up.

        After one, two and four folds, a trial that is not among the better half is given up, but
        for the usual parameters, which all others are compared with.

        Parameters
        ----------
        evaluate : callable
            From parameters and the number of a fold to an error.
        n_trials : int or None
            So many trials at most, beside those of before.
        deadline : float
            Of `time.monotonic`. What is left after it is not tried.
        shown : callable
            Gets each trial after its end.
        """
        state = load_optuna().trial.TrialState
        clock = _Clock(deadline)
        done = n_failures = 0
        while (
            (n_trials is None or done < n_trials)
            and n_failures < _MOST_FAILURES
            and clock.has_time()
        ):
            if self._wanted:
                self.study.enqueue_trial(self._wanted.pop(0))
            trial = self.study.ask()
            params = self.space.params(trial)
            trial.set_user_attr("params", params)
            errors: list[float] = []
            outcome, why = state.COMPLETE, ""
            try:
                for fold in range(N_FOLDS):
                    if not clock.has_time():
                        outcome, why = state.FAIL, TIME_UP
                        break
                    with clock.measured(trial.number):
                        errors.append(evaluate(params, fold))
                    if not np.isfinite(errors[-1]):
                        outcome, why = state.FAIL, "the training diverged"
                        break
                    trial.set_user_attr("errors", errors)
                    trial.report(float(np.mean(errors)), fold + 1)
                    if fold + 1 < N_FOLDS and params and trial.should_prune():
                        outcome = state.PRUNED
                        break
            except ValueError as error:  # also of networks whose predictions are no numbers
                outcome, why = state.FAIL, str(error) or repr(error)
            except BaseException:  # `_begin` tries it again
                self.study.tell(trial, state=state.FAIL)
                raise
            trial.set_user_attr("why", why)
            value = float(np.mean(errors)) if outcome == state.COMPLETE else None
            self.study.tell(trial, value, state=outcome)
            done += 1
            n_failures = n_failures + 1 if outcome == state.FAIL else 0
            shown(self.trials()[-1])

    def trials(self) -> list[Trial]:
        """Return what was tried, in order, without what was interrupted."""
        state = load_optuna().trial.TrialState
        words = {state.COMPLETE: "complete", state.PRUNED: "given up", state.FAIL: "failed"}
        with _named(self.file):
            return [
                _read(each, words[each.state])
                for each in self.study.get_trials()
                if each.state in words and not _ended_early(each, "")
            ]


def _ended_early(trial: Any, *why: str) -> bool:
    """Tell whether a trial failed that did not fail by itself."""
    has_failed = trial.state == load_optuna().trial.TrialState.FAIL
    return has_failed and trial.user_attrs.get("why", "") in (why or ("", TIME_UP))


def _read(trial: Any, outcome: str) -> Trial:
    """Return a trial of the history."""
    own = trial.user_attrs
    errors = tuple(map(float, own.get("errors", ())))
    if outcome == "complete" and len(errors) != N_FOLDS:
        raise ValueError(f"trial {trial.number} has {len(errors)} folds")
    return Trial(
        number=trial.number,
        params=dict(own["params"]),
        errors=errors,
        outcome=outcome,
        why=str(own["why"]),
    )


class _Clock:
    """Tells whether there is time for one more fold, and for the fits at the end."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.seconds = dict[int, list[float]]()

    @contextmanager
    def measured(self, trial: int) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds.setdefault(trial, []).append(time.monotonic() - begun)

    def has_time(self) -> bool:
        means = [float(np.mean(each)) for each in self.seconds.values()]
        if not means:
            return time.monotonic() < self.deadline
        # At the end two networks are fitted, each on a quarter more crystals than in a fold: with
        # the usual parameters, which were the first, and perhaps with those that take longest.
        left = 1.25 * (means[0] + max(means)) + float(np.median(means))
        return time.monotonic() + left < self.deadline


def choose(trials: list[Trial]) -> Trial | None:
    """Return the trial whose parameters are taken.

    They are the usual ones, unless others are better by more than chance: by a paired t-test over
    the folds at 5 %, divided by the number of trials (Bonferroni), for the best of many is better
    than it should be.

    Returns
    -------
    Trial or None
        None where the usual parameters were not tried to the end.
    """
    usual = usual_trial(trials)
    if usual is None:
        return None
    level = _LEVEL / len(trials)
    with np.errstate(all="ignore"):  # errors that are the same in all folds
        better = [
            each
            for each in trials
            if each.outcome == "complete"
            and ttest_rel(usual.errors, each.errors, alternative="greater").pvalue < level
        ]
    return min(better, key=lambda each: each.mean, default=usual)


def load_optuna() -> Any:
    """Return the package that searches.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    with needed("skcgcnn tune needs Optuna", "skcgcnn[optuna]"):
        import optuna
    return cast("Any", optuna)


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Name the file in whatever Optuna raises from what is in it."""
    try:
        yield
    except (OSError, MemoryError, ImportError):
        raise
    except Exception as error:
        raise DataError(
            f"{file}: is not a history of skcgcnn tune ({error!r}); begin anew with --overwrite"
        ) from error
