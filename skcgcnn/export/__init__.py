"""A fitted network for other programs: a torch module, a `torch.export` program, an ONNX file."""

from skcgcnn.export._network import PredictingNetwork
from skcgcnn.export._programs import export_onnx, export_program

__all__ = ["PredictingNetwork", "export_onnx", "export_program"]
