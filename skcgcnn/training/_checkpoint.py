"""What a training run writes while it trains."""

import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from skorch.callbacks import Callback

from skcgcnn.estimators import BaseCGCNN
from skcgcnn.modelfiles import write_checkpoint
from skcgcnn.nn import BestEpoch
from skcgcnn.training._folder import BEST, CHECKPOINT, ORIGINAL, TOLD, remove_results


class RunCheckpoint(Callback):
    """Writes every epoch as a checkpoint, and the best as a model; removes what was told of others.

    Parameters
    ----------
    est : estimator
        The one that is fitted.
    run : dict
        Plain values of the run to keep with the checkpoint.
    output : Path
        Folder to write to.
    best : BestEpoch
        Knows the best epoch; called before this one.
    """

    def __init__(self, est: BaseCGCNN, run: dict[str, Any], output: Path, best: BestEpoch) -> None:
        self.est, self.run, self.output, self.best = est, run, output, best

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write."""
        est = self.est
        est.n_iter_ = len(net.history)
        loss = net.history[-1].get("valid_loss")
        if loss is None or self.best.best_epoch_ == est.n_iter_:
            write_model(est, self.output, {"validation loss": loss})
        # A run that is ended from outside leaves no numbers of another model beside this one, and
        # one that cannot write its first checkpoint leaves none that goes on with another run.
        others = (ORIGINAL, *TOLD) if est.n_iter_ > 1 else (CHECKPOINT, ORIGINAL, *TOLD)
        remove_results(self.output, others)
        state = est._get_model_state(training=True)
        run = {**self.run, "best_epoch": self.best.best_epoch_}
        best = self.best.best_weights_
        training = replace(state.training, run=run, best=best)  # type: ignore[type-var]
        write_checkpoint(replace(state, training=training), self.output / CHECKPOINT)


def write_model(est: BaseCGCNN, output: Path, metrics: dict[str, float | None]) -> None:
    """Write the model of a run, with what is known of its quality.

    Parameters
    ----------
    est : fitted estimator
    output : Path
        Folder to write to.
    metrics : dict
        Measures by name; None and NaN are left out.
    """
    known = {name: v for name, v in metrics.items() if v is not None and math.isfinite(v)}
    est.save(output / BEST, metrics=known)


def write_original(est: BaseCGCNN, output: Path) -> None:
    """Write the model for the original code, if that has such a network."""
    with suppress(ValueError):  # names what the original does not have
        est.save(output / ORIGINAL, layout="cgcnn")
