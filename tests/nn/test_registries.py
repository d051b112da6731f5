"""Parts of a network from outside: they train, are saved, loaded and predict as our own."""

import joblib
import numpy as np
import pytest
import torch

import skcgcnn
from skcgcnn import CGCNNMultiTask, CGCNNRegressor
from skcgcnn.exceptions import DataError
from skcgcnn.nn import CONVOLUTIONS, POOLINGS, Convolution, Pooling


class SumConv(Convolution):
    """Adds what the neighbors send, by learned features of the bonds."""

    embeds_bonds = True
    normalizes_pooled = True

    def __init__(self, atom_fea_len, nbr_fea_len, generator=None, *, dropout=0.0):
        super().__init__()
        self.linear = torch.nn.Linear(atom_fea_len, atom_fea_len)
        torch.nn.init.normal_(self.linear.weight, std=0.1, generator=generator)
        torch.nn.init.zeros_(self.linear.bias)

    def forward(self, sites, edges, bonds):
        messages = self.linear(sites)[bonds.neighbors] * edges * bonds.counts.unsqueeze(1)
        return sites + torch.zeros_like(sites).index_add(0, bonds.centers, messages), edges


class LargestPooling(Pooling):
    """The sites with the largest first feature speak for their crystal."""

    def forward(self, sites, batch):
        n_crystals = len(batch.n_sites)
        largest = sites.new_full((n_crystals,), -torch.inf)
        largest = largest.scatter_reduce(0, batch.crystals.long(), sites[:, 0], "amax")
        chosen = (sites[:, 0] == largest[batch.crystals]).to(sites.dtype)
        count = sites.new_zeros(n_crystals).index_add(0, batch.crystals, chosen)
        return chosen / count[batch.crystals]


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(CONVOLUTIONS, "sum", SumConv)
    monkeypatch.setitem(POOLINGS, "largest", LargestPooling)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("params", [{"conv": "sum"}, {"pooling": "largest"}], ids=str)
def test_they_train_are_saved_loaded_and_predict(params, tiny, graphs, Y, tmp_path):
    est = CGCNNMultiTask(**{**tiny, **params, "max_epochs": 20}).fit(graphs, Y)
    assert est.loss_curve_[-1] < est.loss_curve_[0]
    expected = est.predict(graphs)
    est.save(tmp_path / "m.safetensors")
    joblib.dump(est, tmp_path / "m.joblib")
    for again in (
        skcgcnn.load(tmp_path / "m.safetensors"),
        joblib.load(tmp_path / "m.joblib"),
    ):
        np.testing.assert_array_equal(again.predict(graphs), expected)


@pytest.mark.usefixtures("registered")
def test_another_fit_starts_from_them(tiny, graphs, energies):
    source = CGCNNRegressor(**{**tiny, "conv": "sum"}, pooling="largest").fit(graphs, energies)
    est = CGCNNRegressor(max_epochs=1, random_state=0, init_from=source).fit(graphs, energies)
    assert est.module_.architecture == source.module_.architecture


def test_a_file_with_a_part_that_is_not_known(tiny, graphs, energies, tmp_path, monkeypatch):
    with monkeypatch.context() as here:
        here.setitem(CONVOLUTIONS, "sum", SumConv)
        CGCNNRegressor(**{**tiny, "conv": "sum"}).fit(graphs, energies).save(tmp_path / "m")
    with pytest.raises(DataError, match="conv='sum'; expected one of edge, gated"):
        skcgcnn.load(tmp_path / "m")


def test_a_name_that_is_not_registered(tiny, graphs, energies):
    with pytest.raises(ValueError, match="'conv' parameter of CGCNNRegressor"):
        CGCNNRegressor(**{**tiny, "conv": "sum"}).fit(graphs, energies)
