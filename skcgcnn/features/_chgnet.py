"""What the potential CHGNet says of crystals, many at a time."""

import contextlib
import io
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn.crystals import Crystal
from skcgcnn.exceptions import StructureError
from skcgcnn.features._chgnet_graph import CUTOFF, make_graph

# Crystals at a time: small batches stay in the caches of a processor.
_BATCH = 16
_VERSION = "0.3.0"
# The heaviest element that it knows: plutonium.
_MAX_NUMBER = 94


class PotentialOutput(NamedTuple):
    """What a potential says of one crystal.

    Attributes
    ----------
    energy : float
        In eV/atom.
    features : ndarray of shape (n_features,)
        The mean over the sites of what energies are computed from.
    site_energies : ndarray of shape (n_sites,)
        In eV; their mean is `energy`.
    moments : ndarray of shape (n_sites,)
        Magnetic moments in Bohr magnetons.
    """

    energy: float
    features: npt.NDArray[np.float64]
    site_energies: npt.NDArray[np.float64]
    moments: npt.NDArray[np.float64]


class CHGNetPotential:
    """The potential CHGNet 0.3.0 of B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023).

    Its weights come with the package chgnet (BSD license).

    Raises
    ------
    ImportError
        If chgnet is not installed.
    """

    name = f"CHGNet {_VERSION}"
    n_features = 64

    def __init__(self) -> None:
        self._model = _load()

    def compute(self, crystals: Sequence[Crystal]) -> list[PotentialOutput | StructureError]:
        """Return what the potential says of crystals.

        Parameters
        ----------
        crystals : sequence of Crystal

        Returns
        -------
        list of PotentialOutput or StructureError
            One for every crystal; an error where it cannot be one of the potential's.
        """
        graphs = [self._graph(crystal) for crystal in crystals]
        found: list[Any] = list(graphs)
        places = [i for i, graph in enumerate(graphs) if not isinstance(graph, StructureError)]
        # Crystals of about the same size go together.
        places.sort(key=lambda place: len(graphs[place].atom_graph))
        for start in range(0, len(places), _BATCH):
            some = places[start : start + _BATCH]
            for place, output in zip(some, self._run([graphs[i] for i in some]), strict=True):
                found[place] = output
        return found

    def _graph(self, crystal: Crystal) -> Any:
        if any(len(site) > 1 or site[0][1] < 1 for site in crystal.species):
            return StructureError(
                f"has partially occupied sites, which {self.name} does not know; pass an ordered "
                "supercell"
            )
        if max(site[0][0] for site in crystal.species) > _MAX_NUMBER:
            return StructureError(f"holds an element that {self.name} does not know")
        graph = make_graph(crystal)
        if graph is None:
            return StructureError(
                f"has an atom without a neighbor within {CUTOFF:g} Å, of which {self.name} can say "
                "nothing"
            )
        return graph

    def _run(self, graphs: list[Any]) -> list[PotentialOutput]:
        import torch

        with torch.no_grad():
            out = self._model(
                graphs, task="em", return_site_energies=True, return_crystal_feas=True
            )
        counts = out["atoms_per_graph"].tolist()
        energies = out["e"].double().numpy()
        features = out["crystal_fea"].double().numpy()
        return [
            PotentialOutput(
                float(energies[i]),
                features[i] / count,
                out["site_energies"][i].double().numpy(),
                out["m"][i].double().numpy(),
            )
            for i, count in enumerate(counts)
        ]


@cache
def _load() -> Any:
    try:
        # It prints its size as it is made.
        with contextlib.redirect_stdout(io.StringIO()):
            from chgnet.model import CHGNet

            model = CHGNet.load(model_name=_VERSION, use_device="cpu", verbose=False)
    except ImportError as error:
        raise ImportError(
            f"the potential chgnet needs its package, which cannot be imported ({error}): pip "
            "install skcgcnn[potentials]"
        ) from error
    return model.eval()
