"""A search of parameters within a time, and the model that it ends with: ``skcgcnn tune``."""

import json
import logging
import time
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from skcgcnn._files import atomic_write, write_text
from skcgcnn._progress import Progress
from skcgcnn._warnings import said_once
from skcgcnn.datasets import write_rows
from skcgcnn.estimators import BaseCGCNN
from skcgcnn.exceptions import DataError, UnseenElementsWarning
from skcgcnn.graphs import digest_crystals
from skcgcnn.metrics import HeldOutError
from skcgcnn.modelfiles import ModelState
from skcgcnn.reports import Trial, TuneResult, tune_report
from skcgcnn.tasks import is_missing
from skcgcnn.training._data import Part, RunData, load_run_data
from skcgcnn.training._fits import (
    check_params,
    digest_start,
    fit_parts,
    new_estimator,
    read_start,
)
from skcgcnn.training._folder import (
    FOUND,
    RESULTS,
    SEARCH,
    SEARCH_PAGE,
    SEARCHED,
    TRIALS,
    alone,
    refuse_results,
    remove_results,
)
from skcgcnn.training._rules import cross_validation_rows, find_groups, split_parts
from skcgcnn.training._run import Read, check_asked, read_graphs, train
from skcgcnn.training._search import N_FOLDS, SCRATCH, USUAL, Search, Space, choose, load_optuna
from skcgcnn.training._settings import Settings
from skcgcnn.training._split import check_enough
from skcgcnn.training._tested import Said, held_out, predict_part


def tune(
    settings: Settings,
    output: Path,
    *,
    seconds: float,
    n_trials: int | None = None,
    resume: bool = False,
    given: Collection[str] | None = None,
    overwrite: bool = False,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool = True,
    remarks: bool = False,
) -> dict[str, Any]:
    """Search parameters for some time, and train with the best.

    Each trial is a five-fold cross-validation of the training and validation crystals of a run;
    those of a group stay together. After one, two and four folds, trials that are not among the
    better half are given up (successive halving). The test crystals are not looked at before the
    end, when they are predicted with the usual and with the best parameters.

    Writes what `train` writes, with the best parameters, and ``tune.html``, ``trials.csv``,
    ``tune.json`` and ``tune.log``, from which a search that was interrupted goes on.

    Parameters
    ----------
    settings : Settings
        The run. Parameters that are given are not searched.
    output : Path
        Folder for the files; made if need be.
    seconds : float
        How long to search and train, reading not counted. The usual parameters are tried first.
    n_trials : int, optional
        So many trials at most; so many more where a search goes on.
    resume : bool, default=False
        Whether to go on with the search in `output`, for as many seconds more.
    given, overwrite, device, n_jobs, progress, remarks
        See `train`.

    Returns
    -------
    dict
        What stands in ``tune.json``: the parameters, errors of the cross-validation as shares of
        those of the simplest prediction, and test errors.

    Raises
    ------
    DataError
        If the data are not as they should be, or the search in `output` is of others.
    StructureError
        If crystals cannot be read.
    ImportError
        If Optuna is not installed.
    """
    check_asked(settings, output, device)
    settings = settings.with_ratios(given)
    check_params(settings)
    machine = {"device": device, "n_jobs": n_jobs, "on_error": settings.on_error, "verbose": 0}
    with said_once(), alone(output):
        is_begun = (output / SEARCH).exists()
        if not (resume and is_begun) and not overwrite:
            refuse_results(output, [*SEARCHED, *RESULTS])
        if resume and not is_begun:
            raise DataError(
                f"{output}: holds no search to go on with ({SEARCH}); name its folder with "
                "--output, or leave out --resume to begin one"
            )
        data = load_run_data(settings)
        run = _Run(settings, data, machine, quiet=not progress, remarks=remarks)
        if not resume:  # what was tried stays until the data are known to be right
            (output / SEARCH).unlink(missing_ok=True)
        with _quiet():
            search = Search(output / SEARCH, run.space, run.about(), settings.seed)
            _search(search, run, n_trials, time.monotonic() + seconds, enabled=progress)
            trials = search.trials()
        chosen = choose(trials)
        params = {} if chosen is None else chosen.params
        best = replace(settings, params={**settings.params, **params})
        usual = run.test(settings) if params else None
        # Those of an earlier search: the training may end from outside, beside a model of this one.
        remove_results(output, (TRIALS, SEARCH_PAGE, FOUND))
        metrics = train(
            best,
            output,
            overwrite=True,
            device=device,
            n_jobs=n_jobs,
            progress=progress,
            # Those of the search: what lies there by now may be others.
            read=Read(data, run.graphs, run.failures, run.grouping, run.start(best)),
        )
        tested = {name: HeldOutError(**error) for name, error in metrics["errors"].items()}
        result = TuneResult(
            name=output.resolve().name,
            trials=trials,
            chosen=chosen,
            command=_command(best),
            python=_python(best, data),
            tested=tested,
            usual=tested if usual is None else usual,
        )
        return _write(output, result)


