"""What the three estimators share: fitting, and the way from X to predictions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.utils import check_consistent_length, check_random_state

from skcgcnn._parameter_lists import made_with
from skcgcnn._parameters import Parameters
from skcgcnn._recipes import is_auto, resolve
from skcgcnn._sklearn import check_sample_weight
from skcgcnn._warnings import warn_caller
from skcgcnn.estimators._baseline import fit_baseline
from skcgcnn.estimators._columns import check_names
from skcgcnn.estimators._constraints import constraints
from skcgcnn.estimators._elements import set_kinds, training_kinds
from skcgcnn.estimators._ensemble import MAX_SEED, fit_members, leave_out
from skcgcnn.estimators._fine_tuning import compare, start_values
from skcgcnn.estimators._head_start import keeps_norm, slower, start_head, with_general_recipe
from skcgcnn.estimators._history import FitHistory
from skcgcnn.estimators._names import KnownNames
from skcgcnn.estimators._net import (
    SIZES,
    check_net_params,
    make_net,
    takes_weight_decay,
    update_net,
)
from skcgcnn.estimators._predictor import Predictor
from skcgcnn.estimators._scaling import scale, scale_numbers
from skcgcnn.estimators._targets import FloatArray, TargetDecoder
from skcgcnn.estimators._training_data import TrainingData, split
from skcgcnn.estimators._transfer import (
    n_frozen_layers,
    read_source,
    start_outputs,
    transfer_weights,
)
from skcgcnn.nn import BestEpoch, GraphDataset, broadcast_int, check_callbacks
from skcgcnn.tasks import Task, output_slices

# So many crystals tell which epoch is best (benchmarks/results/early_stopping.md).
_FEWEST_TO_CHOOSE = 20


class BaseCGCNN(KnownNames, Parameters, FitHistory, Predictor):
    """Base of the CGCNN estimators: owns a private skorch net.

    A subclass says how y becomes numbers and targets (`_encode`), and which predictions it
    returns.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = constraints(Parameters)

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, validation_data: Any = None
    ) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : sequence of paths, pymatgen Structures or ASE Atoms; or CrystalGraphs
            The crystals.
        y : array-like of shape (n_crystals,) or (n_crystals, n_targets)
            The targets.
        sample_weight : array-like of shape (n_crystals,), optional
            Weights of the crystals. A weight of 0 leaves a crystal out.
        validation_data : tuple (X, y), optional
            Crystals that are not trained on. Their loss and score are recorded after every epoch,
            and the epoch with the lowest loss is kept. `early_stopping` then holds out no others.

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
        return self._fit(X, y, sample_weight, validation_data)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        validation_data: Any = None,
        *,
        classes: Any = None,
        callbacks: Sequence[tuple[str, Any]] = (),
        resume: bool = False,
    ) -> Self:
        """Fit, see `fit`: the one way through a training.

        `classes` are labels that y may lack. `callbacks` are told of this training alone: they are
        no parameter. `resume` goes on with a training that was interrupted, up to `max_epochs`.
        """
        self._validate_params()
        if self.n_estimators > 1:
            return self._fit_members(X, y, sample_weight, validation_data)
        reset = not ((self.warm_start or resume) and hasattr(self, "net_"))
        train = self._check_fit_input(X, y, sample_weight, reset=reset, classes=classes)
        valid = None if validation_data is None else self._check_validation(validation_data, train)
        return self._fit_data(train, valid, reset=reset, callbacks=callbacks, resume=resume)

    def _fit_data(
        self,
        train: TrainingData,
        valid: TrainingData | None,
        *,
        reset: bool = True,
        whole: TrainingData | None = None,
        callbacks: Sequence[tuple[str, Any]] = (),
        resume: bool = False,
    ) -> Self:
        """Fit, see `_fit`; `whole` is what an ensemble shares, of which `train` is a part."""
        seed, stops = self._seed(), self.early_stopping
        if stops and valid is None:
            stops = self._can_hold_out(len(train))
            train, valid = split(train, self.validation_fraction, seed) if stops else (train, None)
        whole = whole or train
        params = self._resolve(len(whole), reset=reset) | {"early_stopping": stops}
        self._check_callbacks(params["schedule"], validates=valid is not None)
        self._prepare(train, seed, params, reset=reset, whole=whole)
        start = start_values(self, valid) if valid is not None and reset else None
        epochs, done = params["max_epochs"], len(self.net_.history)
        if valid is not None and "best_epoch" not in dict(callbacks):
            callbacks = [("best_epoch", BestEpoch()), *callbacks]
        own = self.net_.callbacks
        self.net_.callbacks = [*own, *callbacks]
        self.net_.initialize_callbacks()
        try:
            if resume:
                self._train(train, valid, epochs - done, (0, epochs))
            else:
                self._train(train, valid, epochs, (done, epochs))
        finally:
            self.net_.callbacks = own
            self.net_.finish(self._dataset(train))
        if valid is not None and start is not None:
            compare(self, start, valid)
        if valid is not None and any(target.has_variance for target in self.targets_):
            self._calibrate(valid, np.ones((1, len(valid)), dtype=bool))
        return self

    def _fit_members(self, X: Any, y: Any, sample_weight: Any, validation_data: Any) -> Self:
        """Fit an ensemble and store its members.

        Each leaves out some crystals, which tell how far its predictions for others are off.
        """
        if self.warm_start:
            raise ValueError(
                f"n_estimators={self.n_estimators}: several networks are fitted anew each time; "
                "set warm_start=False, or begin with n_estimators=1"
            )
        data = self._check_fit_input(X, y, sample_weight, reset=True)
        valid = None if validation_data is None else self._check_validation(validation_data, data)
        rng = check_random_state(self.random_state)
        members = [clone(self) for _ in range(self.n_estimators)]
        for member in members:
            member.set_params(n_estimators=1, random_state=int(rng.randint(MAX_SEED)))
        # Of classes, the probabilities tell how sure a network is.
        n_members = len(members) if any(target.is_number for target in data.targets) else 0
        left_out = np.zeros((len(members), len(data)), dtype=bool)
        left_out[:n_members] = leave_out(n_members, len(data), self._seed())
        # Processes train one network after another, together.
        n_jobs = self.n_jobs if self.accelerator is None else None
        fitted = fit_members(members, n_jobs, data, valid, left_out)
        first, *others = (member._get_model_state() for member in fitted)
        self._set_model_state(
            replace(
                first,
                targets=tuple(target.uncalibrated() for target in first.targets),
                more_weights=tuple(other.weights for other in others),
                provenance=replace(first.provenance, n_samples=len(data)),
            )
        )
        if left_out.any():
            self._calibrate(data, left_out)
        elif valid is not None:
            self._calibrate(valid, np.ones((len(members), len(valid)), dtype=bool))
        return self

    def _calibrate(self, data: TrainingData, left_out: npt.NDArray[np.bool_]) -> None:
        """Calibrate standard deviations by crystals that networks were not fitted on."""
        rows = np.flatnonzero(left_out.any(axis=0))
        outputs = self._member_outputs(data.graphs[rows])
        columns = zip(self.targets_, output_slices(self.targets_), data.values.T, strict=True)
        self.targets_ = tuple(
            target.calibrated_out_of_bag(outputs[:, :, own], left_out[:, rows], values[rows])
            for target, own, values in columns
        )

    def _partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
    ) -> Self:
        """Train for one epoch, and keep the training buffers for the next call.

        `classes` are the labels that later calls may bring.
        """
        self._validate_params()
        if self.early_stopping or self.n_estimators > 1:
            raise ValueError("partial_fit supports neither early_stopping=True nor n_estimators>1")
        reset = not hasattr(self, "net_")
        data = self._check_fit_input(X, y, sample_weight, reset=reset, classes=classes)
        params = self._resolve(len(data), reset=reset)
        # The end is not known, so that the learning rate is constant.
        self._check_callbacks("constant", validates=False)
        self._prepare(data, self._seed(), params, reset=reset)
        self._train(data, None, 1, None)
        return self

    def _validate_params(self) -> None:
        super()._validate_params()
        check_net_params(self.get_params(deep=False), type(self).__name__)

    def _check_callbacks(self, schedule: str, *, validates: bool) -> None:
        check_callbacks(self.callbacks or [], schedule=schedule, validates=validates)

    def _can_hold_out(self, n_crystals: int) -> bool:
        """Tell whether early stopping holds out crystals; warn where they would be too few."""
        n_held_out = round(self.validation_fraction * n_crystals)
        if n_held_out >= _FEWEST_TO_CHOOSE or not is_auto(self.n_iter_no_change):
            return True
        warn_caller(
            f"early_stopping would hold out {n_held_out} of {n_crystals} crystals, too few to "
            "choose an epoch by: all are trained on, for all epochs. With n_iter_no_change=10 it "
            "stops all the same"
        )
        return False

    def _resolve(self, n_crystals: int, *, reset: bool = True) -> dict[str, Any]:
        """Return the parameters, with values for "auto": those of the fit while it goes on."""
        own = self._params(reset=reset)
        found = resolve(with_general_recipe(own, n_crystals), n_crystals)
        if is_auto(own["weight_decay"]) and not takes_weight_decay(found["optimizer"]):
            found["weight_decay"] = None
        if not reset:
            found |= {
                name: value for name, value in self.fitted_params_.items() if is_auto(own.get(name))
            }
        return found

    def _seed(self) -> int:
        seed = int(check_random_state(self.random_state).randint(MAX_SEED))
        # All processes begin alike, also where nothing decides how.
        return seed if self.accelerator is None else broadcast_int(self.accelerator, seed)

    def _check_fit_input(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        reset: bool,
        classes: Any = None,
        known: Sequence[Task] | None = None,
    ) -> TrainingData:
        """Return crystals and targets; `known` are the targets, where they are decided already."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        graphs = self._to_graphs(X, reset=reset)
        if isinstance(y, tuple) and {np.shape(column) for column in y} == {(len(graphs),)}:
            raise ValueError(
                f"y is a tuple of {len(y)} columns; pass np.column_stack(y), of one row per crystal"
            )
        check_names(y)
        check_consistent_length(graphs, y)
        if not len(graphs):
            raise ValueError("X holds 0 crystals; at least 1 is needed to fit.")
        if not reset:
            self._check_same_options(graphs)
        fitted = known if reset else self.targets_
        encoded, targets = self._encode(y, fitted, classes)
        values = encoded.reshape(len(encoded), -1)
        weights = check_sample_weight(
            sample_weight, graphs, dtype=np.float64, ensure_non_negative=True
        )
        # Only ratios of weights count. By the largest first: the sum may be too large a number.
        weights = weights / (weights.max() or 1.0) * self._class_weights(values, targets)
        data = TrainingData(graphs, values, weights, targets, encoded.ndim)
        used = (graphs.n_sites > 0) & (weights > 0) & ~np.isnan(values).all(axis=1)
        if not used.any():
            raise ValueError(
                "no crystal is left to fit: every one has a weight of 0, no label or no sites"
            )
        if used.sum() == 1 and known is None:
            warn_caller(
                f"{type(self).__name__} is fitted on one crystal: there is nothing to compare it "
                "with, and predictions for others mean nothing"
            )
        data = replace(data, weights=weights / weights[used].mean())
        return data if used.all() else data.take(used)

    def _check_validation(self, validation_data: Any, train: TrainingData) -> TrainingData:
        try:
            X, y = validation_data
        except (TypeError, ValueError) as error:
            raise ValueError("validation_data must be a pair (X, y)") from error
        valid = self._check_fit_input(X, y, None, reset=True, known=train.targets)
        ours, theirs = train.graphs.options, valid.graphs.options
        if different := ours.differences(theirs):
            raise ValueError(
                f"validation_data holds graphs that were made with {theirs.describe(different)}, "
                f"those to train on with {ours.describe(different)}"
            )
        return valid

    def _class_weights(
        self,
        values: FloatArray,
        targets: Sequence[Task],
    ) -> FloatArray:
        return np.ones(len(values))

    def _prepare(
        self,
        data: TrainingData,
        seed: int,
        params: dict[str, Any],
        *,
        reset: bool,
        whole: TrainingData | None = None,
    ) -> None:
        """Make a new net, or update the one with which training continues."""
        if not reset and self.more_nets_:
            raise ValueError(
                f"{1 + len(self.more_nets_)} networks were fitted, and training can continue with "
                "one only. Fit with warm_start=False, or begin with n_estimators=1"
            )
        begun = not reset or self.init_from is not None
        n_frozen = n_frozen_layers(self.freeze, params["n_conv"], begun=begun)
        if reset:
            self._initialize(data, whole or data, seed, params)
        else:
            update_net(self, params)
            # Deviations that were calibrated are those of the network before.
            self.targets_ = tuple(target.uncalibrated() for target in self.targets_)
            more = self._elements_of(data.graphs)
            if self.elements_ is not None and more is not None:
                self.elements_ = tuple(sorted({*self.elements_, *more}))
        self.net_.module_.freeze(n_frozen, keeps_norm=keeps_norm(self))

    def _initialize(
        self, data: TrainingData, whole: TrainingData, seed: int, params: dict[str, Any]
    ) -> None:
        options = data.graphs.options
        targets, starts = scale(whole, params)
        sizes = {
            "orig_atom_fea_len": options.n_features,
            **{name: params[name] for name in SIZES if name in params},
        }
        source = None if self.init_from is None else read_source(self.init_from)
        if source is not None:
            sizes["composition_baseline"] = source.network["composition_baseline"]
        separate = params["heads"] == "separate" and len(targets) > 1
        sizes["heads"] = [target.n_outputs for target in targets] if separate else None
        sizes["n_globals"] = len(options.global_features)
        learned = params["element_embedding"] or source is not None
        kinds = training_kinds(whole.graphs, source) if learned else None
        sizes["n_kinds"] = 0 if kinds is None else len(kinds)
        sizes["n_outputs"] = sum(target.n_outputs for target in targets)
        net = make_net(self, sizes, params, TargetDecoder(targets, data.y_ndim), seed).initialize()
        trained = net.module_.trained
        if kinds is not None:
            set_kinds(trained, kinds)
        scale_numbers(trained, whole.graphs)
        if sizes.get("composition_baseline"):
            fit_baseline(trained, targets, data, extensive=starts is not None)
        elif starts is not None:
            start_outputs(trained, targets, starts)
        if source is not None:
            names = options.global_features
            transfer_weights(trained, targets, source, self.init_from, names)
            start_head(self, trained, targets, source, data)
            params["lr"] = slower(self, net, params["lr"])
        net.module_.average.load_state_dict(trained.state_dict())
        _ = net.optimizer_  # raises if its options are wrong, before anything is fitted
        self.graph_options_, self.targets_, self.y_ndim_ = options, targets, data.y_ndim
        self.elements_ = self._elements_of(whole.graphs)
        if source is not None and self.elements_ is not None:
            known = source.provenance.elements
            self.elements_ = None if known is None else tuple(sorted({*known, *self.elements_}))
        self.fitted_params_ = {name: params[name] for name in made_with(self)}
        if params["atom_features"] is not self.atom_features:
            self.fitted_params_["atom_features"] = params["atom_features"]
        self.net_: Any = net
        self.more_nets_: list[Any] = []

    def _train(
        self,
        train: TrainingData,
        valid: TrainingData | None,
        epochs: int,
        cycle: tuple[int, int] | None,
    ) -> None:
        validation = None if valid is None else self._dataset(valid)
        self.n_samples_fit_ = len(train)
        try:
            self.net_.run(self._dataset(train), validation, epochs, cycle)
        except KeyboardInterrupt:
            warn_caller(
                f"the fit was interrupted after {len(self.net_.history)} epochs; the estimator is "
                "fitted with their weights"
            )
            raise
        finally:
            self.n_iter_ = len(self.net_.history)

    def _dataset(self, data: TrainingData) -> GraphDataset:
        weights = data.weights
        relative = None if (weights == weights[0]).all() else weights / weights.mean()
        original = self._decoder().original(data.values)
        return GraphDataset(data.graphs, self._scaled(data.values), relative, original)

    def _scaled(self, values: FloatArray) -> FloatArray:
        return np.asarray((values - self.target_mean_) / self.target_scale_)

    def _encode(
        self, y: Any, fitted: Sequence[Task] | None, classes: Any = None
    ) -> tuple[FloatArray, tuple[Task, ...]]:
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
