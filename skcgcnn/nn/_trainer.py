"""The private skorch net: batches to the network, losses out."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, PassthroughScoring
from skorch.exceptions import SkorchException
from torch import Tensor

from skcgcnn._threads import threads_wait_long
from skcgcnn._warnings import warn_caller
from skcgcnn.graphs import is_mapped
from skcgcnn.nn._averaging import AveragedNet
from skcgcnn.nn._batches import GraphBatches, GraphDataset, TrainBatch
from skcgcnn.nn._callbacks import Timer, no_validation, two_schedules
from skcgcnn.nn._devices import made_on_cpu
from skcgcnn.nn._halves import Halves, can_be_halved
from skcgcnn.nn._schedule import one_cycle
from skcgcnn.nn._scores import EpochScores, Table
from skcgcnn.nn._threads import at_most, is_large
from skcgcnn.nn._windows import WindowedBatches
from skcgcnn.tasks import TargetDecoder

# Maximum sizes of a batch in prediction. They bound its memory: about 50 MB with 64 features.
# Smaller batches would mean more operations, each of which waits for the interpreter lock while
# another thread reads.
PREDICTION_BONDS = 50_000
PREDICTION_CRYSTALS = 4096


class GraphNet(NeuralNet):
    """A skorch net that trains on a pair of `GraphDataset` and predicts for one.

    Parameters
    ----------
    *args, **kwargs
        As for `skorch.NeuralNet`.
    seed : int, default=0
        Decides the batches and the dropout of each epoch.
    precision : {"float32", "bfloat16", "float64"}, default="float32"
        Number type in which the network computes; with "bfloat16" its parameters stay float32.
    max_batch_sites : int, optional
        Maximum number of sites per batch in training.
    schedule : {"one_cycle", "constant"}, default="constant"
        Course of the learning rate over a training of known length, see `one_cycle`.
    max_grad_norm : float, optional
        Gradients with a larger norm are scaled down to it.
    decay_biases : bool, default=True
        Whether weight decay includes biases and the scales of normalizations.
    decoder : TargetDecoder, optional
        What outputs mean, for callbacks that score predictions.
    """

    _halves: Halves | None = None

    def __init__(
        self,
        *args: Any,
        seed: int = 0,
        precision: str = "float32",
        max_batch_sites: int | None = None,
        schedule: str = "constant",
        max_grad_norm: float | None = None,
        decay_biases: bool = True,
        decoder: TargetDecoder | None = None,
        **kwargs: Any,
    ) -> None:
        self.schedule = schedule
        self.max_grad_norm = max_grad_norm
        self.decay_biases = decay_biases
        self.decoder = decoder
        self.seed = seed
        self.precision = precision
        self.max_batch_sites = max_batch_sites
        super().__init__(*args, **kwargs)

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [
            ("epoch_timer", Timer()),
            ("train_loss", PassthroughScoring(name="train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring(name="valid_loss")),
            ("scores", EpochScores()),
            ("print_log", Table()),
        ]

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters, inputs and outputs."""
        return torch.float64 if self.precision == "float64" else torch.float32

    def initialize_module(self) -> Any:
        """Make the network, in its number type."""
        # Its random numbers are those of the CPU, whatever torch's default device is.
        with made_on_cpu():
            super().initialize_module()
        self.module_.to(self.dtype)
        return self

    def initialize_criterion(self) -> Any:
        """Make the loss, on the CPU first as the network."""
        with made_on_cpu():
            return super().initialize_criterion()

    def initialize_optimizer(self) -> Any:
        """Prepare for an optimizer, which is made at its first use."""
        self.__dict__.pop("optimizer_", None)
        if "optimizer" not in self._optimizers:
            self._register_attribute("optimizer_", None)
        return self

    @cached_property
    def optimizer_(self) -> torch.optim.Optimizer:
        """The optimizer, made at its first use.

        torch's optimizers import its compiler, which takes 2 s that a prediction need not wait.
        """
        args, kwargs = self.get_params_for_optimizer("optimizer", self.get_all_learnable_params())
        if not self.decay_biases:
            args = ([part for group in args[0] for part in _split_decay(group)],)
        optimizer: torch.optim.Optimizer = self.optimizer(*args, **kwargs)
        return optimizer

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Return X: the estimator has already split training and validation rows."""
        return X

    def get_dataset(self, X: Any, y: Any = None) -> GraphDataset:
        """Return graphs as a dataset."""
        return X if isinstance(X, GraphDataset) else GraphDataset(X, y=y)

    def get_iterator(
        self, dataset: GraphDataset, training: bool = False
    ) -> GraphBatches | WindowedBatches:
        """Return the batches of a dataset, shuffled for training."""
        batches = WindowedBatches if is_mapped(dataset.X.distances) else GraphBatches
        options: dict[str, Any] = {
            "batch_size": PREDICTION_CRYSTALS,
            "max_bonds": PREDICTION_BONDS,
        }
        if training:
            options = {
                "batch_size": self.batch_size,
                "max_sites": self.max_batch_sites,
                "seed": self.seed,
                "epoch": len(self.history),
            }
        return batches(dataset, device=self.device, dtype=self.dtype, **options)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Seed the random numbers of each epoch, so that training can be resumed."""
        super().on_epoch_begin(net, **kwargs)
        dropout = self._halves or self.network.trained
        dropout.start_dropout(self.seed + len(self.history))
        self._seen = 0
        self._unusable = False

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Note outputs for validation crystals that are no numbers, as huge weights give them."""
        super().on_batch_end(net, training=training, **kwargs)
        if not training:
            self._unusable |= not bool(torch.isfinite(kwargs["y_pred"]).all())

    @property
    def network(self) -> AveragedNet:
        """The network, whatever it is wrapped in for a training on several processes."""
        module: Any = self.module_
        network: AveragedNet = getattr(module, "module", module)
        return network

    def _check_epoch(self) -> None:
        """Stop where losses, weights or outputs are not finite any more."""
        losses = self.history[-1, "batches", :, "train_loss"]
        if all(map(math.isfinite, losses)) and self._is_finite() and not self._unusable:
            return
        epoch = len(self.history)
        self._restore()
        warn_caller(
            f"training diverged in epoch {epoch}: the loss or a weight is not a finite number. It "
            f"stops with the weights of {'epoch ' + str(epoch - 1) if epoch > 1 else 'the start'}; "
            "use a smaller lr",
            ConvergenceWarning,
        )
        raise _StopTrainingError

    def _is_finite(self) -> bool:
        weights = self.network.trained.state_dict().values()
        return all(bool(torch.isfinite(w).all()) for w in weights if w.is_floating_point())

    @property
    def _parts(self) -> tuple[Any, Any, Any]:
        return self.module_, self.criterion_, self.optimizer_

    def _keep(self) -> None:
        """Keep weights and optimizer, to return to them: the epochs so far are complete."""
        # In one step, in which an interrupt cannot part the two.
        self._kept = len(self.history), [_cloned(part.state_dict()) for part in self._parts]

    def _restore(self) -> None:
        """Return to the last complete epoch, if another one was begun."""
        n_epochs, states = self._kept
        if len(self.history) > n_epochs:
            for part, kept in zip(self._parts, states, strict=True):
                part.load_state_dict(kept)
            del self.history[-1]

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        """Train on a batch, and update the moving average."""
        if self.schedule == "one_cycle" and self._cycle is not None:
            first, n_epochs = self._cycle
            done = len(self.history) - 1 - first + self._seen / len(self._datasets["train"])
            self._set_rates(one_cycle(done / n_epochs))
        step = super().train_step(batch, **fit_params)
        self._seen += len(batch[0])
        # Else autocast, within that around a fit, goes on with the weights of the first step.
        torch.clear_autocast_cache()
        self.network.update()
        return step

    def _set_rates(self, factor: float) -> None:
        """Set the learning rates to a share of the highest; refuse those that others set."""
        groups = self.optimizer_.param_groups
        if self._rates != [group["lr"] for group in groups]:
            raise two_schedules("a callback changed the learning rate")
        for group in groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
        self._rates: list[float] = [group["lr"] for group in groups]

    def on_grad_computed(self, net: Any, named_parameters: Any, **kwargs: Any) -> None:
        """Scale down gradients that are too large."""
        super().on_grad_computed(net, named_parameters, **kwargs)
        if self.max_grad_norm is not None:
            # The optimizer's list: to look through the modules at every step takes longer.
            groups = self.optimizer_.param_groups
            parameters = [p for group in groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)

    def infer(self, x: TrainBatch, **fit_params: Any) -> Tensor:
        """Run the network of the current mode on a batch."""
        module = self.module_
        return self._run(self._halves if self._halves and module.training else module, x)

    def evaluation_step(self, batch: Any, training: bool = False) -> Tensor:
        """Predict a batch by the averaged weights, whatever the mode: training may go on."""
        if training:
            out: Tensor = super().evaluation_step(batch, training=True)
            return out
        with torch.inference_mode():
            return self._run(self._predictor, batch[0])

    @cached_property
    def _predictor(self) -> Any:
        average = self.network.average
        return self.torch_compile(average, name="average") if self.compile else average

    def _run(self, module: Any, x: TrainBatch) -> Tensor:
        with torch.autocast(
            torch.device(self.device).type,
            dtype=torch.bfloat16,
            enabled=self.precision == "bfloat16",
        ):
            out: Tensor = module(x.batch)
        return out.to(self.dtype)

    def outputs(self, X: Any) -> npt.NDArray[Any]:
        """Return the outputs for graphs, of shape (n_crystals, n_outputs)."""
        return np.concatenate([out.detach().numpy() for out in self.forward_iter(X)])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict as the estimator does: scorers of callbacks call it."""
        return self._decoder().values(self.outputs(X))

    def predict_proba(self, X: Any) -> npt.NDArray[Any]:
        """Predict probabilities as the estimator does."""
        return self._decoder().proba(self.outputs(X))

    def _predict_targets(self, X: Any) -> list[Any]:
        """Predict every target as the estimator does: scorers of one task call it."""
        return self._decoder().decode(self.outputs(X))

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The classes, if a single target is predicted, which is a class."""
        return self._decoder().classes

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if hasattr(self, "classes_"):
            tags.estimator_type = "classifier"  # for scikit-learn's scorers
        return tags

    def _decoder(self) -> TargetDecoder:
        if self.decoder is None:
            raise AttributeError("this net does not know what its outputs mean")
        return self.decoder

    def get_loss(
        self,
        y_pred: Tensor,
        y_true: Tensor,
        X: TrainBatch,
        training: bool = False,
    ) -> Tensor:
        """Return the loss of a batch."""
        loss: Tensor = self.criterion_(y_pred, y_true, X.weights, X.n_known)
        return loss

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Call the callbacks; one of the user's that raises KeyboardInterrupt ends the training.

        skorch cannot distinguish this, its way to stop a training, from Ctrl-C. Here Ctrl-C is
        raised, so that a grid search, for example, stops too. Callbacks that score predictions
        get the targets as they were given.
        """
        if method_name == "on_batch_end":
            dataset = self._datasets["train" if kwargs["training"] else "valid"]
            batch, _ = kwargs["batch"]
            kwargs["batch"] = batch, dataset.y[batch.rows]
        ends_epoch = method_name == "on_epoch_end"
        if ends_epoch:
            self._check_epoch()
        getattr(self, method_name)(self, **kwargs)
        stop: KeyboardInterrupt | None = None
        for _, callback in self.callbacks_:
            try:
                getattr(callback, method_name)(self, **kwargs)
            except KeyboardInterrupt as interrupt:
                # Where one works that stops nothing, or nothing is there to stop, it is Ctrl-C.
                if _never_stops(callback) or method_name in {"on_train_begin", "on_train_end"}:
                    raise
                stop = interrupt  # once the others know of the epoch, such as the best one
            except (LookupError, ValueError, SkorchException) as error:
                if "valid_" in str(error) and not self._validates:
                    raise no_validation(error) from error
                raise
        if ends_epoch:
            self._keep()
        if stop is not None:
            raise _StopTrainingError from stop

    def finish(self, train: GraphDataset) -> None:
        """End a fit: take the batch statistics anew, with the weights that predict.

        Parameters
        ----------
        train : GraphDataset
            The crystals that it was trained on.
        """
        module = self.module_
        module.release_buffers()
        if module.ema_decay:
            batches = self.get_iterator(train, training=True)
            batches.epoch = 0  # whatever epoch was the last
            with torch.autocast(torch.device(self.device).type, enabled=False):
                module.estimate_statistics(batches)

    def run(
        self,
        train: GraphDataset,
        valid: GraphDataset | None,
        epochs: int,
        cycle: tuple[int, int] | None = None,
    ) -> None:
        """Train for some more epochs, or until a callback stops.

        An epoch that is not complete then is undone. `cycle` is the first epoch and the number of
        epochs of the training that these are a part of, if that is known: the schedule depends on
        it.
        """
        self._cycle, self.n_epochs = cycle, epochs
        self._validates = valid is not None
        self._rates = [group["lr"] for group in self.optimizer_.param_groups]
        self._datasets = {"train": train, "valid": valid or train}
        self._keep()
        device = torch.device(self.device).type
        try:
            self.notify("on_train_begin", X=train, y=None)
            # The hand-written gradients are for the network's own type, whatever surrounds a fit.
            own_type = torch.autocast(device, enabled=False)
            with own_type, self._on_threads(train):
                self.fit_loop((train, valid), epochs=epochs)
        except BaseException as error:
            self._restore()
            if not isinstance(error, _StopTrainingError):
                raise
        finally:
            try:
                self.notify("on_train_end", X=train, y=None)
            finally:  # pickles of a net whose callback failed hold no crystals either
                del self._datasets, self._kept, self._cycle, self._rates

    @contextmanager
    def _on_threads(self, train: GraphDataset) -> Iterator[None]:
        """Train on one thread, on several, or on two that have a half of each batch each."""
        share = min(1.0, self.batch_size / len(train))
        net, n_threads = self.network.trained, torch.get_num_threads()
        large = is_large(share * len(train.X.distances) * net.embedding.out_features)
        if large and self._may_halve and can_be_halved(net):
            try:
                with at_most(max(1, n_threads // 2)), Halves(net, n_threads) as self._halves:
                    yield
            finally:
                self._halves = None
            return
        with at_most(n_threads if large and not threads_wait_long() else 1):
            yield

    @property
    def _may_halve(self) -> bool:
        on_cpu = torch.device(self.device).type == "cpu"
        return on_cpu and not self.compile and self.precision != "bfloat16"


def _never_stops(callback: Any) -> bool:
    """Tell whether a callback is this package's or skorch's, of which one stops a training."""
    is_known = type(callback).__module__.startswith(("skcgcnn.", "skorch."))
    return is_known and not isinstance(callback, EarlyStopping)


def _split_decay(group: dict[str, Any]) -> list[dict[str, Any]]:
    """Split a parameter group into matrices, and vectors that do not decay."""
    matrices = [p for p in group["params"] if p.ndim > 1]
    vectors = [p for p in group["params"] if p.ndim <= 1]
    return [
        {**group, "params": matrices},
        {**group, "params": vectors, "weight_decay": 0.0, "decays": False},
    ]


def _cloned(state: Any) -> Any:
    """Return a copy of the state of a module or optimizer, several times as fast as `deepcopy`."""
    if isinstance(state, Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {key: _cloned(value) for key, value in state.items()}
    return type(state)(map(_cloned, state)) if isinstance(state, (list, tuple)) else state


class _StopTrainingError(Exception):
    """A callback ends the training."""
