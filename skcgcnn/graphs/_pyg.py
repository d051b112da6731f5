"""Crystal graphs for PyTorch Geometric."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn._lazy import needed
from skcgcnn.crystals import read_crystal
from skcgcnn.graphs._build import GraphMaker, build_arrays
from skcgcnn.graphs._elements import ElementFeatures
from skcgcnn.graphs._expand import expand
from skcgcnn.graphs._neighbor_list import fit_for_search
from skcgcnn.graphs._schema import CrystalGraph

# In Å: what a structure and a graph of the same crystal may differ by.
_SAME = 1e-3
# In Å: a site that is nearer to itself is itself, not its periodic image.
_ITSELF = 1e-8


class _Geometry(NamedTuple):
    neighbors: npt.NDArray[np.integer]
    distances: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.int64] | None = None
    coords: npt.NDArray[np.float64] | None = None
    lattice: npt.NDArray[np.float64] | None = None


def to_pyg(graphs: Any, structures: Sequence[Any] | None) -> list[Any]:
    """Return graphs as data of PyTorch Geometric: see `CrystalGraphs.to_pyg`."""
    with needed("to_pyg needs PyTorch Geometric", "skcgcnn[pyg]"):
        import torch
        from torch_geometric.data import Data

    if structures is not None and len(structures) != len(graphs):
        raise ValueError(f"there are {len(structures)} structures for {len(graphs)} graphs")
    found = []
    for index in range(len(graphs)):
        graph = graphs[index]
        kinds = graph.site_kinds[graph.site_classes]
        if structures is None:
            expanded = graph.expand()
            geometry = _Geometry(expanded.neighbors, expanded.distances)
        else:
            geometry = _geometry(structures[index], graph, graphs)
        n_sites, max_num_nbr = geometry.neighbors.shape
        ends = geometry.neighbors.ravel(), np.repeat(np.arange(n_sites), max_num_nbr)
        data = Data(
            x=torch.from_numpy(graph.kind_features[kinds]),
            edge_index=torch.from_numpy(np.stack(ends).astype(np.int64)),
            edge_attr=torch.from_numpy(geometry.distances.reshape(-1, 1).copy()),
            id=graph.id,
        )
        if graphs.global_features.shape[1]:
            data.u = torch.from_numpy(graphs.global_features[index : index + 1].copy())
        if geometry.coords is not None and geometry.offsets is not None:
            data.pos = torch.from_numpy(geometry.coords).float()
            data.cell = torch.as_tensor(geometry.lattice, dtype=torch.float32)[None]
            data.cell_offsets = torch.from_numpy(geometry.offsets.reshape(-1, 3)).float()
        found.append(data)
    return found


def _geometry(source: Any, graph: CrystalGraph, graphs: Any) -> _Geometry:
    """Choose the neighbors of a crystal anew, with the periodic image of each."""
    crystal, options = read_crystal(source), graphs.options
    # What the features are does not matter: they are those of the graph.
    elements = {z for species in crystal.species for z, _ in species}
    features = ElementFeatures({z: (float(z),) for z in elements}, "to_pyg")
    maker = GraphMaker(features, **(options.parameters() | {"merge_tol": None}))
    arrays, failures = build_arrays([crystal], maker)
    if failures:
        raise ValueError(f"{graph.id!r}: {failures[0][1]}")
    sites = np.array([0, len(arrays["site_classes"])])
    expanded = expand(SimpleNamespace(**arrays), arrays["offsets"], sites)
    known = graph.expand().distances
    if known.shape != expanded.distances.shape or np.abs(known - expanded.distances).max() > _SAME:
        raise ValueError(
            f"the structure for graph {graph.id!r} is another crystal: their neighbors differ"
        )
    lattice, coords = np.asarray(crystal.lattice), np.asarray(crystal.coords)
    cutoff = float(expanded.distances.max()) + _SAME
    offsets = _images(lattice, coords, expanded.neighbors, cutoff)
    return _Geometry(expanded.neighbors, expanded.distances, offsets, coords, lattice)


def _images(
    lattice: npt.NDArray[np.float64],
    coords: npt.NDArray[np.float64],
    neighbors: npt.NDArray[np.integer],
    cutoff: float,
) -> npt.NDArray[np.int64]:
    """Return which cell each neighbor lies in, of shape (n_sites, max_num_nbr, 3).

    Of a site's images, the neighbors are always the nearest: the first of them by distance.
    """
    from pymatgen.optimization.neighbors import find_points_in_spheres

    n_sites = len(coords)
    searched, _ = fit_for_search(lattice, n_sites, cutoff)
    searched = np.ascontiguousarray(searched)
    periodic = np.ones(3, dtype=np.int64)
    center, other, image, distance = find_points_in_spheres(
        *(coords, coords), r=cutoff, pbc=periodic, lattice=searched, tol=_ITSELF
    )
    seen = (center != other) | (distance > _ITSELF)
    center, other, image, distance = (a[seen] for a in (center, other, image, distance))
    order = np.lexsort((distance, other, center))
    pairs = (center * n_sites + other)[order]
    wanted = (np.arange(n_sites)[:, np.newaxis] * n_sites + neighbors).ravel()
    # The rank of each among the neighbors that are images of the same site.
    by_pair = np.argsort(wanted, kind="stable")
    firsts = np.searchsorted(wanted[by_pair], wanted[by_pair])
    ranks = np.empty(len(wanted), dtype=np.int64)
    ranks[by_pair] = np.arange(len(wanted)) - firsts
    places = order[np.searchsorted(pairs, wanted) + ranks]
    vectors = image[places] @ searched
    offsets: npt.NDArray[np.int64] = np.rint(vectors @ np.linalg.inv(lattice)).astype(np.int64)
    return offsets.reshape(*neighbors.shape, 3)
