"""The multi-task CGCNN: numbers and classes learnt together."""

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils._param_validation import Interval
from sklearn.utils.metaestimators import available_if

from skcgcnn._base import BaseCGCNN, FloatArray
from skcgcnn._labels import encode_classes, is_missing, mark_missing, split_columns
from skcgcnn._views import ClassifierView, RegressorView
from skcgcnn.nn import Task

__all__ = ["CGCNNMultiTask"]

KINDS = ("regression", "classification")


def _has_classes(est: "CGCNNMultiTask") -> bool:
    if "classification" not in est.tasks:
        raise AttributeError("predict_proba needs a classification task in tasks")
    return True


class CGCNNMultiTask(BaseCGCNN):
    """Crystal graph convolutional network that predicts numbers and classes together.

    The convolutions of Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018), are shared; every
    target has outputs of its own. The loss is the mean squared error of the scaled numbers plus
    `cls_weight` times the cross-entropy of the classes. A missing target (NaN or None) is left
    out of its task's loss, so a crystal needs only one of them.

    Parameters
    ----------
    cls_weight : float, default=1.0
        Weight of the classification loss.
    tasks : tuple of {"regression", "classification"}, default=("regression", "classification")
        Kind of every column of y. Of several tasks of one kind, the mean loss is taken.
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
        Classes of the first classification task.
    task_classes_ : list of (ndarray or None)
        Classes of every column of y; None for a regression.
    target_names_ : list of str
        The columns of y, where it was a DataFrame; else "y0", "y1", ...
    regressor_, classifier_ : views
        The first regression and the first classification task, for displays, scorers and
        ``CalibratedClassifierCV(FrozenEstimator(est.classifier_))``.
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
    CGCNNRegressor : predicts numbers alone.
    CGCNNClassifier : predicts classes alone.

    Notes
    -----
    It is neither a regressor nor a classifier to scikit-learn, so a cross-validation does not
    stratify. `score` needs no ``scoring=`` in a grid search and does not depend on `cls_weight`.

    Examples
    --------
    >>> import numpy as np
    >>> from skcgcnn import CGCNNMultiTask
    >>> from skcgcnn.datasets import load_sample_classification, load_sample_regression
    >>> cifs, energies = load_sample_regression(return_X_y=True)
    >>> is_metal = load_sample_classification().target
    >>> Y = np.column_stack([energies, is_metal])
    >>> est = CGCNNMultiTask(cls_weight=0.5, max_epochs=2, random_state=0).fit(cifs, Y)
    >>> est.predict(cifs[:3]).shape, est.predict_proba(cifs[:3]).shape
    ((3, 2), (3, 2))
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseCGCNN._parameter_constraints,  # noqa: SLF001 - scikit-learn's convention
        "cls_weight": [Interval(Real, 0, None, closed="left")],
        "tasks": [tuple, list],
    }

    def __init__(
        self,
        *,
        cls_weight: float = 1.0,
        tasks: tuple[str, ...] = KINDS,
        atom_fea_len: int = 64,
        n_conv: int = 3,
        h_fea_len: int = 128,
        n_h: int = 1,
        dropout: float = 0.0,
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
        self.cls_weight = cls_weight
        self.tasks = tasks

    @property
    def regressor_(self) -> RegressorView:
        """The first regression task of the fitted estimator, as a regressor of its own."""
        return RegressorView(self, self._first("regression"))

    @property
    def classifier_(self) -> ClassifierView:
        """The first classification task of the fitted estimator, as a classifier of its own."""
        return ClassifierView(self, self._first("classification"))

    def _first(self, kind: str) -> int:
        if not hasattr(self, "net_") or kind not in self.tasks:
            raise AttributeError(f"only a fitted estimator with a {kind} task has this")
        return list(self.tasks).index(kind)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.
        y : array-like or DataFrame of shape (n_crystals, n_tasks)
            Targets.
        classes : array-like of shape (n_classes,), optional
            All labels of the (first) classification task that later calls may bring; needed in
            the first call, unless its y holds them all.
        sample_weight : array-like of shape (n_crystals,), optional
            Weights of the crystals.

        Returns
        -------
        self : CGCNNMultiTask
        """
        return self._partial_fit(X, y, sample_weight, classes)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict all targets.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.

        Returns
        -------
        ndarray of shape (n_crystals, n_tasks)
            The columns of y: numbers in their units, and labels. Of floats where all labels are
            numbers, else of objects. NaN for crystals that could not be read.
        """
        outputs = self._outputs(X)
        missing = np.isnan(outputs[:, 0])
        columns = []
        for output, classes in zip(self._split_outputs(outputs), self.task_classes_, strict=True):
            if classes is None:
                columns.append(output[:, 0])
            else:
                best = np.nan_to_num(output).argmax(axis=1)
                columns.append(mark_missing(classes[best], missing))
        numeric = all(np.issubdtype(column.dtype, np.number) for column in columns)
        predicted = np.empty((len(outputs), len(columns)), dtype=np.float64 if numeric else object)
        for index, column in enumerate(columns):
            predicted[:, index] = column
        return predicted

    @available_if(_has_classes)
    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Predict the probabilities of the classes of the first classification task.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.

        Returns
        -------
        ndarray of shape (n_crystals, n_classes)
            In the order of `classes_`; NaN for crystals that could not be read.

        Raises
        ------
        AttributeError
            If there is no classification task.
        """
        output = self._split_outputs(self._outputs(X))[self._first("classification")]
        return np.asarray(softmax(output, axis=1))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the mean of R² (regressions) and accuracy (classifications).

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.
        y : array-like or DataFrame of shape (n_crystals, n_tasks)
            True targets; missing ones are left out.
        sample_weight : array-like of shape (n_crystals,), optional
            Weights of the crystals.

        Returns
        -------
        float
            At most 1; it does not depend on `cls_weight`. A task without any true target is left
            out; NaN where all are.
        """
        predicted = self.predict(X)
        scores = []
        for index, (kind, column) in enumerate(zip(self.tasks, self._columns(y), strict=True)):
            known = ~is_missing(column)
            if not known.any():
                continue
            weights = None if sample_weight is None else np.asarray(sample_weight)[known]
            true, guess = column[known], predicted[known, index]
            if kind == "regression":
                true, guess = true.astype(np.float64), guess.astype(np.float64)
                scores.append(r2_score(true, guess, sample_weight=weights))
            else:
                scores.append(accuracy_score(true.tolist(), guess.tolist(), sample_weight=weights))
        return float(np.mean(scores)) if scores else float("nan")

    def _tasks(self) -> list[Task]:
        return [
            Task("regression", 1) if classes is None else Task("classification", len(classes))
            for classes in self.task_classes_
        ]

    def _split_outputs(self, outputs: FloatArray) -> list[FloatArray]:
        ends = np.cumsum([task.n_outputs for task in self._tasks()])
        return np.split(outputs, ends[:-1], axis=1)

    def _columns(self, y: Any) -> list[npt.NDArray[Any]]:
        """Return the columns of y, each with its own type."""
        unknown = sorted(set(self.tasks) - set(KINDS))
        if unknown or not self.tasks:
            raise ValueError(f"tasks={self.tasks!r}; expected a tuple of {KINDS}")
        columns = split_columns(y)
        if len(columns) != len(self.tasks):
            raise ValueError(
                f"y has {len(columns)} columns, but tasks={self.tasks!r} names {len(self.tasks)}"
            )
        return columns

    def _encode(self, y: Any, *, reset: bool, classes: Any = None) -> FloatArray:
        columns = self._columns(y)
        names = [str(name) for name in getattr(y, "columns", [])]
        names = names or [f"y{index}" for index in range(len(columns))]
        if reset:
            self.target_names_ = names
            self.task_classes_: list[Any] = [None] * len(columns)
        encoded = np.full((len(columns[0]), len(columns)), np.nan)
        for index, (kind, column) in enumerate(zip(self.tasks, columns, strict=True)):
            known = ~is_missing(column)
            if not known.any() and reset:
                raise ValueError(f"column {names[index]!r} of y holds no target at all")
            if kind == "regression":
                encoded[known, index] = _numbers(column[known], names[index])
                continue
            expected = classes if reset else self.task_classes_[index]
            classes = None  # those given are of the first classification task
            expected = None if expected is None else np.unique(expected)
            self.task_classes_[index], encoded[known, index] = encode_classes(
                column[known], expected
            )
        if "classification" in self.tasks:
            first = list(self.tasks).index("classification")
            self.classes_ = self.task_classes_[first]
        return encoded

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        return tags


def _numbers(values: npt.NDArray[Any], name: str) -> FloatArray:
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} of y is a regression target: {error}") from error
    if not np.isfinite(numbers).all():
        raise ValueError(f"column {name!r} of y holds infinity")
    return numbers
