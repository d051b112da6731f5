"""What a fitted estimator is, as plain data: what every kind of model file reads and writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy.typing as npt

from skcgcnn.graphs import GraphOptions
from skcgcnn.nn import Task


@dataclass(frozen=True, eq=False)
class Target:
    """One target of a model: a column of y.

    Attributes
    ----------
    name : str
        Its name.
    kind : {"regression", "classification"}
        What is predicted.
    classes : ndarray of shape (n_classes,) or None
        The classes, sorted; None for a regression.
    unit : str
        Unit of the values; empty where there is none or it is not known.
    mean, scale : float
        Mean and standard deviation of the training values, with which the network's outputs are
        scaled; 0 and 1 for a classification.
    has_variance : bool
        Whether the network has an output for the logarithm of the variance of the scaled value.
    std_factor : float
        What the standard deviations of predictions are multiplied by, so that they are right on
        crystals that were held back.
    """

    name: str
    kind: str
    classes: npt.NDArray[Any] | None = None
    unit: str = ""
    mean: float = 0.0
    scale: float = 1.0
    has_variance: bool = False
    std_factor: float = 1.0

    @property
    def n_outputs(self) -> int:
        """Number of the network's outputs that belong to it: one or two, or one per class."""
        return 1 + self.has_variance if self.classes is None else len(self.classes)

    @property
    def task(self) -> Task:
        """What the network and its loss have to know."""
        return Task(self.kind, self.n_outputs)


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from.

    Attributes
    ----------
    source : str
        Who wrote it: "CGCNN weights", "skcgcnn checkpoint", "skcgcnn model", or "estimator" for
        one in memory.
    version : str or None
        Version of this library that wrote it; None for CGCNN.
    seed : int
        Decides the batches and the dropout of each epoch.
    n_epochs : int
        Epochs trained.
    n_samples : int or None
        Crystals trained on; None where that is not known.
    elements : tuple of int, or None
        Atomic numbers of the elements that it may have been trained on; None where that is not
        known.
    metrics : mapping of str to float
        Measures of the model's quality, by name.
    history : sequence of dict
        What skorch recorded, epoch by epoch; files that only predict leave it out.
    """

    source: str
    version: str | None = None
    seed: int = 0
    n_epochs: int = 0
    n_samples: int | None = None
    elements: tuple[int, ...] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    history: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, eq=False)
class TrainingState:
    """What training needs to go on as if it had not stopped.

    Attributes
    ----------
    weights : dict of str to Tensor
        The network that is trained; the model's own weights are a moving average of it.
    n_steps : int
        Steps averaged.
    optimizer : dict
        State of the optimizer.
    run : dict
        Plain values that a training run keeps with its checkpoint.
    """

    weights: dict[str, Any]
    n_steps: int
    optimizer: dict[str, Any]
    run: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ModelState:
    """A fitted estimator as plain data.

    Attributes
    ----------
    estimator : str
        Name of its class.
    params : dict
        Constructor parameters.
    targets : tuple of Target
        The columns of y, in order.
    y_ndim : int
        1 where y was a vector, so that predictions are one; 2 where it was a table.
    graph_options : GraphOptions
        How the graphs were made that it was fitted on.
    network : dict
        The arguments of `CrystalGraphConvNet` that make the network.
    weights : dict of str to Tensor
        The network that predicts.
    provenance : Provenance
        Where it comes from.
    training : TrainingState or None
        What training needs to go on; None where the model only predicts.
    more_weights : tuple of dict of str to Tensor
        The other networks of an ensemble.
    auto : dict
        What the parameters that are "auto" stood for in the fit.
    """

    estimator: str
    params: dict[str, Any]
    targets: tuple[Target, ...]
    y_ndim: int
    graph_options: GraphOptions
    network: dict[str, Any]
    weights: dict[str, Any]
    provenance: Provenance
    training: TrainingState | None = None
    more_weights: tuple[dict[str, Any], ...] = ()
    auto: dict[str, Any] = field(default_factory=dict)

    def graph_value(self, name: str) -> Any:
        """Return how its graphs are made: as those of the fit, else as the parameters say."""
        value = getattr(self.graph_options, name)
        return self.params.get(name) if value is None else value


def rename_targets(
    targets: Sequence[Target], names: Sequence[str] | None, units: Sequence[str] | None = None
) -> tuple[Target, ...]:
    """Return targets with other names and units.

    Parameters
    ----------
    targets : sequence of Target
        The targets.
    names, units : str or sequence of str, optional
        One for every target; None leaves them as they are.

    Returns
    -------
    tuple of Target

    Raises
    ------
    ValueError
        If there are not as many as targets.

    Examples
    --------
    >>> [target.unit for target in rename_targets([Target("gap", "regression")], None, ["eV"])]
    ['eV']
    """
    names = [names] if isinstance(names, str) else names
    units = [units] if isinstance(units, str) else units
    given = {"targets": names, "units": units}
    for what, values in given.items():
        if values is not None and len(values) != len(targets):
            raise ValueError(f"{what} has {len(values)} entries; the model has {len(targets)}")
    return tuple(
        replace(
            target,
            name=target.name if names is None else str(names[i]),
            unit=target.unit if units is None else str(units[i]),
        )
        for i, target in enumerate(targets)
    )