class _Run:
    """The crystals of a search, and what is asked of them."""

    def __init__(
        self,
        settings: Settings,
        data: RunData,
        machine: Mapping[str, Any],
        *,
        quiet: bool,
        remarks: bool,
    ) -> None:
        self.settings, self.data, self.machine = settings, data, machine
        self.starts: dict[Any, ModelState | str | None] = {}
        transformer = self.estimator(settings).get_transformer()
        transformer.set_params(verbose=2 if remarks else int(not quiet))
        self.graphs, self.failures = read_graphs(transformer, data)
        self.grouping = find_groups(settings.split, data, self.graphs)
        self.parts = split_parts(settings, data, self.graphs, self.grouping)
        rows = np.sort(np.concatenate([self.parts[name].rows for name in ("train", "val")]))
        check_enough(rows, self.grouping.groups, N_FOLDS, "the folds of a search", self.grouping.by)
        folds = cross_validation_rows(settings, data, self.grouping, rows, N_FOLDS)
        self.folds = [
            {name: data.part(own, self.graphs) for name, own in fold.items()} for fold in folds
        ]
        self.classes = data.classes(self.graphs.n_sites > 0)

    def about(self) -> str:
        """Return what tells these crystals and settings from others."""
        settings = {n: v for n, v in asdict(self.settings).items() if n != "data"}
        about = [
            settings,
            self.data.fingerprint(),
            digest_crystals(self.graphs),
            self.space.usual,
        ]
        return json.dumps(about, sort_keys=True, default=lambda one: digest_start(one) or str(one))

    @cached_property
    def space(self) -> Space:
        """Return what is searched."""
        graphs = self.folds[0]["train"].graphs
        est = self.estimator(self.settings)
        usual = {USUAL: est._resolved_params(graphs)}
        if "init_from" not in self.settings.params and usual[USUAL]["init_from"] is not None:
            usual[SCRATCH] = est.set_params(init_from=None)._resolved_params(graphs)
        return Space(usual, frozenset(self.settings.params))

    def estimator(self, settings: Settings) -> BaseCGCNN:
        """Return an estimator that is not fitted."""
        est = new_estimator(settings, self.data, self.start(settings))
        found: BaseCGCNN = est.set_params(**self.machine)
        return found

    def start(self, settings: Settings) -> ModelState | str | None:
        """Return what networks start from; each file is read once."""
        source = settings.params.get("init_from")
        if source not in self.starts:
            self.starts[source] = read_start(settings, None, None)[0]
        return self.starts[source]

    def fit(self, settings: Settings, parts: dict[str, Part], *, composition: bool) -> Said:
        """Return what a network says of the test crystals of a split."""
        est = self.estimator(settings)
        fit_parts(est, {}, parts, self.classes)
        return predict_part(est, parts["train"], parts["test"], composition=composition)

    def evaluate(self, params: dict[str, Any], fold: int) -> float:
        """Return the error of a fold, as a share of that of the simplest prediction.

        It is the mean over the targets: absolute errors of numbers, and half the Brier scores of
        labels, which are shares of wrong labels where networks are sure. Where the simplest
        prediction is right for all, as of gaps of metals, its error is that on the other folds.
        """
        settings = replace(self.settings, params={**self.settings.params, **params})
        parts = self.folds[fold]
        said, shares = self.fit(settings, parts, composition=False), []
        tables = [parts[name].table().T for name in ("test", "train")]
        for prediction, simple, true, trained in zip(
            said.predictions, said.simple, *tables, strict=True
        ):
            target, known = prediction.target, ~is_missing(true)
            if known.any():
                worst = np.mean(target.misses(true, simple)[known])
                if not worst:
                    same = np.full(len(trained), simple[0], object)
                    worst = np.nanmean(target.misses(trained, same))
                errors = target.proper_errors(true, prediction)[known]
                shares.append(np.mean(errors) / (worst or 1.0))
        return float(np.mean(shares))

    def test(self, settings: Settings) -> dict[str, HeldOutError]:
        """Return the test errors of a run."""
        said = self.fit(settings, self.parts, composition=True)
        return dict(held_out(said, self.data, self.graphs, self.grouping.groups).errors)


