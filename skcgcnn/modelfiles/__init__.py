"""Model files: the state of a fitted estimator, its kinds of file, and the official models."""

from skcgcnn.modelfiles._cgcnn import write_cgcnn
from skcgcnn.modelfiles._checkpoint import write_checkpoint
from skcgcnn.modelfiles._describe import describe_model
from skcgcnn.modelfiles._plain_state import check_version
from skcgcnn.modelfiles._pretrained import (
    PRETRAINED,
    SHIPPED,
    PretrainedModel,
    fetch_pretrained,
    find_model,
    model_card,
)
from skcgcnn.modelfiles._read import BUILD_ERRORS, PICKLES, read_model_file
from skcgcnn.modelfiles._safetensors import digest_model, write_safetensors
from skcgcnn.modelfiles._state import (
    ModelState,
    Provenance,
    TrainingState,
    rename_targets,
)

__all__ = [
    "BUILD_ERRORS",
    "PICKLES",
    "PRETRAINED",
    "SHIPPED",
    "ModelState",
    "PretrainedModel",
    "Provenance",
    "TrainingState",
    "check_version",
    "describe_model",
    "digest_model",
    "fetch_pretrained",
    "find_model",
    "model_card",
    "read_model_file",
    "rename_targets",
    "write_cgcnn",
    "write_checkpoint",
    "write_safetensors",
]
