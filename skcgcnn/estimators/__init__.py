"""The estimators, and what loads them and predicts with them."""

from skcgcnn.estimators._base import BaseCGCNN
from skcgcnn.estimators._classifier import CGCNNClassifier
from skcgcnn.estimators._load import load, load_with_metrics
from skcgcnn.estimators._multitask import CGCNNMultiTask
from skcgcnn.estimators._predict import predict_target_chunks, predict_targets
from skcgcnn.estimators._regressor import CGCNNRegressor
from skcgcnn.estimators._uncertainty import Uncertainty

__all__ = [
    "BaseCGCNN",
    "CGCNNClassifier",
    "CGCNNMultiTask",
    "CGCNNRegressor",
    "Uncertainty",
    "load",
    "load_with_metrics",
    "predict_target_chunks",
    "predict_targets",
]
