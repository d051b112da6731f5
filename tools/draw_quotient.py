"""Draw ``docs/images/quotient.png``: a crystal, its graph and its quotient graph.

Usage: ``python tools/draw_quotient.py``; the numbers in the picture come from the library.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from pymatgen.core import Lattice, Structure

from skcgcnn import CrystalGraph, CrystalGraphs

mpl.use("Agg")
import matplotlib.pyplot as plt

TARGET = Path(__file__).parents[1] / "docs" / "images" / "quotient.png"
COLORS = {"Na": "#E69F00", "Cl": "#0072B2"}
VIEW = np.array([[0.94, -0.26], [0.42, 0.42], [0.0, 1.0]])  # of x, y and z on the paper


def points(axis: Any, places: np.ndarray, names: list[str], size: float) -> None:
    """Draw circles with their elements."""
    for (x, y), name in zip(places, names, strict=True):
        axis.scatter(x, y, s=size, color=COLORS[name], zorder=3)
        axis.annotate(name, (x, y), ha="center", va="center", color="white", zorder=4)


def draw_crystal(axis: Any, crystal: Structure) -> None:
    """Draw the sites in their cell."""
    a = crystal.lattice.a
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * a
    for one in corners:
        for other in corners:
            if np.isclose(np.linalg.norm(one - other), a):
                axis.plot(*(np.stack([one, other]) @ VIEW).T, color="0.75", linewidth=0.8)
    points(axis, crystal.cart_coords @ VIEW, [s.specie.symbol for s in crystal], 260)
    axis.set_title(f"the crystal: {len(crystal)} sites")


def draw_graph(axis: Any, graph: CrystalGraph, names: list[str]) -> None:
    """Draw all sites in a circle, and a line for each pair that is bonded."""
    angles = 2 * np.pi * np.arange(len(names)) / len(names)
    places = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    plain = unfolded(graph)
    for site, row in enumerate(plain):
        for other in set(row):
            axis.plot(*places[[site, other]].T, color="0.6", linewidth=0.8)
    points(axis, places, names, 260)
    axis.set_title(f"its graph: {plain.size} bonds")


def unfolded(graph: CrystalGraph) -> np.ndarray:
    """Return the neighbors of each site of the same crystal, with nothing merged."""
    return PLAIN[graph.id].expand().neighbors


def draw_quotient(axis: Any, graph: CrystalGraph, names: list[str]) -> None:
    """Draw the classes, and an arrow for each bond with its number."""
    firsts = np.unique(graph.site_classes, return_index=True)[1]
    places = np.array([[-1.0, 0.0], [1.0, 0.0]])
    for center in range(len(firsts)):
        bonds = slice(graph.bond_offsets[center], graph.bond_offsets[center + 1])
        side = 1 if center == 0 else -1
        for other, distance, count in zip(
            graph.neighbors[bonds], graph.distances[bonds], graph.bond_counts[bonds], strict=True
        ):
            text = f"{count} × {distance:.2f} Å"
            if other == center:
                axis.annotate(
                    "",
                    places[center] + [-0.2 * side, 0.05],
                    places[center] + [0.2 * side, 0.05],
                    arrowprops={"arrowstyle": "->", "connectionstyle": f"arc3,rad={1.6 * side}"},
                )
                axis.text(places[center][0], 0.78, text, ha="center")
            else:
                axis.annotate(
                    "",
                    places[other],
                    places[center],
                    arrowprops={
                        "arrowstyle": "->",
                        "connectionstyle": "arc3,rad=0.35",
                        "shrinkA": 13,
                        "shrinkB": 13,
                    },
                )
                axis.text(0, -0.62 * side, text, ha="center", va="center")
    points(axis, places, [names[i] for i in firsts], 420)
    for place, count in zip(places, graph.site_counts, strict=True):
        axis.text(
            place[0], place[1] - 0.36, f"{count} sites", ha="center", va="center", color="0.3"
        )
    axis.set_title(f"its quotient: {len(firsts)} classes, {len(graph.neighbors)} bonds")
    axis.set(xlim=(-1.7, 1.7), ylim=(-1.1, 1.1))


crystal = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
PLAIN = {graph.id: graph for graph in CrystalGraphs.from_structures([crystal], merge_tol=None)}


def main() -> None:
    """Draw the three pictures side by side."""
    (graph,) = CrystalGraphs.from_structures([crystal])
    names = [site.specie.symbol for site in crystal]
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.1), layout="constrained")
    draw_crystal(axes[0], crystal)
    draw_graph(axes[1], graph, names)
    draw_quotient(axes[2], graph, names)
    for axis in axes:
        axis.set_axis_off()
        axis.set_aspect("equal")
    figure.savefig(TARGET, dpi=120)


if __name__ == "__main__":
    main()
