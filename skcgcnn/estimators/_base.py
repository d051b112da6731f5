"""What the three estimators share: fitting, and the way from X to predictions."""

import warnings
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from joblib import effective_n_jobs
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted
from skorch.history import History

from skcgcnn._parameters import Parameters
from skcgcnn._sklearn import Interval, StrOptions, check_sample_weight
from skcgcnn.estimators._net import MADE_WITH, OPTIMIZERS, SIZES, make_net, update_net
from skcgcnn.estimators._persistence import Persistent
from skcgcnn.estimators._targets import (
    Answers,
    FloatArray,
    Prediction,
    decode,
    scale_targets,
)
from skcgcnn.estimators._transfer import n_frozen_layers, read_source, transfer_weights
from skcgcnn.graphs import (
    CHUNK,
    MAX_SYMPREC,
    CrystalGraphs,
    CrystalGraphTransformer,
    ElementFeatures,
    load_element_features,
    read_ahead,
)
from skcgcnn.modelfiles import Target
from skcgcnn.nn import GraphDataset


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Crystals to train on.

    Attributes
    ----------
    graphs : CrystalGraphs
        Their graphs, none of them empty.
    values : ndarray of shape (n_crystals, n_targets)
        Encoded but unscaled targets; NaN is missing.
    weights : ndarray of shape (n_crystals,)
        Weights of the crystals.
    targets : tuple of Target
        What the columns of `values` are.
    y_ndim : int
        Number of dimensions of y.
    """

    graphs: CrystalGraphs
    values: FloatArray
    weights: FloatArray
    targets: tuple[Target, ...]
    y_ndim: int

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: npt.NDArray[Any]) -> "TrainingData":
        """Return some of the crystals."""
        return replace(
            self, graphs=self.graphs[rows], values=self.values[rows], weights=self.weights[rows]
        )


class BaseCGCNN(Parameters, Persistent):
    """Base of the CGCNN estimators: owns a private skorch net.

    A subclass says how y becomes numbers and targets (`_encode`), and which predictions it
    returns.
    """

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
        "symprec": [Interval(Real, 0, MAX_SYMPREC, closed="right"), None],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_batch_sites": [Interval(Integral, 1, None, closed="left"), None],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "loss": [StrOptions({"mse", "mae", "huber"})],
        "ema_decay": [Interval(Real, 0, 1, closed="left")],
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
            If y does not match X or the task, or there is nothing to fit.
        """
        self._validate_params()
        reset = not (self.warm_start and hasattr(self, "net_"))
        train, valid = self._check_fit_input(X, y, sample_weight, reset=reset), None
        seed = self._seed()
        if self.early_stopping:
            train, valid = self._split(train, seed)
        self._prepare(train, seed, reset=reset)
        self._train(train, valid, self.max_epochs)
        self.net_.module_.release_buffers()
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch, and keep the training buffers for the next call.

        `classes` are the labels that later calls may bring.
        """
        self._validate_params()
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        reset = not hasattr(self, "net_")
        data = self._check_fit_input(X, y, sample_weight, reset=reset, classes=classes)
        self._prepare(data, self._seed(), reset=reset)
        self._train(data, None, 1)
        return self

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _to_graphs(self, X: Any, *, reset: bool = False) -> CrystalGraphs:
        """Return the graphs of X: the one place where an estimator looks at X.

        `reset` is True for a fit that starts from scratch.
        """
        if isinstance(X, CrystalGraphs):
            return X
        return (self._own_transformer() if reset else self.get_transformer()).transform(X)

    def _graph_chunks(self, X: Any) -> Generator[CrystalGraphs]:
        """Yield the graphs of X; a long list of crystals is read while the network runs."""
        if isinstance(X, CrystalGraphs) or not hasattr(X, "__len__") or len(X) <= CHUNK:
            yield self._to_graphs(X)
            return
        # More threads than cores would wait for each other.
        n_threads = torch.get_num_threads()
        torch.set_num_threads(max(1, n_threads - effective_n_jobs(self.n_jobs)))
        try:
            yield from read_ahead(self.get_transformer().stream(X))
        finally:
            torch.set_num_threads(n_threads)

    def get_transformer(self) -> CrystalGraphTransformer:
        """Return the transformer that makes the graphs for this estimator.

        Returns
        -------
        CrystalGraphTransformer
            With the parameters of this estimator; once it is fitted, with those of the graphs
            that it was fitted on.

        Raises
        ------
        ValueError
            If it was fitted on graphs with other `atom_features` than its own.
        """
        transformer = self._own_transformer()
        if not hasattr(self, "net_"):
            return transformer
        fitted = self.graph_options_
        known = {
            name: getattr(fitted, name)
            for name in ("max_num_nbr", "radius", "neighbor_ties")
            if getattr(fitted, name) is not None
        }
        merged = {} if fitted.symprec is None else {"symprec": fitted.symprec or None}
        transformer.set_params(**known, **merged)
        if fitted.differences(transformer.graph_options()):
            raise ValueError(
                f"{type(self).__name__} was fitted on graphs with other atom_features than its "
                "own; set atom_features to those of the fit, or pass graphs that are made with them"
            )
        return transformer

    def _own_transformer(self) -> CrystalGraphTransformer:
        transformer = CrystalGraphTransformer()
        shared = self.get_params(deep=False).keys() & transformer.get_params().keys()
        transformer.set_params(**{name: getattr(self, name) for name in shared})
        return transformer

    def _check_fit_input(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool, classes: Any = None
    ) -> TrainingData:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        graphs = self._to_graphs(X, reset=reset)
        if isinstance(y, tuple) and {np.shape(column) for column in y} == {(len(graphs),)}:
            raise ValueError(
                f"y is a tuple of {len(y)} columns; pass np.column_stack(y), of one row per crystal"
            )
        check_consistent_length(graphs, y)
        if not len(graphs):
            raise ValueError("X holds 0 crystals; at least 1 is needed to fit.")
        if not reset:
            self._check_same_options(graphs)
        encoded, targets = self._encode(y, None if reset else self.targets_, classes)
        values = encoded.reshape(len(encoded), -1)
        weights = check_sample_weight(
            sample_weight, graphs, dtype=np.float64, ensure_non_negative=True
        )
        weights = weights * self._class_weights(values, targets)
        data = TrainingData(graphs, values, weights, targets, encoded.ndim)
        used = (graphs.n_sites > 0) & (weights > 0) & ~np.isnan(values).all(axis=1)
        if not used.any():
            raise ValueError(
                "no crystal is left to fit: every one has a weight of 0, no label or no sites"
            )
        return data if used.all() else data.take(used)

    def _check_same_options(self, graphs: CrystalGraphs) -> None:
        fitted = self.graph_options_
        if len(graphs) and (different := fitted.differences(graphs.options)):
            raise ValueError(
                f"X holds graphs that were made with {graphs.options.describe(different)}, but "
                f"{type(self).__name__} was fitted on graphs with {fitted.describe(different)}; "
                "make them with get_transformer() of the fitted estimator"
            )

    def _class_weights(
        self,
        values: FloatArray,
        targets: Sequence[Target],
    ) -> FloatArray:
        return np.ones(len(values))

    def _split(self, data: TrainingData, seed: int) -> tuple[TrainingData, TrainingData]:
        """Hold out crystals, stratified by the labels where that is possible."""
        n = len(data)
        if n < 2:
            raise ValueError(
                "early_stopping needs at least 2 crystals: some to train, some to validate"
            )
        test_size = max(1, round(self.validation_fraction * n))
        kinds, labels = [target.kind for target in data.targets], None
        if "classification" in kinds:
            labels = np.nan_to_num(data.values[:, kinds.index("classification")], nan=-1)
            counts = np.unique(labels, return_counts=True)[1]
            if counts.min() < 2 or len(counts) > min(test_size, n - test_size):
                labels = None  # a class has too few crystals for both sides
        train, valid = train_test_split(
            np.arange(n), test_size=test_size, random_state=seed, stratify=labels
        )
        return data.take(train), data.take(valid)

    def _prepare(self, data: TrainingData, seed: int, *, reset: bool) -> None:
        """Make a new net, or update the one with which training continues."""
        begun = not reset or self.init_from is not None
        n_frozen = n_frozen_layers(self.freeze, self.n_conv, begun=begun)
        if reset:
            self._initialize(data, seed)
        else:
            update_net(self)
            more = self._elements_of(data.graphs)
            if self.elements_ is not None and more is not None:
                self.elements_ = tuple(sorted({*self.elements_, *more}))
        self.net_.module_.freeze(n_frozen)

    def _initialize(self, data: TrainingData, seed: int) -> None:
        options = data.graphs.options
        targets = scale_targets(data.targets, data.values, data.weights)
        params = self.get_params(deep=False)
        sizes = {
            "orig_atom_fea_len": options.n_features,
            "n_outputs": sum(target.n_outputs for target in targets),
            **{name: params[name] for name in SIZES},
        }
        net = make_net(self, sizes, params, Answers(targets, data.y_ndim), seed).initialize()
        if self.init_from is not None:
            transfer_weights(net.module_, targets, self.init_from)
        _ = net.optimizer_  # raises if its options are wrong, before anything is fitted
        self.graph_options_, self.targets_, self.y_ndim_ = options, targets, data.y_ndim
        self.elements_ = self._elements_of(data.graphs)
        if self.init_from is not None:
            known = read_source(self.init_from).provenance.elements
            if self.elements_ is not None:
                self.elements_ = None if known is None else tuple(sorted({*known, *self.elements_}))
        self.fitted_params_ = {name: params[name] for name in MADE_WITH & params.keys()}
        self.net_ = net

    def _train(self, train: TrainingData, valid: TrainingData | None, epochs: int) -> None:
        try:
            self.net_.run(
                self._dataset(train), None if valid is None else self._dataset(valid), epochs
            )
        except KeyboardInterrupt:
            warnings.warn(
                f"the fit was interrupted after {len(self.net_.history)} epochs; the estimator is "
                "fitted with their weights",
                stacklevel=3,
            )
            raise
        finally:
            self.n_iter_ = len(self.net_.history)
            self.n_samples_fit_ = len(train)

    def _dataset(self, data: TrainingData) -> GraphDataset:
        weights = data.weights
        relative = None if (weights == weights[0]).all() else weights / weights.mean()
        original = self._answers().original(data.values)
        return GraphDataset(data.graphs, self._scaled(data.values), relative, original)

    def _scaled(self, values: FloatArray) -> FloatArray:
        return np.asarray((values - self.target_mean_) / self.target_scale_)

    def _answers(self) -> Answers:
        return Answers(self.targets_, self.y_ndim_)

    def _outputs(self, X: Any) -> FloatArray:
        """Return the network's outputs, in one pass over the crystals."""
        check_is_fitted(self, "net_")
        table = self._element_table() if self.elements_ is not None else None
        seen, unseen = set(self.elements_ or ()), set[int]()
        outputs = []
        with closing(self._graph_chunks(X)) as chunks:
            for graphs in chunks:
                outputs.append(self._forward(graphs))
                if table is not None:
                    unseen |= table.elements_in(graphs.used_features())[0] - seen
        if unseen:
            self._warn_of(unseen)
        return np.concatenate(outputs)

    def _elements_of(self, graphs: CrystalGraphs) -> tuple[int, ...] | None:
        table = self._element_table()
        return (
            None if table is None else tuple(sorted(table.elements_in(graphs.used_features())[1]))
        )

    def _element_table(self) -> ElementFeatures | None:
        """Return the features of the elements, if the graphs of the fit are made with them."""
        if self.graph_options_.atom_features is None:
            return None
        table = load_element_features(self.atom_features)
        return table if table.fingerprint == self.graph_options_.atom_features else None

    def _warn_of(self, elements: set[int]) -> None:
        from pymatgen.core import Element

        names = ", ".join(Element.from_Z(z).symbol for z in sorted(elements))
        warnings.warn(
            f"{type(self).__name__} was trained on no crystal with {names}; predictions for such "
            "crystals are extrapolations",
            stacklevel=4,
        )

    def _loss(self, X: Any, y: Any) -> float:
        """Return the loss of predictions, as in training but by the averaged weights."""
        outputs = torch.as_tensor(self._outputs(X))
        encoded, _ = self._encode(y, self.targets_)
        scaled = self._scaled(encoded.reshape(len(encoded), -1))
        return float(self.net_.criterion_(outputs, torch.as_tensor(scaled)))

    def _predict_values(self, X: Any) -> npt.NDArray[Any]:
        outputs = self._outputs(X)
        return self._answers().values(outputs)

    def _predict_proba(self, X: Any) -> FloatArray:
        outputs = self._outputs(X)
        return self._answers().proba(outputs)

    def _predict_targets(self, X: Any) -> list[Prediction]:
        outputs = self._outputs(X)
        return decode(outputs, self.targets_)

    def _forward(self, graphs: CrystalGraphs) -> FloatArray:
        """Return the network's outputs; NaN for crystals that could not be read."""
        self._check_same_options(graphs)
        n_outputs = sum(target.n_outputs for target in self.targets_)
        outputs = np.full((len(graphs), n_outputs), np.nan)
        readable = graphs.n_sites > 0
        if readable.any():
            usable = graphs if readable.all() else graphs[readable]
            outputs[readable] = self.net_.outputs(GraphDataset(usable))
        return outputs

    def _encode(
        self, y: Any, fitted: Sequence[Target] | None, classes: Any = None
    ) -> tuple[FloatArray, tuple[Target, ...]]:
        """Return y as numbers, in its shape and with NaN for missing, and what its columns are.

        `fitted` are the targets of an earlier fit.
        """
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.target_tags.required = True
        return tags
