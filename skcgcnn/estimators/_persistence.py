"""Estimators as plain data and back: pickles, files, and what other models start from."""

from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from skorch.history import History

from skcgcnn._parameter_lists import made_with, with_net_params
from skcgcnn._parameters import NetParameters
from skcgcnn._recipes import is_auto, resolve
from skcgcnn._sklearn import Documented, clone_parametrized
from skcgcnn._version import __version__
from skcgcnn.estimators._net import make_net
from skcgcnn.estimators._targets import TargetDecoder
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles import (
    BUILD_ERRORS,
    PICKLES,
    ModelState,
    Provenance,
    TrainingState,
    check_version,
    find_model,
    read_model_file,
    rename_targets,
    write_cgcnn,
    write_safetensors,
)
from skcgcnn.nn import CrystalGraphConvNet
from skcgcnn.tasks import Task

# Under this name a pickle holds the state of a fitted estimator.
_STATE = "_skcgcnn_model"
_LOSS = "loss."


class Persistent(Documented, BaseEstimator):
    """An estimator that gives its state and is made from one."""

    @classmethod
    def from_pretrained(
        cls,
        model: str | PathLike[str],
        *,
        data_home: str | PathLike[str] | None = None,
        device: Any = "auto",
    ) -> Self:
        """Return a fitted estimator from a model with a name or a file, ready to predict.

        Parameters
        ----------
        model : str or path
            Name of a model of ours, "chgnet-distilled", "perov5-heat-gap" or "li-vacancy" (see
            `skcgcnn.modelfiles.model_card`), or of an official one (a key of
            `skcgcnn.modelfiles.PRETRAINED`, which also tells units and meanings); or a path, see
            `skcgcnn.load`.
        data_home : path, optional
            Where the official files are kept, see `skcgcnn.modelfiles.fetch_pretrained`.
        device : str or torch.device, default="auto"
            Where the estimator goes.

        Returns
        -------
        estimator
            Its predictions are in the units of the model. To train it further on other data
            see `init_from`.

        Raises
        ------
        DataError
            If there is no such model, it cannot be fetched, or it is one of another estimator.

        Examples
        --------
        >>> from skcgcnn import CGCNNMultiTask, CGCNNRegressor
        >>> CGCNNMultiTask.from_pretrained("li-vacancy").target_names_
        ['formation_energy', 'defect_label']
        >>> est = CGCNNRegressor.from_pretrained("formation-energy-per-atom")  # doctest: +SKIP
        >>> est.predict(["NaCl.cif"])  # in eV/atom  # doctest: +SKIP
        """
        path = find_model(model, data_home)
        return cls._from_model_state(read_model_file(path), str(path), device)

    def save(
        self,
        path: str | PathLike[str],
        *,
        targets: str | list[str] | None = None,
        units: str | list[str] | None = None,
        metrics: Mapping[str, float] | None = None,
        layout: Literal["skcgcnn", "cgcnn"] = "skcgcnn",
    ) -> None:
        """Write the fitted estimator as a file that is safe to open, see `skcgcnn.load`.

        It is a safetensors file: the weights as plain numbers, the parameters as JSON, and
        nothing that could run. The state of the training (optimizer, epoch by epoch history)
        stays out.

        Parameters
        ----------
        path : path
            Where to write; ``.safetensors`` is the usual ending.
        targets : str or list of str, optional
            Name of every target; by default the names of the columns of y.
        units : str or list of str, optional
            Unit of every target, for the readers of the file; empty where it has none.
        metrics : mapping of str to float, optional
            Measures of the model's quality, for the readers of the file.
        layout : {"skcgcnn", "cgcnn"}, default="skcgcnn"
            "cgcnn" writes a weight file that the original CGCNN code predicts with, in float32,
            without names, units and metrics. That code reads the crystals itself, with
            ``neighbor_ties="official"``: its graphs are those of a fit with "invariant" but where
            a shell of equally distant neighbors is cut. With `atom_features` of your own, give it
            the same ``atom_init.json``. It calls two classes 0 and 1.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `targets` or `units` are not as many as the targets, the ending is that of a
            pickle, or the original code cannot have such a model; it names the parameter.

        Warns
        -----
        UserWarning
            Names parameters that are left out since they are not plain values, such as callbacks.
            They matter for training only.

        Examples
        --------
        >>> import skcgcnn
        >>> from skcgcnn.datasets import load_sample_regression
        >>> cifs, energies = load_sample_regression(return_X_y=True)
        >>> est = skcgcnn.CGCNNRegressor(max_epochs=1).fit(cifs, energies)
        >>> est.save("model.safetensors", targets=["energy"], units=["eV"])  # doctest: +SKIP
        >>> skcgcnn.load("model.safetensors").predict(cifs)  # doctest: +SKIP
        """
        check_is_fitted(self, "net_")
        if Path(path).suffix.lower() in PICKLES:
            raise ValueError(
                f"{path}: save writes a safetensors file, not a pickle; name it "
                f"{Path(path).with_suffix('.safetensors').name}, or use joblib.dump(est, path)"
            )
        state = self._get_model_state()
        if layout == "cgcnn":
            write_cgcnn(state, path)
            return
        write_safetensors(
            replace(
                state,
                targets=rename_targets(state.targets, targets, units),
                provenance=replace(state.provenance, metrics=metrics or {}),
            ),
            path,
        )

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

    def _get_model_state(self, *, training: bool = False) -> ModelState:
        """Return what the fitted estimator is; `training` adds what training needs to go on."""
        # Also while several processes train, which wrap the network.
        net, module = self.net_, self.net_.network
        # What was fitted, even if the parameters were changed since.
        # The processes that it was fitted on end some time.
        params = self.get_params(deep=False) | {"accelerator": None}
        auto: dict[str, Any] = {}
        given, flat = dict(params["net_params"] or {}), with_net_params(params)
        for name, value in self.fitted_params_.items():
            if is_auto(flat[name]):
                # For some it is a value that stands for itself.
                auto |= {} if is_auto(value) else {name: value}
            elif name == "net_params":
                given |= value or {}
            elif not hasattr(NetParameters, name):
                params[name] = value
            elif value != flat[name]:
                given[name] = value
        params["net_params"] = given or None
        return ModelState(
            estimator=type(self).__name__,
            params=params,
            targets=self.targets_,
            y_ndim=self.y_ndim_,
            graph_options=self.graph_options_,
            network=module.average.architecture,
            weights=module.average.state_dict(),
            auto=auto,
            provenance=Provenance(
                source="estimator",
                version=__version__,
                seed=net.seed,
                n_epochs=self.n_iter_,
                n_samples=getattr(self, "n_samples_fit_", None),
                elements=self.elements_,
                history=list(net.history),
            ),
            more_weights=tuple(net.module_.average.state_dict() for net in self.more_nets_),
            training=TrainingState(
                {**module.trained.state_dict(), **_loss_state(net)},
                int(module.n_steps),
                net.optimizer_.state_dict(),
            )
            if training
            else None,
        )

    def _set_model_state(self, state: ModelState) -> None:
        """Become the fitted estimator of a state; the parameters stay as they are."""
        provenance, training = state.provenance, state.training
        self.targets_: tuple[Task, ...] = state.targets
        self.y_ndim_ = state.y_ndim
        self.graph_options_ = state.graph_options
        self.n_iter_ = provenance.n_epochs
        self.elements_ = provenance.elements
        if provenance.n_samples is not None:
            self.n_samples_fit_ = provenance.n_samples
        weights = _tensors(state.weights)
        params = resolve(with_net_params(state.params), provenance.n_samples or 1) | state.auto
        self.fitted_params_ = {name: params[name] for name in made_with(self) & params.keys()}
        nets = []
        for member in (weights, *map(_tensors, state.more_weights)):
            net = make_net(
                self,
                state.network,
                params,
                TargetDecoder(state.targets, state.y_ndim),
                provenance.seed,
                fall_back=True,
            ).initialize()
            # The counts of batches, which nothing here needs, are new in torch 0.4.1.
            missing, unexpected = net.module_.average.load_state_dict(member, strict=False)
            missing = [name for name in missing if not name.endswith("num_batches_tracked")]
            if missing or unexpected:
                raise ValueError(f"weights missing: {missing}; unexpected: {unexpected}")
            nets.append(net)
        net, self.more_nets_ = nets[0], nets[1:]
        if training is None:
            net.module_.trained.load_state_dict(net.module_.average.state_dict())
        else:
            trained = _tensors(training.weights)
            loss = {name: trained.pop(_LOSS + name) for name in net.criterion_.state_dict()}
            net.criterion_.load_state_dict(loss)
            net.module_.trained.load_state_dict(trained)
            net.module_.n_steps.fill_(training.n_steps)
            net.optimizer_.load_state_dict(_tensors(training.optimizer))
        net.history = History(provenance.history)
        self.net_: Any = net

    @classmethod
    def _from_model_state(
        cls, state: ModelState, name: str, device: Any = "auto", accelerator: Any = None
    ) -> Self:
        """Return a fitted estimator; `name` is that of the model in messages."""
        if state.estimator != cls.__name__:
            raise DataError(
                f"{name}: holds a {state.estimator}, not a {cls.__name__}; use "
                f"{state.estimator}.from_pretrained, or start from it with init_from"
            )
        try:
            est = cls(**{**state.params, "device": device, "accelerator": accelerator})
            est._validate_params()
            est._set_model_state(replace(state, params=est.get_params(deep=False)))
        except BUILD_ERRORS as error:
            raise DataError(f"{name}: not a model of {cls.__name__} ({error!r})") from error
        return est

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "net_" not in state:
            return state
        del state["net_"], state["more_nets_"]
        state["accelerator"] = None
        model = self._get_model_state(training=self.warm_start)
        training = model.training and replace(
            model.training,
            weights=_arrays(model.training.weights),
            optimizer=_arrays(model.training.optimizer),
        )
        # NumPy arrays, not tensors: they load where there is no GPU, through skops too.
        state[_STATE] = replace(
            model,
            weights=_arrays(model.weights),
            more_weights=tuple(map(_arrays, model.more_weights)),
            training=training,
        )
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        model = state.pop(_STATE, None)
        if model is not None:
            check_version(model.provenance.version, f"this {type(self).__name__}")
        super().__setstate__(state)
        if model is not None:
            self._set_model_state(model)

    def __sklearn_clone__(self) -> Self:
        # A model to start from must stay fitted, and processes are there once; scikit-learn would
        # clone them. Callbacks have a state of their own, which fits must not share.
        kept = {"init_from": self.init_from, "accelerator": self.accelerator}
        kept["callbacks"] = _copied(self.callbacks)
        bare = object.__new__(type(self))
        bare.__dict__.update(self.__dict__ | dict.fromkeys(kept))
        clone: Self = clone_parametrized(bare)
        clone.set_params(**kept)
        return clone


def _copied(callbacks: Any) -> Any:
    """Return copies of callbacks; those that belong together still do."""
    if not isinstance(callbacks, list):
        return callbacks
    copies, memo = [], dict[int, Any]()
    for callback in callbacks:
        try:
            copies.append(deepcopy(callback, memo))
        except Exception:  # noqa: BLE001 - a writer of log files, say, cannot be copied
            copies.append(copy(callback))
    return copies


def _loss_state(net: Any) -> dict[str, torch.Tensor]:
    """Return what the loss has learned, under names of its own."""
    loss = getattr(net.criterion_, "module", net.criterion_)
    return {_LOSS + name: value for name, value in loss.state_dict().items()}


def _arrays(value: Any) -> Any:
    """Return nested tensors as NumPy arrays."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy().copy()
    if isinstance(value, dict):
        return {key: _arrays(item) for key, item in value.items()}
    return value


def _tensors(value: Any) -> Any:
    """Return nested NumPy arrays as tensors."""
    if isinstance(value, np.ndarray):
        return torch.tensor(value, device="cpu")
    if isinstance(value, dict):
        return {key: _tensors(item) for key, item in value.items()}
    return value
