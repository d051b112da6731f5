"""The estimators, and what loads, saves and predicts with them."""

from skcgcnn.estimators._base import BaseCGCNN
from skcgcnn.estimators._baseline import mean_features
from skcgcnn.estimators._classifier import CGCNNClassifier
from skcgcnn.estimators._columns import split_columns, stack_columns
from skcgcnn.estimators._ensemble import Uncertainty
from skcgcnn.estimators._features import expand_to_sites, run_batches, to_numpy
from skcgcnn.estimators._load import from_model_state, load
from skcgcnn.estimators._multitask import CGCNNMultiTask
from skcgcnn.estimators._pooled import Pooled, pooled_crystals
from skcgcnn.estimators._regressor import CGCNNRegressor
from skcgcnn.estimators._targets import (
    predict_target_chunks,
    predict_targets,
    readable,
)
from skcgcnn.estimators._transfer import architecture, read_source

__all__ = [
    "BaseCGCNN",
    "CGCNNClassifier",
    "CGCNNMultiTask",
    "CGCNNRegressor",
    "Pooled",
    "Uncertainty",
    "architecture",
    "expand_to_sites",
    "from_model_state",
    "load",
    "mean_features",
    "pooled_crystals",
    "predict_target_chunks",
    "predict_targets",
    "read_source",
    "readable",
    "run_batches",
    "split_columns",
    "stack_columns",
    "to_numpy",
]
