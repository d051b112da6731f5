"""How estimators become files and come back: pickle, safe files, official weights."""

import json
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save as serialize
from sklearn.base import BaseEstimator, _clone_parametrized
from sklearn.utils.validation import check_is_fitted
from skorch.history import History

from skcgcnn import __version__
from skcgcnn._files import atomic_write
from skcgcnn._plain import to_plain
from skcgcnn.elements import load_element_features
from skcgcnn.exceptions import DataError
from skcgcnn.modelfile import BUILD_ERRORS, METADATA_KEY, ModelFile, check_version, read_model_file
from skcgcnn.pretrained import PRETRAINED, find_model

__all__ = ["Persistent", "plain_state", "restore_net"]

_VERSION = "_skcgcnn_version"


class Persistent(BaseEstimator):
    """An estimator that pickles small, saves without pickle, and begins from pretrained models."""

    net_: Any
    target_mean_: npt.NDArray[np.float64]
    target_scale_: npt.NDArray[np.float64]
    init_from: Any
    warm_start: bool

    @classmethod
    def from_pretrained(
        cls,
        model: str | PathLike[str],
        *,
        data_home: str | PathLike[str] | None = None,
        device: Any = "auto",
    ) -> Self:
        """Return a fitted estimator from an official model or a file, ready to predict.

        Parameters
        ----------
        model : str or path
            Name of an official model (a key of `skcgcnn.pretrained.PRETRAINED`, which also tells
            units and meanings), or a path, see `skcgcnn.load`.
        data_home : path, optional
            Where the official files are kept, see `skcgcnn.pretrained.fetch_pretrained`.
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
        >>> from skcgcnn import CGCNNRegressor
        >>> est = CGCNNRegressor.from_pretrained("formation-energy-per-atom")  # doctest: +SKIP
        >>> est.predict(["NaCl.cif"])  # in eV/atom  # doctest: +SKIP
        """
        path, _ = find_model(model, data_home)
        return cls._from_file(read_model_file(path), device)

    @classmethod
    def _from_file(cls, file: ModelFile, device: Any = "auto") -> Self:
        if file.estimator != cls.__name__:
            raise DataError(
                f"{file.path}: holds a {file.estimator}, not a {cls.__name__}; use "
                f"{file.estimator}.from_pretrained, or begin from it with init_from"
            )
        try:
            est = cls(**{**file.params, "device": device})
            est._validate_params()
            for name, value in file.fitted.items():
                # A file sets attributes of fits, and never a method or a property.
                if hasattr(cls, name) or not _is_fitted_name(name):
                    raise ValueError(f"{name!r} is no fitted attribute")
                setattr(est, name, value)
            restore_net(est, {"seed": file.content.get("seed", 0), "weights": file.weights})
        except BUILD_ERRORS as error:
            raise DataError(f"{file.path}: not a model of {cls.__name__} ({error!r})") from error
        return est

    def save(
        self,
        path: str | PathLike[str],
        *,
        targets: list[str] | None = None,
        units: list[str] | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Write the fitted estimator as a file that is safe to open, see `skcgcnn.load`.

        It is a safetensors file: the weights as plain numbers, the parameters as JSON, and
        nothing that could run. The state of the training (optimizer, epoch by epoch history)
        stays out.

        Parameters
        ----------
        path : path
            Where to write; ``.safetensors`` is the usual ending.
        targets : list of str, optional
            Name of every target.
        units : list of str, optional
            Unit of every target, for who gets the file; empty where it has none.
        metrics : mapping of str to float, optional
            Measures of the model's quality, likewise.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `targets` or `units` are not as many as the targets.

        Warns
        -----
        UserWarning
            Names parameters that are left out since they are no plain values, such as callbacks.
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
        state = plain_state(self)
        names = targets or self._target_names()
        n_targets = len(self._target_names())
        for name, values in (("targets", names), ("units", units)):
            if values is not None and len(values) != n_targets:
                raise ValueError(f"{name} has {len(values)} entries; the model has {n_targets}")
        content = {
            **state,
            "targets": list(names),
            "units": list(units or [""] * n_targets),
            "metrics": {name: float(value) for name, value in (metrics or {}).items()},
        }
        weights = {name: tensor.cpu() for name, tensor in self.module_.state_dict().items()}
        with atomic_write(path, "wb") as file:
            file.write(serialize(weights, metadata={METADATA_KEY: json.dumps(content)}))

    @property
    def module_(self) -> Any:
        """The torch module behind the predictions."""
        return self.net_.module_.average

    def _target_names(self) -> list[str]:
        n_targets = len(self.target_mean_)
        names = ["target"] if n_targets == 1 else [f"target_{i}" for i in range(n_targets)]
        return list(getattr(self, "target_names_", names))

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "net_" in state:
            # NumPy arrays, not tensors: they load where there is no GPU, through skops too.
            state["net_"] = _net_state(self.net_, training=self.warm_start)
            state[_VERSION] = __version__
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        check_version(state.pop(_VERSION, __version__), f"this {type(self).__name__}")
        net = state.pop("net_", None)
        super().__setstate__(state)
        if net is not None:
            restore_net(self, net)

    def __sklearn_clone__(self) -> Self:
        copy: Self = _clone_parametrized(self)
        # A model to begin from must stay fitted; scikit-learn would clone it too.
        copy.init_from = self.init_from
        return copy


def plain_state(est: Any) -> dict[str, Any]:
    """Return what a safe file keeps of a fitted estimator besides its weights.

    Parameters
    ----------
    est : fitted estimator

    Returns
    -------
    dict
        Plain values, see `skcgcnn._plain`.

    Warns
    -----
    UserWarning
        Names parameters that are left out since they are no plain values.
    """
    params, left_out = {}, []
    for name, value in est.get_params(deep=False).items():
        if name == "device" or (name == "init_from" and not _is_official(value)):
            continue  # who loads decides on the first; the second may tell a folder's name
        try:
            params[name] = to_plain(_embedded(value) if name == "atom_features" else value)
        except TypeError:
            left_out.append(name)
    if left_out:
        warnings.warn(
            f"left out of the file, since they are no plain values: {', '.join(left_out)}",
            stacklevel=3,
        )
    fitted = {
        name: to_plain(value)
        for name, value in vars(est).items()
        if name != "net_" and _is_fitted_name(name)
    }
    return {
        "version": __version__,
        "estimator": type(est).__name__,
        "params": params,
        "fitted": fitted,
        "seed": est.net_.seed,
    }


def _is_official(init_from: Any) -> bool:
    return isinstance(init_from, str) and init_from in PRETRAINED


def _is_fitted_name(name: str) -> bool:
    return name == "_y_ndim" or (name.endswith("_") and not name.startswith("_"))


def restore_net(est: Any, state: Mapping[str, Any]) -> None:
    """Give an estimator its network back.

    Parameters
    ----------
    est : estimator
        With its parameters and the other fitted attributes.
    state : mapping
        "weights" by name; optionally "seed", "history", and "training" for a training that goes
        on.
    """
    with torch.random.fork_rng():
        net = est._make_net(state.get("seed", 0), fall_back=True).initialize()  # noqa: SLF001
    est.net_ = net
    # Not strict: files from before torch 0.4.1 do not count batches, which nothing here needs.
    net.module_.average.load_state_dict(_tensors(state["weights"]), strict=False)
    training = state.get("training")
    if training is None:
        net.module_.trained.load_state_dict(net.module_.average.state_dict())
    else:
        net.module_.trained.load_state_dict(_tensors(training["weights"]))
        net.module_.n_steps.fill_(training["n_steps"])
        net.optimizer_.load_state_dict(_tensors(training["optimizer"]))
    net.history = History(state.get("history", []))


def _net_state(net: Any, *, training: bool) -> dict[str, Any]:
    module = net.module_
    state = {
        "seed": net.seed,
        "history": list(net.history),
        "weights": _arrays(dict(module.average.state_dict())),
    }
    if training:
        state["training"] = {
            "weights": _arrays(dict(module.trained.state_dict())),
            "n_steps": int(module.n_steps),
            "optimizer": _arrays(net.optimizer_.state_dict()),
        }
    return state


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
        return torch.tensor(value)
    if isinstance(value, dict):
        return {key: _tensors(item) for key, item in value.items()}
    return value


def _embedded(atom_features: Any) -> Any:
    """Return the features themselves for a path: a model file is complete."""
    if isinstance(atom_features, (str, PathLike)):
        load_element_features(atom_features)  # says what is wrong with the file
        return json.loads(Path(atom_features).read_text(encoding="utf-8"))
    return atom_features
