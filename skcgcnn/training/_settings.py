"""What decides the result of a training run: the options of ``skcgcnn train`` and their defaults.

It imports neither torch nor scikit-learn: ``--help`` should not wait for them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from skcgcnn._parameters import NetParameters, OnError, Parameters
from skcgcnn._recipes import AUTO

Task = Literal["regression", "classification", "multi"]
Optimizer = Literal["auto", "adamw", "adam", "sgd"]
Recipe = Literal["default", "paper"]
Schedule = Literal["auto", "one_cycle", "constant"]
Conv = Literal["auto", "edge", "gated"]
Pooling = Literal["mean", "sum", "attention"]

# Options under another name than the estimators' parameter.
_PARAMETERS = {"epochs": "max_epochs", "optim": "optimizer", "seed": "random_state"}
# Options that are no parameter of the estimators.
_OF_THE_RUN = {
    "data",
    "task",
    "target",
    "label",
    "global_feature",
    "train_ratio",
    "val_ratio",
    "test_ratio",
}


@dataclass(frozen=True)
class Settings:
    """What decides the result of a run; the names are those of the command's options."""

    data: str
    task: Task = "regression"
    target: tuple[str, ...] = ()
    label: str | None = None
    global_feature: tuple[str, ...] = ()
    cls_weight: float = 0.1
    recipe: Recipe = Parameters.recipe
    epochs: int | str = Parameters.max_epochs
    batch_size: int | str = Parameters.batch_size
    lr: float | str = Parameters.lr
    schedule: Schedule = NetParameters.schedule  # type: ignore[assignment]
    optim: Optimizer = Parameters.optimizer
    train_ratio: float = 0.8
    val_ratio: float = 0.1
    test_ratio: float = 0.1
    seed: int = 0
    conv: Conv = Parameters.conv  # type: ignore[assignment]
    pooling: Pooling = Parameters.pooling  # type: ignore[assignment]
    atom_fea_len: int = Parameters.atom_fea_len
    n_conv: int = Parameters.n_conv
    h_fea_len: int = Parameters.h_fea_len
    n_h: int = Parameters.n_h
    radius: float = Parameters.radius
    max_num_nbr: int = Parameters.max_num_nbr
    on_error: OnError = Parameters.on_error
    init_from: str | None = Parameters.init_from
    freeze: str = str(Parameters.freeze)
    conv_lr_factor: float = NetParameters.conv_lr_factor

    def with_ratios(self, given: Collection[str] | None) -> "Settings":
        """Return settings whose ratios sum to 1: those that were not given share what is left.

        Parameters
        ----------
        given : collection of str or None
            Names of the settings that were asked for; None is all.

        Returns
        -------
        Settings
        """
        ratios = {f"{part}_ratio": ratio for part, ratio in self.ratios().items()}
        free = [name for name in ratios if given is not None and name not in given]
        if not free or len(free) == len(ratios):
            return self
        left = 1 - sum(ratio for name, ratio in ratios.items() if name not in free)
        total = sum(ratios[name] for name in free)
        shares: dict[str, Any] = {name: max(0.0, left) * ratios[name] / total for name in free}
        return replace(self, **shares)

    def ratios(self) -> dict[str, float]:
        """Return the shares of the parts of the split."""
        return {"train": self.train_ratio, "val": self.val_ratio, "test": self.test_ratio}

    def described(self, fitted: Mapping[str, Any]) -> dict[str, str]:
        """Return the options as they are typed, with what "auto" stood for in brackets.

        Parameters
        ----------
        fitted : mapping
            Parameters of the fit.

        Returns
        -------
        dict of str to str
        """
        found = {}
        for name, value in vars(self).items():
            option = name if name == "data" else f"--{name.replace('_', '-')}"
            parameter = _PARAMETERS.get(name, name)
            shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            if value is None or value == ():
                shown = "not given"
            found[option] = f"auto ({fitted[parameter]})" if value == AUTO else shown
        return found

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the estimator."""
        params = {
            _PARAMETERS.get(name, name): value
            for name, value in vars(self).items()
            if name not in _OF_THE_RUN
        }
        params["net_params"] = {
            name: params.pop(name) for name in tuple(params) if hasattr(NetParameters, name)
        }
        if self.freeze.isdecimal():
            params["freeze"] = int(self.freeze)
        if self.task != "multi":
            del params["cls_weight"]
        return params
