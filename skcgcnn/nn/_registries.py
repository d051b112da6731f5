"""The parts that a network can be composed of, by their names."""

from skcgcnn.nn._convolution import Convolution
from skcgcnn.nn._edge import EdgeConv
from skcgcnn.nn._gated import ConvLayer
from skcgcnn.nn._pooling import AttentionPooling, MeanPooling, Pooling, SumPooling

CONVOLUTIONS: dict[str, type[Convolution]] = {"edge": EdgeConv, "gated": ConvLayer}

POOLINGS: dict[str, type[Pooling]] = {
    "mean": MeanPooling,
    "sum": SumPooling,
    "attention": AttentionPooling,
}
