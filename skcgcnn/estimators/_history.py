"""What happened in a fit, epoch by epoch, in scikit-learn's words."""

from typing import Any

import numpy as np
from skorch.history import History


class FitHistory:
    """Gives an estimator the course of its fit."""

    net_: Any

    @property
    def history_(self) -> History:
        """What skorch recorded, epoch by epoch."""
        return self.net_.history

    @property
    def loss_curve_(self) -> list[float]:
        """Training loss of every epoch, of the scaled targets; empty for a model of a file."""
        return [row["train_loss"] for row in self.history_]

    @property
    def validation_scores_(self) -> list[float] | None:
        """Score of the validation crystals (R², accuracy or their mean) after every epoch.

        None without validation crystals, see `fit` and `early_stopping`.
        """
        scores = [row.get("valid_score") for row in self.history_]
        return None if not scores or None in scores else scores

    @property
    def best_validation_score_(self) -> float | None:
        """Score of the epoch with the lowest validation loss, whose weights predict."""
        scores = self.validation_scores_
        if scores is None:
            return None
        keeper = dict(getattr(self.net_, "callbacks_", [])).get("best_epoch")
        # A fit that was continued has the best epoch of its last part.
        best = getattr(keeper, "best_epoch_", None)
        losses = np.nan_to_num(np.array(self.history_[:, "valid_loss"], dtype=float), nan=np.inf)
        return float(scores[best - 1 if best else int(losses.argmin())])
