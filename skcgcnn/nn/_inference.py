"""The network that predicts, on batches of graphs."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from skcgcnn.graphs import CrystalGraphs
from skcgcnn.nn._batches import GraphBatch, GraphDataset
from skcgcnn.nn._network import CrystalGraphConvNet


def run_batches(
    net: Any, graphs: CrystalGraphs
) -> Iterator[tuple[CrystalGraphConvNet, GraphBatch]]:
    """Yield the network that predicts, and batches of the readable crystals in their order.

    Yields
    ------
    module : CrystalGraphConvNet
    batch : GraphBatch
    """
    readable = graphs[graphs.n_sites > 0]
    device = torch.device(net.device).type
    with torch.no_grad(), torch.autocast(device, enabled=False):
        for weighted, _ in net.get_iterator(GraphDataset(readable)) if len(readable) else ():
            yield net.module_.average, weighted.batch


def to_numpy(tensor: Tensor) -> npt.NDArray[np.float64]:
    """Return a tensor as an array of float64."""
    return tensor.cpu().double().numpy()
