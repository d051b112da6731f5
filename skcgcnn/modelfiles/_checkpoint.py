"""Models as torch files: checkpoints from which training goes on, or models that predict."""

import json
from collections.abc import Mapping
from os import PathLike
from typing import Any

from skcgcnn.modelfiles._plain_state import state_from_plain, state_to_plain
from skcgcnn.modelfiles._state import ModelState, TrainingState
from skcgcnn.modelfiles._torch_file import save_content

CHECKPOINT = "skcgcnn checkpoint"
KEY = "skcgcnn"


def write_checkpoint(state: ModelState, path: str | PathLike[str]) -> None:
    """Write a model as a torch file of tensors and plain values, which loads without running code.

    Parameters
    ----------
    state : ModelState
        The model; without `training` the file only predicts.
    path : path
        Where to write.

    Notes
    -----
    ``state_dict`` and ``epoch`` have the names that they have in the original CGCNN code.
    """
    content = {
        KEY: state_to_plain(state),
        "epoch": state.provenance.n_epochs,
        "state_dict": state.weights,
    }
    training = state.training
    if training is not None:
        content |= {
            "history": json.dumps(list(state.provenance.history), default=float),
            "trained_state_dict": training.weights,
            "n_steps": training.n_steps,
            "optimizer": training.optimizer,
            "run": training.run,
        }
        if training.best is not None:
            content["best_state_dict"] = training.best
    save_content(content, path)


def read_checkpoint(content: Mapping[str, Any]) -> ModelState:
    """Return the model that `write_checkpoint` wrote.

    Raises
    ------
    LookupError, TypeError, ValueError
        If it is not what this library writes.
    """
    training, history = None, []
    if "optimizer" in content:
        history = [dict(row) for row in json.loads(content["history"])]
        if len(history) != content["epoch"]:
            raise ValueError(f"a history of {len(history)} epochs, where {content['epoch']} were")
        training = TrainingState(
            dict(content["trained_state_dict"]),
            int(content["n_steps"]),
            dict(content["optimizer"]),
            dict(content["run"]),
            dict(content["best_state_dict"]) if "best_state_dict" in content else None,
        )
    return state_from_plain(
        content[KEY],
        dict(content["state_dict"]),
        CHECKPOINT,
        history=history,
        training=training,
    )
