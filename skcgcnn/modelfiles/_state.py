"""What a fitted estimator is, as plain data: what every kind of model file reads and writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from skcgcnn._text import same_unit
from skcgcnn._warnings import warn_caller
from skcgcnn.graphs import GraphOptions
from skcgcnn.tasks import Task


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
    best : dict of str to Tensor, or None
        The network that predicts as it was after the best epoch; None where no crystals validate.
    """

    weights: dict[str, Any]
    n_steps: int
    optimizer: dict[str, Any]
    run: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class ModelState:
    """A fitted estimator as plain data.

    Attributes
    ----------
    estimator : str
        Name of its class.
    params : dict
        Constructor parameters.
    targets : tuple of Task
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
    targets: tuple[Task, ...]
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
    targets: Sequence[Task], names: Sequence[str] | None, units: Sequence[str] | None = None
) -> tuple[Task, ...]:
    """Return targets with other names and units.

    Parameters
    ----------
    targets : sequence of Task
        The targets.
    names, units : str or sequence of str, optional
        One for every target; None leaves them as they are.

    Raises
    ------
    ValueError
        If there are not as many as targets, one is too long, or a name comes twice.

    Warns
    -----
    UserWarning
        Where a unit is not that of the fit: numbers are not converted.

    Examples
    --------
    >>> from skcgcnn.tasks import Number
    >>> [target.unit for target in rename_targets([Number("gap")], None, ["eV"])]
    ['eV']
    """
    names = [names] if isinstance(names, str) else names
    units = [units] if isinstance(units, str) else units
    given = {"targets": names, "units": units}
    for what, values in given.items():
        if values is not None and len(values) != len(targets):
            raise ValueError(f"{what} has {len(values)} entries; the model has {len(targets)}")
    renamed = tuple(
        replace(
            target,
            name=target.name if names is None else str(names[i]),
            unit=target.unit if units is None else str(units[i]),
        )
        for i, target in enumerate(targets)
    )
    found = [target.name for target in renamed]
    for target, before in zip(renamed, targets, strict=True):
        target.check()
        if names is not None and found.count(target.name) > 1:
            raise ValueError(f"targets has {target.name!r} several times; give each its own name")
        if not same_unit(target.unit, before.unit):
            warn_caller(
                f"target {target.name!r} was fitted in {before.unit}, but units says "
                f"{target.unit!r}, which the file will tell; its numbers are not converted"
            )
    return renamed
