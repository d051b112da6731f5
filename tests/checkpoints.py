"""Checkpoints as a training run writes them."""

from dataclasses import replace

import skcgcnn
from skcgcnn.modelfiles import read_model_file, write_checkpoint


def save_checkpoint(est, path, run=None, *, training=True):
    """Write a fitted estimator, with what training needs to go on."""
    state = est._get_model_state(training=training)
    if training:
        state = replace(state, training=replace(state.training, run=run or {}))
    write_checkpoint(state, path)


def load_checkpoint(path, device="auto"):
    """Return the estimator, and what was kept with it."""
    return skcgcnn.load(path, device), read_model_file(path).training.run
