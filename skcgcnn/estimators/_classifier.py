"""The CGCNN classifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Self, cast

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets

from skcgcnn._sklearn import StrOptions
from skcgcnn.estimators._base import BaseCGCNN
from skcgcnn.estimators._columns import column_names, is_missing, split_columns
from skcgcnn.estimators._targets import FloatArray, encode_classes, readable, warn_of_one_class
from skcgcnn.modelfiles import Target


@dataclass(kw_only=True, eq=False, repr=False)
class CGCNNClassifier(ClassifierMixin, BaseCGCNN):
    """Crystal graph convolutional network that predicts classes.

    The network of Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018), with another convolution
    by default (`conv`), as a scikit-learn estimator, with one output per class and the
    cross-entropy as its loss.

    Parameters
    ----------
    recipe : {"default", "paper"}, default="default"
        What parameters with the value "auto" stand for: the choices of this library, or those of
        Xie & Grossman (2018) and their code; `skcgcnn.RECIPES` lists both.
    conv : {"auto", "edge", "gated"}, default="auto"
        Convolution: "gated" is that of the paper, which official weights need; "edge" updates
        the features of bonds too (`skcgcnn.nn.EdgeConv`).
    pooling : {"mean", "sum", "attention"}, default="mean"
        How a crystal's features come from its sites': their mean; for extensive targets the sum
        of outputs by site; or a mean with learned weights.
    reference : bool or "auto", default="auto"
        Whether numbers are first fitted by a ridge regression on the composition, so that the
        network learns what is left. With `init_from` it is as in that model.
    element_embedding : bool or "auto", default="auto"
        Whether the elements of the training crystals get learned features beside those of
        `atom_features` (200 kinds of site at most); "auto" is from 500 crystals on, and never with
        ``recipe="paper"``. With `init_from` it is as in that model, whatever is set.
    atom_fea_len : int, default=64
        Hidden features per site.
    n_conv : int, default=3
        Number of convolutions.
    h_fea_len : int, default=128
        Hidden features per crystal, after pooling.
    n_h : int, default=1
        Number of hidden layers after pooling.
    heads : {"shared", "separate"}, default="shared"
        Whether several targets share the hidden layers after pooling, or each has its own.
    dropout : float or "auto", default="auto"
        Share that is dropped in training: of the bonds, which then do not change, with
        ``conv="edge"``; of the pooled features with "gated".
    radius : float, default=8.0
        Initial cutoff of the neighbor search, and last center of the Gaussian expansion of
        distances, in Å. Sites with too few neighbors within it are searched further out.
    max_num_nbr : int, default=12
        Neighbors per site.
    atom_features : None, path or mapping, default=None
        Features of the elements, see `CrystalGraphTransformer`.
    neighbor_ties : {"invariant", "official"}, default="invariant"
        What decides between neighbors at the same distance: the crystal alone, or, as in the
        original CGCNN code, the order of its sites. See `CrystalGraphTransformer`.
    merge_tol : float or None, default=1e-05
        Distances in one crystal that differ by no more, in Å, can count as equal; None merges
        nothing. See `CrystalGraphTransformer`.
    lr : float or "auto", default="auto"
        Learning rate; the highest one of a schedule. The default recipe has 0.004, or 0.001 where
        `init_from` brings convolutions that are trained on.
    schedule : {"auto", "one_cycle", "constant"}, default="auto"
        Course of the learning rate over a fit. "one_cycle" rises and then falls to nearly nothing;
        `partial_fit`, which does not know its end, keeps it constant. Choose "constant" for
        callbacks that change it.
    max_epochs : int or "auto", default="auto"
        Number of passes over the training crystals; "auto" guarantees enough steps to few
        crystals.
    batch_size : int or "auto", default="auto"
        Maximum number of crystals per batch in training; "auto" depends on their number.
    max_batch_sites : int or None, default=None
        Maximum number of sites per batch in training, for crystals of very different sizes.
        Larger batches are split; a crystal above the limit forms its own batch.
    optimizer : {"auto", "adamw", "adam", "sgd"} or torch optimizer class, default="auto"
        "sgd" has a momentum of 0.9. More options go through `net_params`, for example
        ``{"optimizer__amsgrad": True}``.
    weight_decay : float, "auto" or None, default="auto"
        Weight decay of the optimizer; None is the default of the optimizer (0.01 for "adamw", 0
        for "adam" and "sgd"). Biases do not decay.
    max_grad_norm : float, "auto" or None, default="auto"
        Gradients with a larger norm are scaled down to it; None leaves them as they are.
    loss : {"auto", "mse", "mae", "huber", "gaussian_nll"}, default="auto"
        Error of a scaled number in the loss: squared, absolute, that of Huber, which is less
        sensitive to outliers, or the negative log likelihood of a normal distribution, whose
        variance is learned too.
    ema_decay : float or "auto", default="auto"
        Decay per step of the exponential moving average of the weights used for prediction; 0
        predicts with the last weights.
    callbacks : list of skorch callbacks or None, default=None
        Copies of them are used.
    device : str or torch.device, default="auto"
        "auto" is the GPU where torch sees one, else the CPU.
    accelerator : accelerate.Accelerator or None, default=None
        Processes to train on, each of which calls `fit` with the same data: they share every batch.
        It decides the device. Needs ``skcgcnn[accelerate]``.
    precision : {"float32", "bfloat16", "float64"}, default="float32"
        Type in which the network computes. "bfloat16" (autocast: the parameters stay float32) is
        meant for GPUs; on the CPUs that were measured it was not faster. "float64" makes
        predictions equal to 1e-12 whatever else is in the call. Predictions are float64 numbers
        in any case.
    compile : bool, default=False
        Whether torch compiles the network, for GPUs; on a CPU it gained nothing.
    net_params : dict or None, default=None
        Further options of the optimizer, of callbacks and of torch.compile, as skorch names them:
        ``optimizer__...``, ``callbacks__...``, ``compile__...``.
    n_estimators : int, default=1
        Number of networks, which differ in their initial weights and batches and predict
        together. `n_jobs` of them are fitted at a time.
    init_from : estimator, path, str or None, default=None
        Model to start from: a fitted estimator, a file (see `skcgcnn.load`), or the name of an
        official model (see `skcgcnn.modelfiles.PRETRAINED`). Its embedding and convolutions are
        copied, and the parts of its head that fit; targets are scaled anew. Sizes must be the
        same: `skcgcnn.estimators.architecture` returns them. With `warm_start`, for the first
        fit only.
    freeze : {"none", "convs"} or int, default="none"
        Layers of `init_from` that training leaves as they are, to the bit: none, the embedding
        and all convolutions, or that many layers from the input (1 is the embedding alone).
    conv_lr_factor : float, default=1.0
        Learning rate of embedding and convolutions as a multiple of `lr`. Below 1 they stay
        closer to `init_from`. Decided when the network is made.
    warm_start : bool, default=False
        Whether `fit` continues from the last fit.
    early_stopping : bool, default=False
        Whether to hold out crystals, stop when their loss no longer falls, and keep the weights
        of the best epoch.
    validation_fraction : float, default=0.1
        Share of the crystals held out for early stopping.
    n_iter_no_change : int, default=10
        Epochs without a lower validation loss before training stops.
    random_state : int, RandomState instance or None, default=None
        Decides the initial weights, batches, dropout and validation split. An int makes a fit
        repeatable to the bit on the CPU; torch's own random state stays as it was.
    n_jobs : int or None, default=None
        Number of workers that read crystals.
    on_error : {"raise", "nan"}, default="raise"
        What to do with crystals that cannot be read, see `CrystalGraphTransformer`. With "nan"
        they are left out of a fit and their prediction is NaN.
    verbose : int, default=0
        1 shows one line of progress: crystals read a second; then the epoch, errors in units of y,
        and the time left. Log files get plain lines. 2 lists all remarks about files, not only the
        first, and prints skorch's table of the epochs.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss, as in scikit-learn.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    targets_ : tuple of Target
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
        With ``early_stopping=True``: R², accuracy or their mean on the validation crystals.
    best_validation_score_ : float or None
        That of the epoch with the lowest validation loss, whose weights predict.
    n_iter_ : int
        Epochs trained.
    n_samples_fit_ : int
        Crystals trained on.
    elements_ : tuple of int, or None
        Atomic numbers of the elements that the training crystals may hold; None if that is not
        known. A prediction for other elements gives a warning that names them.
    fitted_params_ : dict
        Parameters with which the network was made.
    graph_options_ : GraphOptions
        How the graphs were made that it was fitted on. `predict` makes graphs in the same way,
        whatever the parameters are since, and refuses others.
    y_ndim_ : int
        Number of dimensions of y.

    See Also
    --------
    CGCNNRegressor : predicts numbers.
    CGCNNMultiTask : predicts numbers and classes together.

    Examples
    --------
    >>> from skcgcnn import CGCNNClassifier
    >>> from skcgcnn.datasets import load_sample_classification
    >>> cifs, is_metal = load_sample_classification(return_X_y=True)
    >>> est = CGCNNClassifier(max_epochs=2, random_state=0).fit(cifs, is_metal)
    >>> est.predict_proba(cifs[:3]).shape
    (3, 2)
    """

    class_weight: Any = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseCGCNN._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.
        y : array-like of shape (n_crystals,)
            Labels.
        classes : array-like of shape (n_classes,), optional
            All labels that later calls may bring; needed in the first call, unless its y holds
            them all.
        sample_weight : array-like of shape (n_crystals,), optional
            Weights of the crystals.

        Returns
        -------
        self : CGCNNClassifier
        """
        return self._partial_fit(X, y, sample_weight, classes)

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.

        Returns
        -------
        ndarray of shape (n_crystals, n_classes)
            In the order of `classes_`; NaN for crystals that could not be read.
        """
        return self._predict_proba(X)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict the classes.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.

        Returns
        -------
        ndarray of shape (n_crystals,)
            Labels. Where crystals could not be read, NaN; the array is then one of floats or
            objects.
        """
        return self._predict_values(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.
        y : array-like of shape (n_crystals,)
            True labels.
        sample_weight : array-like of shape (n_crystals,), optional
            Weights of the crystals.

        Returns
        -------
        float
            With ``on_error="nan"``, crystals that could not be read are left out, with a warning.
        """
        predicted = self.predict(X)
        known, weights = readable(predicted, y, sample_weight)
        # Missing predictions had made floats or objects of the labels.
        guessed = predicted[known].astype(self.classes_.dtype)
        return float(accuracy_score(np.asarray(y)[known], guessed, sample_weight=weights))

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The classes, sorted."""
        return cast("npt.NDArray[Any]", self.targets_[0].classes)

    def _encode(
        self, y: Any, fitted: Sequence[Target] | None, classes: Any = None
    ) -> tuple[FloatArray, tuple[Target, ...]]:
        if (missing := is_missing(split_columns(y)[0])).any():
            raise ValueError(
                f"Input y contains NaN or None, first in row {missing.argmax()}. Leave such rows "
                "out, or use CGCNNMultiTask, which takes missing labels"
            )
        check_classification_targets(y)
        labels = column_or_1d(y, warn=True)
        if fitted is None:
            (name,) = column_names(y, ["target"])
            found = np.unique(labels if classes is None else classes)
            warn_of_one_class(found, name)
            fitted = [Target(name, "classification", found)]
        _, codes = encode_classes(labels, fitted[0].classes)
        return codes, tuple(fitted)

    def _class_weights(self, values: FloatArray, targets: Sequence[Target]) -> FloatArray:
        classes = targets[0].classes
        if self.class_weight is None or classes is None:
            return super()._class_weights(values, targets)
        if isinstance(self.class_weight, dict):
            for label, weight in self.class_weight.items():
                if not (isinstance(weight, Real) and 0 <= float(weight) < np.inf):
                    raise ValueError(
                        f"class_weight={self.class_weight!r}: the weight of {label!r} must be a "
                        "number of at least 0"
                    )
        labels = classes[values[:, 0].astype(int)]
        return np.asarray(compute_sample_weight(self.class_weight, labels))
