"""What the three estimators share: parameters, fitting, the way from X to outputs."""

from collections.abc import Generator
from contextlib import closing
from copy import deepcopy
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from joblib import effective_n_jobs
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted
from skorch.callbacks import EarlyStopping
from skorch.history import History

from skcgcnn._finetune import (
    conv_groups,
    n_frozen_layers,
    read_source,
    set_conv_lr,
    take_over,
)
from skcgcnn._labels import target_scaling
from skcgcnn._net import GraphDataset, GraphNet, choose_device
from skcgcnn._persistence import Persistent
from skcgcnn.featurize import read_ahead
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.nn import AveragedNet, Task, TaskLoss
from skcgcnn.transformer import CHUNK, CrystalGraphTransformer

FloatArray = npt.NDArray[np.float64]

OPTIMIZERS = {
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "adam": (torch.optim.Adam, {"fused": True}),
    "sgd": (torch.optim.SGD, {"fused": True, "momentum": 0.9}),
}


class BaseCGCNN(Persistent):
    """Base of the CGCNN estimators: holds the parameters and owns a private skorch net.

    A subclass says how targets become numbers (`_encode`), what the network's outputs are
    (`_tasks`), and how outputs become predictions.
    """

    net_: GraphNet

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "atom_fea_len": [Interval(Integral, 1, None, closed="left")],
        "n_conv": [Interval(Integral, 0, None, closed="left")],
        "h_fea_len": [Interval(Integral, 1, None, closed="left")],
        "n_h": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "radius": [Interval(Real, 0, None, closed="neither")],
        "max_num_nbr": [Interval(Integral, 1, None, closed="left")],
        "atom_features": "no_validation",  # the transformer tells what is wrong with it
        "neighbor_ties": [StrOptions({"invariant", "official"})],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "ema_decay": [Interval(Real, 0, 1, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_batch_sites": [Interval(Integral, 1, None, closed="left"), None],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "callbacks": [list, None],
        "device": [str, torch.device],
        "precision": [StrOptions({"float32", "bfloat16", "float64"})],
        "compile": ["boolean"],
        "net_params": [dict, None],
        "init_from": "no_validation",  # read_source tells what is wrong with it
        "freeze": [StrOptions({"none", "convs"}), Interval(Integral, 0, None, closed="left")],
        "conv_lr_factor": [Interval(Real, 0, None, closed="neither")],
        "warm_start": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [None, Integral],
        "on_error": [StrOptions({"raise", "nan"})],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
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
        self.atom_fea_len = atom_fea_len
        self.n_conv = n_conv
        self.h_fea_len = h_fea_len
        self.n_h = n_h
        self.dropout = dropout
        self.radius = radius
        self.max_num_nbr = max_num_nbr
        self.atom_features = atom_features
        self.neighbor_ties = neighbor_ties
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.max_batch_sites = max_batch_sites
        self.optimizer = optimizer
        self.ema_decay = ema_decay
        self.callbacks = callbacks
        self.device = device
        self.precision = precision
        self.compile = compile
        self.net_params = net_params
        self.init_from = init_from
        self.freeze = freeze
        self.conv_lr_factor = conv_lr_factor
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.on_error = on_error
        self.verbose = verbose

    @property
    def history_(self) -> History:
        """What skorch recorded, epoch by epoch."""
        return self.net_.history

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : sequence of paths, pymatgen Structures or ASE Atoms; or CrystalGraphs
            The crystals.
        y : array-like of shape (n_crystals,) or (n_crystals, n_targets)
            The targets.
        sample_weight : array-like of shape (n_crystals,), optional
            Weights of the crystals. A weight of 0 leaves a crystal out.

        Returns
        -------
        self : estimator

        Raises
        ------
        StructureError
            If crystals cannot be read and ``on_error="raise"``.
        ValueError
            If y does not fit X or the task, or there is nothing to fit.
        """
        self._validate_params()
        reset = not (self.warm_start and hasattr(self, "net_"))
        graphs, targets, weights = self._check_fit_input(X, y, sample_weight, reset=reset)
        train, valid = np.arange(len(graphs)), None
        seed = self._seed()
        if self.early_stopping:
            train, valid = self._split(targets, seed)
        self._start(graphs[train], targets[train], weights[train], seed, reset=reset)
        self._run(
            self._dataset(graphs[train], targets[train], weights[train]),
            None if valid is None else self._dataset(graphs[valid], targets[valid], weights[valid]),
            self.max_epochs,
        )
        # Lets go of the buffers; partial_fit, which is called again, keeps them.
        self.net_.module_.eval()
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch; `classes` are the labels to expect, from the first call on."""
        self._validate_params()
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        reset = not hasattr(self, "net_")
        graphs, targets, weights = self._check_fit_input(
            X, y, sample_weight, reset=reset, classes=classes
        )
        self._start(graphs, targets, weights, self._seed(), reset=reset)
        self._run(self._dataset(graphs, targets, weights), None, 1)
        return self

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _to_graphs(self, X: Any, *, reset: bool = False) -> CrystalGraphs:  # noqa: ARG002
        """Turn X into graphs: the one place where an estimator looks at X.

        `reset` tells a fit that begins anew from everything else.
        """
        return X if isinstance(X, CrystalGraphs) else self._transformer().transform(X)

    def _graph_chunks(self, X: Any) -> Generator[CrystalGraphs]:
        """Yield the graphs of X; a long list of crystals is read while the network runs."""
        if isinstance(X, CrystalGraphs) or not hasattr(X, "__len__") or len(X) <= CHUNK:
            yield self._to_graphs(X)
            return
        # Threads in excess of the cores wait for each other.
        n_threads = torch.get_num_threads()
        torch.set_num_threads(max(1, n_threads - effective_n_jobs(self.n_jobs)))
        try:
            yield from read_ahead(self._transformer().stream(X))
        finally:
            torch.set_num_threads(n_threads)

    def _transformer(self) -> CrystalGraphTransformer:
        return CrystalGraphTransformer(
            radius=self.radius,
            max_num_nbr=self.max_num_nbr,
            atom_features=self.atom_features,
            neighbor_ties=self.neighbor_ties,
            n_jobs=self.n_jobs,
            on_error=self.on_error,
            verbose=self.verbose,
        )

    def _check_fit_input(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool, classes: Any = None
    ) -> tuple[CrystalGraphs, FloatArray, FloatArray]:
        """Return graphs, encoded but unscaled targets, and weights of the rows to fit."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        graphs = self._to_graphs(X, reset=reset)
        check_consistent_length(graphs, y)
        if not len(graphs):
            raise ValueError("X holds 0 crystals; at least 1 is needed to fit.")
        if not reset:
            self._check_same_layout(graphs)
        targets = self._encode(y, reset=reset, classes=classes)
        weights = _check_sample_weight(
            sample_weight, graphs, dtype=np.float64, ensure_non_negative=True
        )
        weights = weights * self._class_weights(targets)
        used = (graphs.n_sites > 0) & (weights > 0) & ~np.isnan(targets).all(axis=1)
        if not used.any():
            raise ValueError(
                "no crystal is left to fit: every one has a weight of 0, no label or no sites"
            )
        if used.all():
            return graphs, targets, weights
        return graphs[used], targets[used], weights[used]

    def _check_same_layout(self, graphs: CrystalGraphs) -> None:
        layout = (graphs.neighbors.shape[1], graphs.kind_features.shape[1])
        if len(graphs) and layout != self.graph_layout_:
            raise ValueError(
                f"X holds graphs with {layout[0]} neighbors a site and {layout[1]} features, but "
                f"{type(self).__name__} was fitted on {self.graph_layout_[0]} and "
                f"{self.graph_layout_[1]}; use the same max_num_nbr and atom_features"
            )

    def _class_weights(self, targets: FloatArray) -> FloatArray:
        return np.ones(len(targets))

    def _split(
        self, targets: FloatArray, seed: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        if len(targets) < 2:  # noqa: PLR2004
            raise ValueError(
                "early_stopping needs at least 2 crystals: some to train, some to validate"
            )
        rows = np.arange(len(targets))
        labels = self._labels(targets)
        test_size = max(1, round(self.validation_fraction * len(rows)))
        if labels is not None:
            counts = np.unique(labels, return_counts=True)[1]
            if counts.min() < 2 or len(counts) > min(test_size, len(rows) - test_size):  # noqa: PLR2004
                labels = None  # too few of a class to have it on both sides
        train, valid = train_test_split(
            rows, test_size=test_size, random_state=seed, stratify=labels
        )
        return train, valid

    def _labels(self, targets: FloatArray) -> FloatArray | None:
        """Return the labels by which a validation split is stratified, if there are any."""
        kinds = [task.kind for task in self._tasks()]
        if "classification" not in kinds:
            return None
        return np.nan_to_num(targets[:, kinds.index("classification")], nan=-1)

    def _start(
        self,
        graphs: CrystalGraphs,
        targets: FloatArray,
        weights: FloatArray,
        seed: int,
        *,
        reset: bool,
    ) -> None:
        """Learn the scaling of the targets and make a new net, unless training goes on."""
        begun = not reset or self.init_from is not None
        n_frozen = n_frozen_layers(self.freeze, self.n_conv, begun=begun)
        if reset:
            self._start_anew(graphs, targets, weights, seed)
        else:
            # What can change without a new network does.
            self.net_.set_params(
                lr=self.lr,
                batch_size=self.batch_size,
                max_batch_sites=self.max_batch_sites,
                verbose=self.verbose,
            )
            set_conv_lr(self.net_.optimizer_, self.lr, self.conv_lr_factor)
        self.net_.module_.freeze(n_frozen)

    def _start_anew(
        self, graphs: CrystalGraphs, targets: FloatArray, weights: FloatArray, seed: int
    ) -> None:
        tasks = self._tasks()
        self.graph_layout_ = (graphs.neighbors.shape[1], graphs.kind_features.shape[1])
        self.target_mean_, self.target_scale_ = target_scaling(
            targets, weights, [task.kind for task in tasks]
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = self._make_net(seed).initialize()
        if self.init_from is not None:
            take_over(net.module_, tasks, read_source(self.init_from))
        _ = net.optimizer_  # says what is wrong with its options while nothing is fitted
        self.net_ = net

    def _dataset(
        self, graphs: CrystalGraphs, targets: FloatArray, weights: FloatArray
    ) -> GraphDataset:
        scaled = (targets - self.target_mean_) / self.target_scale_
        relative = None if (weights == weights[0]).all() else weights / weights.mean()
        return GraphDataset(graphs, scaled, relative)

    def _run(self, train: GraphDataset, valid: GraphDataset | None, epochs: int) -> None:
        with torch.random.fork_rng():
            self.net_.run(train, valid, epochs)
        self.n_iter_ = len(self.net_.history)
        self.n_samples_fit_ = len(train)

    def _make_net(self, seed: int, *, fall_back: bool = False) -> GraphNet:
        """Return a net that is not initialized; `fall_back` to the CPU where there is no GPU."""
        optimizer, optimizer_params = OPTIMIZERS.get(
            self.optimizer if isinstance(self.optimizer, str) else "", (self.optimizer, {})
        )
        # Copies: skorch's callbacks keep state, and a parameter must stay as it was given.
        callbacks = deepcopy(self.callbacks or [])
        if self.early_stopping:
            patience = self.n_iter_no_change
            callbacks.append(("early_stopping", EarlyStopping(patience=patience, load_best=True)))
        tasks = self._tasks()
        params = {
            "module": AveragedNet,
            "module__ema_decay": self.ema_decay,
            "module__orig_atom_fea_len": self.graph_layout_[1],
            "module__n_outputs": sum(task.n_outputs for task in tasks),
            "module__atom_fea_len": self.atom_fea_len,
            "module__n_conv": self.n_conv,
            "module__h_fea_len": self.h_fea_len,
            "module__n_h": self.n_h,
            "module__radius": self.radius,
            "module__dropout": self.dropout,
            "criterion": TaskLoss,
            "criterion__tasks": tasks,
            "criterion__cls_weight": getattr(self, "cls_weight", 1.0),
            "optimizer": optimizer,
            "lr": self.lr,
            "max_epochs": self.max_epochs,
            "batch_size": self.batch_size,
            "callbacks": callbacks,
            "train_split": None,
            "device": choose_device(self.device, fall_back=fall_back),
            "verbose": self.verbose,
            "seed": seed,
            "precision": self.precision,
            "max_batch_sites": self.max_batch_sites,
            "compile": self.compile,
        }
        if self.conv_lr_factor != 1:
            params["optimizer__param_groups"] = conv_groups(self.lr, self.conv_lr_factor)
        params.update({f"optimizer__{name}": value for name, value in optimizer_params.items()})
        return GraphNet(**{**params, **(self.net_params or {})})

    def _outputs(self, X: Any) -> FloatArray:
        """Return what the network says, with regression targets in their own units.

        Returns
        -------
        ndarray of shape (n_crystals, n_outputs)
            NaN for crystals that could not be read.
        """
        check_is_fitted(self, "net_")
        tasks = self._tasks()
        with closing(self._graph_chunks(X)) as chunks:
            outputs = np.concatenate([self._run_network(graphs) for graphs in chunks])
        repeats = [task.n_outputs for task in tasks]
        scale, mean = (np.repeat(a, repeats) for a in (self.target_scale_, self.target_mean_))
        return np.asarray(outputs * scale + mean)

    def _run_network(self, graphs: CrystalGraphs) -> FloatArray:
        self._check_same_layout(graphs)
        outputs = np.full((len(graphs), sum(task.n_outputs for task in self._tasks())), np.nan)
        readable = graphs.n_sites > 0
        if readable.any():
            usable = graphs if readable.all() else graphs[readable]
            with torch.inference_mode():
                outputs[readable] = self.net_.forward(GraphDataset(usable)).numpy()
        return outputs

    def _tasks(self) -> list[Task]:
        """Return the kinds of the target columns."""
        raise NotImplementedError

    def _encode(self, y: Any, *, reset: bool, classes: Any = None) -> FloatArray:
        """Return y as numbers, of shape (n_crystals, n_tasks); NaN is missing."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.target_tags.required = True
        return tags
