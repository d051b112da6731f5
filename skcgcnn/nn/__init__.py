"""The network of CGCNN, its loss, and its training, as torch and skorch have them."""

from skcgcnn.nn._batches import GraphBatches, GraphDataset, GraphNet, choose_device
from skcgcnn.nn._buffers import Scratch
from skcgcnn.nn._network import (
    GAUSSIAN_STEP,
    AveragedNet,
    ConvLayer,
    CrystalGraphConvNet,
    GaussianDistance,
    Task,
    TaskLoss,
)

__all__ = [
    "GAUSSIAN_STEP",
    "AveragedNet",
    "ConvLayer",
    "CrystalGraphConvNet",
    "GaussianDistance",
    "GraphBatches",
    "GraphDataset",
    "GraphNet",
    "Scratch",
    "Task",
    "TaskLoss",
    "choose_device",
]
