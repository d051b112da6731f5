"""What torch's defaults are in a session does not change a fit."""

import pickle

import numpy as np
import pytest
import torch

import skcgcnn
from skcgcnn import CGCNNMultiTask
from skcgcnn.inspection import bond_contributions, site_contributions

OPTIONS = [
    {},
    {"recipe": "paper"},
    {"loss": "gaussian_nll", "pooling": "sum", "tasks": ("regression", "regression")},
    {"pooling": "attention", "net_params": {"element_embedding": True, "heads": "separate"}},
    {"net_params": {"precision": "float64"}},
    {
        "cls_weight": "auto",
        "early_stopping": True,
        "n_iter_no_change": 9,
        "optimizer": torch.optim.Adam,
    },
]


def _results(options, graphs, Y, folder):
    hot = graphs.with_global_features(np.arange(len(graphs)).reshape(-1, 1), ["T"])
    est = CGCNNMultiTask(
        atom_fea_len=8,
        n_conv=2,
        h_fea_len=8,
        max_epochs=2,
        random_state=0,
        **options,
    )
    est.fit(hot, Y)
    est.save(folder / "model")
    again = skcgcnn.load(folder / "model"), pickle.loads(pickle.dumps(est))
    found = [each.predict(hot) for each in (est, *again)]
    explained = site_contributions(est, hot[:3]), bond_contributions(est, hot[:3])
    fine_tuned = CGCNNMultiTask(**est.get_params() | {"init_from": est}).fit(hot, Y)
    weights = est.module_.state_dict()
    return [*found, fine_tuned.predict(hot)], repr(explained), weights


@pytest.fixture
def defaults():
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


@pytest.mark.usefixtures("defaults")
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ", ".join(options) or "default")
def test_defaults_of_torch(options, graphs, Y, tmp_path):
    expected, explained, weights = _results(options, graphs, Y, tmp_path)
    # Numbers that are made on the device "meta" are none.
    for dtype, device in ((torch.float64, None), (torch.float32, "meta")):
        torch.set_default_dtype(dtype)
        torch.set_default_device(device)
        found, again, others = _results(options, graphs, Y, tmp_path)
        np.testing.assert_array_equal(found, expected)
        assert again == explained
        for name, tensor in weights.items():
            assert others[name].dtype == tensor.dtype
            np.testing.assert_array_equal(others[name].numpy(), tensor.numpy())
