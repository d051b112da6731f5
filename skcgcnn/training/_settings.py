"""What decides the result of a training run: the options of ``skcgcnn train`` and their defaults.

It imports neither torch nor scikit-learn: ``--help`` should not wait for them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from os import PathLike, fspath
from typing import Any, Literal

from skcgcnn._declared import Parameter
from skcgcnn._parameter_lists import all_declared
from skcgcnn._parameters import MultiTaskParameters, NetParameters, OnError
from skcgcnn._recipes import is_auto
from skcgcnn._text import quoted

Task = Literal["regression", "classification", "multi"]
Rule = Literal["random", "structure", "composition", "elements", "prototype"]

# Those of all tasks. A run is repeatable without being asked to.
_DEFAULTS = {
    each.name: each.default for each in (*fields(MultiTaskParameters), *fields(NetParameters))
} | {"random_state": 0}


def run_parameters() -> dict[str, Parameter]:
    """Return the parameters of the estimators that are options of a run, by their names."""
    return {name: each for name, each in all_declared(MultiTaskParameters).items() if each.option}


def default_of(name: str) -> Any:
    """Return what a parameter is in a run where it is not given."""
    return _DEFAULTS[name]


def option_of(name: str) -> str:
    """Return how a setting or parameter is typed."""
    return f"--{name.replace('_', '-')}"


def _plain(value: Any) -> Any:
    """Return a value without NumPy's numbers and paths, which the files of a run do not hold."""
    if isinstance(value, Mapping):
        return {_plain(name): _plain(each) for name, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    if isinstance(value, PathLike):
        return fspath(value)
    return value.tolist() if hasattr(value, "tolist") else value


@dataclass(frozen=True)
class Settings:
    """What decides the result of a run.

    Parameters
    ----------
    data : str
        A folder with ``id_prop.csv`` and CIFs, a store, or the name of a bundled dataset.
    task : {"regression", "classification", "multi"}, default="regression"
        What to learn.
    target : tuple of str, default=()
        Columns of numbers to learn; by default the only one.
    label : str, optional
        Column of classes to learn; by default the only one.
    unit : tuple of str, default=()
        Units of the columns of numbers, in their order; by default those that the table tells.
    global_feature : tuple of str, default=()
        Columns of numbers beside the crystals from which to learn.
    features : {"chgnet"}, optional
        A potential; what it says of each crystal is beside it too, see `PotentialFeatures`.
    train_ratio, val_ratio, test_ratio : float, default=0.8, 0.1, 0.1
        Shares of the parts of the split.
    folds : int, default=0
        Folds of a cross-validation beside it, which predicts every crystal by a network that was
        not trained on it; 0 for none.
    split : str, default="random"
        What stays together in the split: the same crystals ("random"), nearly the same ones
        ("structure"), those of one "composition", with the same "elements", or of one
        "prototype", which is an anonymous formula with a space group.
    params : mapping, default={}
        Parameters of the estimator, by name; those in `net_params` may stand beside the others.
        By default ``random_state`` is 0.

    Examples
    --------
    >>> Settings("sample-regression", params={"max_epochs": 3}).seed
    0
    """

    data: str
    task: Task = "regression"
    target: tuple[str, ...] = ()
    label: str | None = None
    unit: tuple[str, ...] = ()
    global_feature: tuple[str, ...] = ()
    features: Literal["chgnet"] | None = None
    train_ratio: float = 0.8
    val_ratio: float = 0.1
    test_ratio: float = 0.1
    folds: int = 0
    split: Rule = "random"
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in fields(self):
            value = _plain(getattr(self, each.name))
            object.__setattr__(self, each.name, tuple(value) if type(value) is list else value)

    @property
    def seed(self) -> int:
        """Decides split, initial weights and batches."""
        return int(self.params.get("random_state") or 0)

    @property
    def on_error(self) -> OnError:
        """What to do with crystals that cannot be read."""
        found: OnError = self.params.get("on_error", default_of("on_error"))
        return found

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
            if name != "params":
                shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
                key = name if name == "data" else option_of(name)
                found[key] = "not given" if value is None or value == () else shown
        for name in run_parameters():
            value = self.params.get(name, default_of(name))
            if is_auto(value) and name in fitted:
                found[option_of(name)] = f"auto ({fitted[name]})"
            elif name in fitted or name in self.params:
                found[option_of(name)] = str(fitted.get(name, value))
        return found

    def typed(self) -> list[str]:
        """Return the arguments of ``skcgcnn train`` for these settings, quoted for a shell.

        Examples
        --------
        >>> Settings("my data", target=("gap",), params={"lr": 0.01, "n_conv": 2}).typed()
        ["'my data'", '--target', 'gap', '--lr', '0.01', '--n-conv', '2']
        """
        # A name that begins like an option would be taken for one.
        found = [f"./{self.data}" if self.data.startswith("-") else self.data]
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in ("data", "params") or value == each.default:
                continue
            for one in value if isinstance(value, tuple) else (value,):
                found += [option_of(each.name), str(one)]
        for name, value in self.params.items():
            if name in run_parameters() and value is not None:
                found += [option_of(name), str(value)]
        return [quoted(each) for each in found]

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the estimator that are given, as its constructor takes them."""
        params = {"random_state": 0, **self.params}
        inner = {name: params.pop(name) for name in tuple(params) if hasattr(NetParameters, name)}
        if inner:
            params["net_params"] = {**(params.get("net_params") or {}), **inner}
        return params
