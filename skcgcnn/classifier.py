"""The CGCNN classifier."""

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets

from skcgcnn._base import BaseCGCNN, FloatArray
from skcgcnn._labels import encode_classes, mark_missing
from skcgcnn.nn import Task

__all__ = ["CGCNNClassifier"]


class CGCNNClassifier(ClassifierMixin, BaseCGCNN):
    """Crystal graph convolutional network that predicts classes.

    The network of Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018), as a scikit-learn
    estimator, with one output a class and the cross-entropy as its loss.

    Parameters
    ----------
    atom_fea_len : int, default=64
        Hidden features a site.
    n_conv : int, default=3
        Number of convolutions.
    h_fea_len : int, default=128
        Hidden features a crystal, after pooling.
    n_h : int, default=1
        Number of hidden layers after pooling.
    dropout : float, default=0.0
        Share of the pooled features that is dropped in training.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss, as in scikit-learn.
    radius : float, default=8.0
        Where the search for neighbours begins, and where the Gaussian expansion of distances
        ends, in Å.
    max_num_nbr : int, default=12
        Number of neighbours a site. Not used where X is CrystalGraphs.
    atom_features : None, path or mapping, default=None
        Features of the elements, see `CrystalGraphTransformer`.
    neighbor_ties : {"invariant", "official"}, default="invariant"
        What decides between neighbours at the same distance: the crystal alone, or, as in the
        original CGCNN code, the order of its sites. See `CrystalGraphTransformer`.
    lr : float, default=0.001
        Learning rate.
    max_epochs : int, default=30
        Number of passes over the training crystals.
    batch_size : int, default=64
        Most crystals a batch in training.
    max_batch_sites : int, optional
        Most sites a batch, where crystals differ much in size: a batch with more is divided. A
        crystal with more makes a batch of its own.
    optimizer : {"adamw", "adam", "sgd"} or torch optimizer class, default="adamw"
        "sgd" has a momentum of 0.9. More options go through `net_params`, for example
        ``{"optimizer__weight_decay": 1e-4}``.
    ema_decay : float, default=0.99
        Decay, a training step, of the moving average of the weights, by which predictions are
        made; 0 predicts by the last weights.
    callbacks : list of skorch callbacks, default=None
        Copies of them are used.
    device : str or torch.device, default="auto"
        "auto" is the GPU where torch sees one, else the CPU.
    precision : {"float32", "bfloat16", "float64"}, default="float32"
        Type in which the network computes. "bfloat16" (autocast: the parameters stay float32) is
        faster where the processor has it; "float64" makes predictions equal to 1e-12 whatever
        else is in the call. Predictions are float64 numbers in any case.
    compile : bool, default=False
        Whether torch compiles the network, for GPUs; on a CPU it gained nothing.
    net_params : dict, default=None
        Passed on to `skorch.NeuralNet`; overrules what the estimator sets.
    init_from : estimator, path or str, default=None
        Model to begin from: fitted, a file (see `skcgcnn.load`), or the name of an official one
        (see `skcgcnn.pretrained.PRETRAINED`). Its embedding and convolutions are taken over, and
        of its head what fits; targets are scaled anew. Sizes must be the same, see
        `skcgcnn.checkpoints.architecture`. With `warm_start` it is for the first fit only.
    freeze : {"none", "convs"} or int, default="none"
        Which layers of `init_from` stay as they are to the bit: none, the embedding and all
        convolutions, or that many layers from the input (1 is the embedding alone).
    conv_lr_factor : float, default=1.0
        Learning rate of embedding and convolutions as a share of `lr`; below 1 they move slowly
        away from `init_from`. Decided when the network is made.
    warm_start : bool, default=False
        Whether `fit` goes on from the last fit.
    early_stopping : bool, default=False
        Whether to hold back crystals, to stop when their loss no longer falls, and to keep the
        weights of the best epoch.
    validation_fraction : float, default=0.1
        Share of the crystals to hold back for early stopping.
    n_iter_no_change : int, default=10
        Epochs without a better validation loss before training stops.
    random_state : int, RandomState instance or None, default=None
        Decides the initial weights, batches, dropout and validation split. An int makes a fit
        repeatable to the bit on the CPU; torch's own random state stays as it was.
    n_jobs : int, default=None
        Number of workers that read crystals.
    on_error : {"raise", "nan"}, default="raise"
        What to do with crystals that cannot be read, see `CrystalGraphTransformer`. With "nan"
        they are left out of a fit and their prediction is NaN.
    verbose : int, default=0
        1 shows progress in reading and a line an epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    net_ : skorch.NeuralNet
        The net that was trained.
    module_ : CrystalGraphConvNet
        The torch module that predicts.
    history_ : skorch.history.History
        Losses and times, epoch by epoch.
    n_iter_ : int
        Epochs trained.
    n_samples_fit_ : int
        Crystals trained on.
    target_mean_, target_scale_ : ndarray of shape (n_targets,)
        Mean and standard deviation of the training targets, with which they are scaled for the
        network (0 and 1 for classes).
    graph_layout_ : tuple of int
        Neighbours a site and features a kind of site.

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

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseCGCNN._parameter_constraints,  # noqa: SLF001 - scikit-learn's convention
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        *,
        atom_fea_len: int = 64,
        n_conv: int = 3,
        h_fea_len: int = 128,
        n_h: int = 1,
        dropout: float = 0.0,
        class_weight: Any = None,
        radius: float = 8.0,
        max_num_nbr: int = 12,
        atom_features: Any = None,
        neighbor_ties: str = "invariant",
        lr: float = 0.001,
        max_epochs: int = 30,
        batch_size: int = 64,
        max_batch_sites: int | None = None,
        optimizer: Any = "adamw",
        ema_decay: float = 0.99,
        callbacks: list[Any] | None = None,
        device: Any = "auto",
        precision: str = "float32",
        compile: bool = False,  # noqa: A002 - torch's word for it
        net_params: dict[str, Any] | None = None,
        init_from: Any = None,
        freeze: str | int = "none",
        conv_lr_factor: float = 1.0,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        random_state: Any = None,
        n_jobs: int | None = None,
        on_error: str = "raise",
        verbose: int = 0,
    ) -> None:
        super().__init__(
            atom_fea_len=atom_fea_len,
            n_conv=n_conv,
            h_fea_len=h_fea_len,
            n_h=n_h,
            dropout=dropout,
            radius=radius,
            max_num_nbr=max_num_nbr,
            atom_features=atom_features,
            neighbor_ties=neighbor_ties,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            max_batch_sites=max_batch_sites,
            optimizer=optimizer,
            ema_decay=ema_decay,
            callbacks=callbacks,
            device=device,
            precision=precision,
            compile=compile,
            net_params=net_params,
            init_from=init_from,
            freeze=freeze,
            conv_lr_factor=conv_lr_factor,
            warm_start=warm_start,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            random_state=random_state,
            n_jobs=n_jobs,
            on_error=on_error,
            verbose=verbose,
        )
        self.class_weight = class_weight

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
        return np.asarray(softmax(self._outputs(X), axis=1))

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
        outputs = self._outputs(X)
        missing = np.isnan(outputs[:, 0])
        best = np.where(missing, 0, np.nan_to_num(outputs).argmax(axis=1))
        return mark_missing(self.classes_[best], missing)

    def _tasks(self) -> list[Task]:
        return [Task("classification", len(self.classes_))]

    def _encode(self, y: Any, *, reset: bool, classes: Any = None) -> FloatArray:
        check_classification_targets(y)
        labels = column_or_1d(y, warn=True)
        if reset:
            self.classes_ = np.unique(labels if classes is None else classes)
        _, codes = encode_classes(labels, self.classes_)
        return codes.reshape(-1, 1)

    def _class_weights(self, targets: FloatArray) -> FloatArray:
        if self.class_weight is None:
            return super()._class_weights(targets)
        labels = self.classes_[targets[:, 0].astype(int)]
        return np.asarray(compute_sample_weight(self.class_weight, labels))
