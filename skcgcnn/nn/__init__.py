"""The network of CGCNN, its loss, and its training, as torch and skorch have them."""

from skcgcnn.nn._averaging import AveragedNet
from skcgcnn.nn._batches import GraphBatches, GraphDataset
from skcgcnn.nn._buffers import BufferPool
from skcgcnn.nn._loss import Task, TaskLoss
from skcgcnn.nn._network import (
    GAUSSIAN_STEP,
    ConvLayer,
    CrystalGraphConvNet,
    GaussianDistance,
)
from skcgcnn.nn._trainer import GraphNet, choose_device

__all__ = [
    "GAUSSIAN_STEP",
    "AveragedNet",
    "BufferPool",
    "ConvLayer",
    "CrystalGraphConvNet",
    "GaussianDistance",
    "GraphBatches",
    "GraphDataset",
    "GraphNet",
    "Task",
    "TaskLoss",
    "choose_device",
]