def _search(
    search: Search, run: _Run, n_trials: int | None, deadline: float, *, enabled: bool
) -> None:
    best = min((each.mean for each in search.trials() if each.outcome == "complete"), default=None)
    with Progress(n_trials, "trial", enabled=enabled) as shown:

        def tell(trial: Trial) -> None:
            nonlocal best
            if trial.outcome == "complete":
                best = trial.mean if best is None else min(best, trial.mean)
            facts = "" if best is None else f"best error {best:.3f} of the simplest prediction's"
            shown.update(1, facts)

        search.run(run.evaluate, n_trials, deadline, tell)


@contextmanager
def _quiet() -> Iterator[None]:
    """Print no line for each trial and fold: there is a page, and the last model tells its own."""
    load_optuna()  # which sets the level
    logger = logging.getLogger("optuna")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnseenElementsWarning)
            yield
    finally:
        logger.setLevel(before)


def _command(settings: Settings) -> str:
    """Return the command that trains with these settings."""
    return " ".join(["skcgcnn", "train", *settings.typed()])


def _python(settings: Settings, data: RunData) -> str:
    """Return the estimator with these settings as Python has it."""
    est = new_estimator(settings, data, None)
    params = settings.parameters()
    if params.get("init_from") == SCRATCH:
        params["init_from"] = None
    if settings.task == "multi":
        params["tasks"] = est.get_params(deep=False)["tasks"]
    text = ", ".join(f"{name}={value!r}" for name, value in params.items())
    return f"{type(est).__name__}({text})"


def _write(output: Path, result: TuneResult) -> dict[str, Any]:
    """Write what was tried and what came out."""
    names = sorted({name for each in result.trials for name in each.params})
    header = ["trial", "outcome", "error", "folds", *names]
    rows: list[list[Any]] = [
        [
            each.number,
            each.outcome if not each.why else f"{each.outcome}: {each.why}",
            each.mean if each.errors else "",
            len(each.errors),
            *(each.params.get(name, "usual") for name in names),
        ]
        for each in result.trials
    ]
    with atomic_write(output / TRIALS) as file:
        write_rows(file, [header, *rows])
    found = {
        "params": {} if result.chosen is None else dict(result.chosen.params),
        "command": result.command,
        "python": result.python,
        "n_trials": len(result.trials),
        "cross_validation": {
            name: None if each is None else each.mean
            for name, each in (("usual", result.usual_trial), ("chosen", result.chosen))
        },
        "test": {
            name: {target: asdict(error) for target, error in errors.items()}
            for name, errors in (("usual", result.usual), ("chosen", result.tested))
        },
        "text": result.text,
    }
    write_text(output / FOUND, json.dumps(found, indent=2) + "\n")
    write_text(output / SEARCH_PAGE, tune_report(result))
    return found
