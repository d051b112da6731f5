"""What graphs depend on besides the crystals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from skcgcnn._text import same_unit


@dataclass(frozen=True)
class GraphOptions:
    """What graphs depend on besides the crystals, so that they are not mixed up.

    Attributes
    ----------
    max_num_nbr : int
        Neighbors per site.
    n_features : int
        Features per kind of site.
    radius : float or None, default=None
        Initial cutoff of the neighbor search, in Å; None is unknown, here and below.
    neighbor_ties : {"invariant", "official"} or None, default=None
        What decides between neighbors at the same distance.
    atom_features : str or None, default=None
        Fingerprint of the features of the elements.
    merge_tol : float or None, default=None
        Distances that differ by no more, in Å, count as equal; 0 where nothing is merged. Graphs
        that differ in it are graphs of the same crystals all the same, to within it, so that they
        can be mixed.
    global_features : tuple of str, default=()
        Names of the numbers that belong to each crystal.
    global_units : tuple of str, default=()
        Their units, each empty where it is unknown; () where none is known.
    """

    max_num_nbr: int
    n_features: int
    radius: float | None = None
    neighbor_ties: str | None = None
    atom_features: str | None = None
    merge_tol: float | None = None
    global_features: tuple[str, ...] = ()
    global_units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "global_features", tuple(self.global_features))
        units = tuple(self.global_units)
        object.__setattr__(self, "global_units", units if any(units) else ())

    def differences(self, other: "GraphOptions") -> list[str]:
        """Return the names of the options that differ; what is unknown differs from nothing.

        Parameters
        ----------
        other : GraphOptions
            The options to compare with.

        Returns
        -------
        list of str

        Examples
        --------
        >>> GraphOptions(12, 92, radius=8.0).differences(GraphOptions(8, 92))
        ['max_num_nbr']
        """
        return [
            name
            for name, value in vars(self).items()
            if name != "merge_tol"
            and None not in {value, getattr(other, name)}
            and value != getattr(other, name)
            and (name != "global_units" or self.in_other_units(other))
        ]

    def in_other_units(self, other: "GraphOptions") -> list[str]:
        """Return the names of the numbers whose units are known of both, and are others.

        Parameters
        ----------
        other : GraphOptions
            With the same numbers.

        Returns
        -------
        list of str

        Examples
        --------
        >>> kelvin = GraphOptions(12, 92, global_features=("T",), global_units=("K",))
        >>> kelvin.in_other_units(replace(kelvin, global_units=("°C",)))
        ['T']
        """
        units = zip(self.global_features, self.global_units, other.global_units, strict=False)
        return [name for name, mine, theirs in units if not same_unit(mine, theirs)]

    def parameters(self) -> dict[str, Any]:
        """Return the parameters with which graphs are made so, as far as they are known."""
        names = ("max_num_nbr", "radius", "neighbor_ties", "merge_tol")
        known = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        # A tolerance of 0 is that of graphs in which nothing is merged.
        return {n: None if (n, value) == ("merge_tol", 0) else value for n, value in known.items()}

    def common(self, other: "GraphOptions") -> "GraphOptions":
        """Return the options that both know, and that are the same for both.

        Parameters
        ----------
        other : GraphOptions
            Without differences.

        Returns
        -------
        GraphOptions
        """
        unknown: dict[str, Any] = {n: None for n, value in vars(other).items() if value is None}
        if self.merge_tol != other.merge_tol:
            unknown["merge_tol"] = None
        if self.global_units != other.global_units:
            unknown["global_units"] = ()
        return replace(self, **unknown)

    def describe(self, names: Sequence[str]) -> str:
        """Return some of the options as a text for messages.

        Parameters
        ----------
        names : sequence of str
            Which.

        Returns
        -------
        str

        Examples
        --------
        >>> GraphOptions(12, 92).describe(["max_num_nbr"])
        'max_num_nbr=12'
        """
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
