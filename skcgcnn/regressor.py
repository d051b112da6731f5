"""The CGCNN regressor."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin
from sklearn.utils import check_array

from skcgcnn._base import BaseCGCNN, FloatArray
from skcgcnn.nn import Task

__all__ = ["CGCNNRegressor"]


class CGCNNRegressor(RegressorMixin, BaseCGCNN):
    """Crystal graph convolutional network that predicts numbers.

    The network of Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018), as a scikit-learn
    estimator: crystals in, for example as paths of CIF files, targets out in their own units.

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
    CGCNNClassifier : predicts classes.
    CGCNNMultiTask : predicts numbers and classes together.

    Examples
    --------
    >>> from skcgcnn import CGCNNRegressor
    >>> from skcgcnn.datasets import load_sample_regression
    >>> cifs, energies = load_sample_regression(return_X_y=True)
    >>> est = CGCNNRegressor(max_epochs=2, random_state=0).fit(cifs, energies)
    >>> est.predict(cifs[:3]).shape
    (3,)
    """

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch.

        The first call fixes the scaling of the targets.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.
        y : array-like of shape (n_crystals,) or (n_crystals, n_targets)
            Targets.
        sample_weight : array-like of shape (n_crystals,), optional
            Weights of the crystals.

        Returns
        -------
        self : CGCNNRegressor
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Predict the targets.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.

        Returns
        -------
        ndarray of shape (n_crystals,) or (n_crystals, n_targets)
            In the units of y; NaN for crystals that could not be read.
        """
        outputs = self._outputs(X)
        return outputs.ravel() if self._y_ndim == 1 else outputs

    def _tasks(self) -> list[Task]:
        return [Task("regression", 1)] * self.n_outputs_

    def _encode(self, y: Any, *, reset: bool, classes: Any = None) -> FloatArray:  # noqa: ARG002
        values = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=self)
        columns: FloatArray = values.reshape(len(values), -1)
        if reset:
            self._y_ndim = values.ndim
            self.n_outputs_ = columns.shape[1]
        elif columns.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {columns.shape[1]} targets, but the first fit had {self.n_outputs_}"
            )
        return columns

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
