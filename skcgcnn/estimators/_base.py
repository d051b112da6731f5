"""What the three estimators share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skcgcnn._parameter_lists import unknown_parameter
from skcgcnn._parameters import Parameters
from skcgcnn.estimators._astray import warn_if_astray
from skcgcnn.estimators._constraints import constraints
from skcgcnn.estimators._crystals import (
    checked_chunks,
    fitted_transformer,
    make_graphs,
    new_transformer,
)
from skcgcnn.estimators._ensemble import fit_alone, fit_ensemble
from skcgcnn.estimators._features import crystal_features, n_crystal_features, site_features
from skcgcnn.estimators._fit import fit_one_epoch, left_by_errors, resolved
from skcgcnn.estimators._fitted import Fitted
from skcgcnn.estimators._head_start import choose_start
from skcgcnn.estimators._net import check_net_params
from skcgcnn.estimators._outputs import member_outputs
from skcgcnn.estimators._persistence import (
    cloned,
    model_state,
    pickled,
    set_model_state,
    unpickled,
)
from skcgcnn.estimators._training_data import check_fit_input, check_validation
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import CrystalGraphs, CrystalGraphTransformer, concatenate
from skcgcnn.modelfiles import (
    BUILD_ERRORS,
    PICKLES,
    ModelState,
    find_model,
    read_model_file,
    rename_targets,
    write_cgcnn,
    write_safetensors,
)
from skcgcnn.nn import lasting_device
from skcgcnn.tasks import FloatArray, Prediction, Task, decode


class BaseCGCNN(
    Fitted, ClassNamePrefixFeaturesOutMixin, TransformerMixin, Parameters, BaseEstimator, ABC
):
    """Base of the CGCNN estimators: owns a private skorch net.

    A subclass says how y becomes numbers and targets (`_encode`), and which predictions it
    returns.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = constraints(Parameters)
    _in_parts = False  # whether the last training was by `partial_fit`

    @abstractmethod
    def _encode(
        self, y: Any, fitted: Sequence[Task] | None, classes: Any = None
    ) -> tuple[FloatArray, tuple[Task, ...]]:
        """Return y as numbers, in its shape and with NaN for missing, and what its columns are.

        `fitted` are the targets of an earlier fit.
        """

    def _class_weights(
        self, values: FloatArray, targets: Sequence[Task], used: npt.NDArray[np.bool_]
    ) -> FloatArray:
        """Return what weights of crystals are multiplied by; some of them are used."""
        return np.ones(len(values))

    def set_params(self, **params: Any) -> Self:
        """Set parameters.

        Parameters
        ----------
        **params
            As for the constructor.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If there is no such parameter, or `init_from` is the estimator itself.
        """
        if params.get("init_from") is self:
            raise ValueError(
                "init_from is the estimator itself. To train it further set warm_start=True; to "
                "begin anew with its weights pass init_from=copy.deepcopy(est)"
            )
        known = self._get_param_names()
        for name in params:
            if "__" not in name and name not in known:
                raise ValueError(unknown_parameter(name, type(self).__name__, known))
        super().set_params(**params)
        return self

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
        if self.n_estimators > 1 and self.warm_start:
            raise ValueError(
                f"n_estimators={self.n_estimators}: several networks are fitted anew each time; "
                "set warm_start=False, or begin with n_estimators=1"
            )
        goes_on = (self.warm_start or resume) and hasattr(self, "net_")
        reset = self.n_estimators > 1 or not goes_on
        with _grad_mode_kept():
            data = check_fit_input(self, X, y, sample_weight, reset=reset, classes=classes)
            valid = (
                None if validation_data is None else check_validation(self, validation_data, data)
            )
            source = choose_start(self, data.graphs) if reset else None
            with left_by_errors(self, reset=reset):
                if self.n_estimators > 1:
                    fit_ensemble(self, data, valid, source)
                else:
                    options = {"callbacks": callbacks, "resume": resume}
                    fit_alone(self, data, valid, source=source, reset=reset, **options)
                self._in_parts = False
                warn_if_astray(self, data)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch; `classes` are the labels that later calls may bring."""
        self._validate_params()
        if self.early_stopping or self.n_estimators > 1:
            raise ValueError("partial_fit supports neither early_stopping=True nor n_estimators>1")
        reset = not hasattr(self, "net_")
        with _grad_mode_kept():
            data = check_fit_input(self, X, y, sample_weight, reset=reset, classes=classes)
            with left_by_errors(self, reset=reset):
                fit_one_epoch(self, data, reset=reset)
                self._in_parts = True
                warn_if_astray(self, data)
        return self

    def _validate_params(self) -> None:
        super()._validate_params()
        check_net_params(self.get_params(deep=False), type(self).__name__)

    def _resolved_params(self, graphs: CrystalGraphs, *, reset: bool = True) -> dict[str, Any]:
        """Return the parameters of a new fit, or of one that goes on, with values for "auto"."""
        source = choose_start(self, graphs) if reset else None
        return resolved(self, source, len(graphs), reset=reset)

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
        if hasattr(self, "net_"):
            return fitted_transformer(self)
        return new_transformer(self, reset=True)

    def _to_graphs(self, X: Any, *, reset: bool = False) -> CrystalGraphs:
        """Return the graphs of X: the one place where it is looked at. A new fit has `reset`."""
        return make_graphs(self, X, reset=reset)

    def _fitted_graphs(self, X: Any) -> CrystalGraphs:
        """Return the graphs of X, which must be made as those of the fit."""
        return concatenate(list(checked_chunks(self, X)))

    def _predict_targets(self, X: Any) -> list[Prediction]:
        """Return predictions for every column of y."""
        return decode(member_outputs(self, X), self.targets_)

    def transform(self, X: Any) -> FloatArray:
        """Return the embeddings of crystals: the last hidden layer, from which outputs come.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.

        Returns
        -------
        ndarray of shape (n_crystals, n_features)
            NaN for crystals that could not be read. `h_fea_len` features, so many for each target
            with ``heads="separate"``. After them, where there are 16 targets or more, as those of
            "chgnet-distilled", the scaled targets, which are features too. Those of the first
            network of an ensemble.

        Examples
        --------
        >>> from sklearn.ensemble import RandomForestRegressor
        >>> from skcgcnn import CGCNNRegressor
        >>> from skcgcnn.datasets import load_sample_regression
        >>> cifs, energies = load_sample_regression(return_X_y=True)
        >>> est = CGCNNRegressor(max_epochs=2, random_state=0).fit(cifs, energies)
        >>> features = est.transform(cifs)
        >>> features.shape[1]
        128
        >>> RandomForestRegressor(10).fit(features, energies).predict(features[:3]).shape
        (3,)
        """
        return crystal_features(self, X)

    def site_features(self, X: Any) -> list[FloatArray]:
        """Return the features of every site after the convolutions.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.

        Returns
        -------
        list of ndarray of shape (n_sites, atom_fea_len)
            One for every crystal, its sites in their order; without rows for crystals that could
            not be read.

        Examples
        --------
        >>> from skcgcnn import CGCNNRegressor
        >>> from skcgcnn.datasets import load_sample_regression
        >>> cifs, energies = load_sample_regression(return_X_y=True)
        >>> est = CGCNNRegressor(max_epochs=2, random_state=0).fit(cifs, energies)
        >>> [features.shape for features in est.site_features(cifs[:3])]
        [(8, 64), (16, 64), (4, 64)]
        """
        return site_features(self, X)

    @property
    def _n_features_out(self) -> int:
        return n_crystal_features(self)

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
            Name of a model of the package, such as "chgnet-distilled", or of an official one, a
            key of `skcgcnn.modelfiles.PRETRAINED`; or a path, see `skcgcnn.load`.
        data_home : path, optional
            Where the official files are kept, see `skcgcnn.modelfiles.fetch_pretrained`.
        device : str or torch.device, default="auto"
            Where the estimator goes.

        Returns
        -------
        estimator
            To train it further on other data, see `init_from`.

        Raises
        ------
        DataError
            If there is no such model, it cannot be fetched, or it is one of another estimator.

        Examples
        --------
        >>> from skcgcnn import CGCNNMultiTask
        >>> CGCNNMultiTask.from_pretrained("li-vacancy").target_names_
        ['formation_energy', 'defect_label']
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

        It is a safetensors file: weights as plain numbers, parameters as JSON. The state of the
        training (optimizer, history) stays out.

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
            "cgcnn" writes a weight file for the original CGCNN code, in float32, without names,
            units and metrics. That code makes graphs with ``neighbor_ties="official"``, reads
            `atom_features` from its own ``atom_init.json``, and calls two classes 0 and 1.

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
            If parameters are left out since they are not plain values, such as callbacks.

        Examples
        --------
        >>> import skcgcnn
        >>> est = skcgcnn.load("perov5-heat-gap")
        >>> est.save("model.safetensors", units=["eV/atom", "eV"])  # doctest: +SKIP
        >>> skcgcnn.load("model.safetensors").predict(cifs)  # doctest: +SKIP
        """
        check_is_fitted(self, "net_")
        if Path(path).suffix.lower() in PICKLES:
            raise ValueError(
                f"{path}: save writes a safetensors file, not a pickle; name it "
                f"{Path(path).with_suffix('.safetensors').name}, or use joblib.dump(est, path)"
            )
        state = model_state(self)
        if layout == "cgcnn":
            write_cgcnn(state, path)
            return
        named = rename_targets(state.targets, targets, units)
        provenance = replace(state.provenance, metrics=metrics or {})
        write_safetensors(replace(state, targets=named, provenance=provenance), path)

    def _get_model_state(self, *, training: bool = False) -> ModelState:
        """Return what is fitted; `training` adds what training needs to go on."""
        return model_state(self, training=training)

    @classmethod
    def _from_model_state(cls, state: ModelState, name: str, device: Any = "auto") -> Self:
        """Return a fitted estimator; `name` is that of the model in messages."""
        if state.estimator != cls.__name__:
            raise DataError(
                f"{name}: holds a {state.estimator}, not a {cls.__name__}; use "
                f"{state.estimator}.from_pretrained, or start from it with init_from"
            )
        try:
            est = cls(**{**state.params, "device": device})
            est._validate_params()
            set_model_state(est, replace(state, params=est.get_params(deep=False)))
        except BUILD_ERRORS as error:
            raise DataError(f"{name}: not a model of {cls.__name__} ({error!r})") from error
        return est

    def __getstate__(self) -> dict[str, Any]:
        state = {**super().__getstate__(), "device": lasting_device(self.device)}
        return pickled(state, self) if "net_" in state else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state, model = unpickled(state, type(self).__name__)
        super().__setstate__(state)
        if model is not None:
            set_model_state(self, model)

    def __sklearn_clone__(self) -> Self:
        clone: Self = cloned(self)
        return clone

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.target_tags.required = True
        return tags


def _grad_mode_kept() -> Any:
    """Return a context that ends in torch's mode of gradients, as it was.

    Where Ctrl-C comes while torch leaves or enters its own `no_grad`, gradients stay off.
    """
    return torch.set_grad_enabled(torch.is_grad_enabled())
