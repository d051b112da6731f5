"""What is known of a fitted estimator."""

from collections.abc import Sequence
from inspect import cleandoc
from typing import Any

import numpy as np
import numpy.typing as npt
from skorch.history import History

from skcgcnn._declared import with_parameters
from skcgcnn._parameters import NetParameters
from skcgcnn._sklearn import Documented
from skcgcnn.nn import CrystalGraphConvNet
from skcgcnn.tasks import Task


class Fitted(Documented):
    """What is known of a fitted estimator.

    Attributes
    ----------
    targets_ : tuple of Task
        The columns of y: name, kind, classes, unit, and the mean and standard deviation of the
        training values, with which they are scaled for the network.
    target_names_ : list of str
        Their names: those of the columns of y where it was a DataFrame or Series.
    target_mean_, target_scale_ : ndarray of shape (n_targets,)
        Their mean and standard deviation (0 and 1 for classes).
    net_ : skorch.NeuralNet
        The net that was trained.
    module_ : CrystalGraphConvNet
        The torch module that predicts.
    history_ : skorch.history.History
        Losses and times, epoch by epoch; of the first network of an ensemble, as what follows.
    loss_curve_ : list of float
        Training loss of every epoch.
    validation_scores_ : list of float, or None
        R², accuracy or their mean on the validation crystals of `validation_data` or
        ``early_stopping=True``; None without such.
    best_epoch_ : int
        The epoch, counted from 1, whose weights predict: that with the lowest validation loss
        (among the last quarter of a fit from a general model), and without validation crystals
        the last one.
    best_validation_score_ : float or None
        The score of that epoch, as it was then. A fit ends with batch statistics that are taken
        anew, unless it starts from a general model: `score` of the same crystals then differs.
    n_iter_ : int
        Epochs trained.
    n_samples_fit_ : int
        Crystals trained on.
    elements_ : tuple of int, or None
        Atomic numbers of the elements that the training crystals may hold, those of `init_from`
        included, but not of a general model such as "chgnet-distilled"; None if that is not known.
        A prediction for other elements gives a warning that names them.
    fitted_params_ : dict
        Parameters with which the network was made, those of `net_params` beside the others.
    graph_options_ : GraphOptions
        How the graphs were made that it was fitted on. `predict` makes graphs in the same way,
        whatever the parameters are since, and refuses others.
    y_ndim_ : int
        Number of dimensions of y.
    """

    net_: Any
    targets_: Sequence[Task]
    n_iter_: int

    @property
    def module_(self) -> CrystalGraphConvNet:
        """The torch module behind the predictions."""
        module: CrystalGraphConvNet = self.net_.module_.average
        return module

    @property
    def target_names_(self) -> list[str]:
        """Name of every target."""
        return [target.name for target in self.targets_]

    @property
    def target_mean_(self) -> npt.NDArray[np.float64]:
        """Mean of every target over the training crystals; 0 for classes."""
        return np.array([target.mean for target in self.targets_])

    @property
    def target_scale_(self) -> npt.NDArray[np.float64]:
        """Standard deviation of every target over the training crystals; 1 for classes."""
        return np.array([target.scale for target in self.targets_])

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
        """Score of the validation crystals after every epoch; None without such crystals."""
        scores = [row.get("valid_score") for row in self.history_]
        return None if not scores or None in scores else scores

    @property
    def best_epoch_(self) -> int:
        """Epoch, from 1, whose weights predict: the last one where no crystals validate."""
        last = self.history_[-1] if self.history_ else {}
        return int(last.get("best_epoch", self.n_iter_))

    @property
    def best_validation_score_(self) -> float | None:
        """Score of the epoch whose weights predict; None without validation crystals."""
        scores = self.validation_scores_
        if scores is None:
            return None
        return float(scores[self.best_epoch_ - 1])


def documented(cls: type) -> type:
    """Put parameters, and the attributes that all have, into the docstring of an estimator."""
    cls = with_parameters(cls, NetParameters, "net_params")
    attributes = cleandoc(Fitted.__doc__ or "").partition("----------\n")[2]
    cls.__doc__ = (cls.__doc__ or "").replace("<attributes>", attributes)
    return cls
