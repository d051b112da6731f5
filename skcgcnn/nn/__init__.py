"""The network of CGCNN, its loss, and its training, as torch and skorch have them."""

import os
from functools import partial

import torch

from skcgcnn.nn._averaging import AveragedNet
from skcgcnn.nn._baseline import CompositionBaseline
from skcgcnn.nn._batches import INDICES, LEVELS, GraphBatch, GraphBatches, GraphDataset
from skcgcnn.nn._best_epoch import BestEpoch
from skcgcnn.nn._buffers import BufferPool
from skcgcnn.nn._callbacks import check_callbacks
from skcgcnn.nn._convolution import Convolution
from skcgcnn.nn._devices import accelerator_of, choose_device, lasting_device
from skcgcnn.nn._distributed import AcceleratedNet, broadcast_int
from skcgcnn.nn._edge import EdgeConv
from skcgcnn.nn._embedding import ElementEmbedding
from skcgcnn.nn._gated import ConvLayer
from skcgcnn.nn._gaussians import GAUSSIAN_STEP, GaussianDistance
from skcgcnn.nn._globals import GlobalFeatures
from skcgcnn.nn._halves import Halves, can_be_halved
from skcgcnn.nn._inference import run_batches, to_numpy
from skcgcnn.nn._loss import TaskLoss
from skcgcnn.nn._network import CrystalGraphConvNet
from skcgcnn.nn._pooling import Pooling, weighted_sum
from skcgcnn.nn._registries import CONVOLUTIONS, POOLINGS
from skcgcnn.nn._schedule import one_cycle
from skcgcnn.nn._threads import at_most
from skcgcnn.nn._trainer import GraphNet
from skcgcnn.nn._windows import WindowedBatches

# A forked process has none of torch's threads, and would wait for them for ever.
if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))

__all__ = [
    "CONVOLUTIONS",
    "GAUSSIAN_STEP",
    "INDICES",
    "LEVELS",
    "POOLINGS",
    "AcceleratedNet",
    "AveragedNet",
    "BestEpoch",
    "BufferPool",
    "CompositionBaseline",
    "ConvLayer",
    "Convolution",
    "CrystalGraphConvNet",
    "EdgeConv",
    "ElementEmbedding",
    "GaussianDistance",
    "GlobalFeatures",
    "GraphBatch",
    "GraphBatches",
    "GraphDataset",
    "GraphNet",
    "Halves",
    "Pooling",
    "TaskLoss",
    "WindowedBatches",
    "accelerator_of",
    "at_most",
    "broadcast_int",
    "can_be_halved",
    "check_callbacks",
    "choose_device",
    "lasting_device",
    "one_cycle",
    "run_batches",
    "to_numpy",
    "weighted_sum",
]
