"""The network on quotient graphs is the network on all sites and bonds."""

import copy
import csv
import gzip
import io

import numpy as np
import pytest
import torch
from batches import unfolded

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.datasets import load_li_vacancy, load_sample_regression
from skcgcnn.nn import GraphBatches, GraphDataset


def table(shared, name, count):
    text = gzip.decompress((shared / "data" / f"{name}_val.csv.gz").read_bytes()).decode()
    rows = csv.DictReader(io.StringIO(text))
    return [row["cif"] for _, row in zip(range(count), rows, strict=False)]


def crystals(name, request):
    if name == "sample":
        return load_sample_regression().data
    if name == "vacancies":
        return load_li_vacancy().data[::15]
    if name == "cod":
        return sorted((request.getfixturevalue("reference") / "sample-cifs").glob("*.cif"))
    shared = request.getfixturevalue("shared")
    return table(shared, *{"perovskites": ("perov5", 300), "carbons": ("carbon24", 100)}[name])


@pytest.fixture(scope="module", params=["gated", "edge"])
def fitted(request):
    sample = load_sample_regression()
    params = {"max_epochs": 10, "batch_size": 64, "lr": 0.001, "random_state": 0, "device": "cpu"}
    # Dropout leaves out bonds at random, which differs where equal bonds are one.
    params |= {"conv": request.param, "dropout": 0.0, "composition_baseline": False}
    params |= {"loss": "mse", "weight_decay": None}
    params["net_params"] = {"schedule": "constant", "ema_decay": 0.99}
    return CGCNNRegressor(**params).fit(sample.data, sample.target)


def trained(est, graphs, dtype=torch.float32, fused=True):
    """Return outputs, gradients and running statistics of a training mode, batch by batch.

    Where distances have a gradient, torch's own operations run.
    """
    net = copy.deepcopy(est.net_.module_.trained).to(dtype).train()
    net.buffer_pool = None
    outputs = []
    for weighted, _ in GraphBatches(GraphDataset(graphs), batch_size=64, device="cpu", dtype=dtype):
        distances = weighted.batch.distances.requires_grad_(not fused)
        outputs.append(net(weighted.batch._replace(distances=distances)))
        outputs[-1].square().mean().backward()
    statistics = {name: b for name, b in net.named_buffers() if "running" in name}
    return (
        torch.cat(outputs).detach(),
        torch.cat([p.grad.flatten() for p in net.parameters()]),
        statistics,
    )


def largest(first, second):
    return float((first - second).abs().max() / second.abs().max())


def both(sources):
    """Return quotient graphs, and graphs of all sites and bonds."""
    return [CrystalGraphTransformer(merge_tol=t).transform(sources) for t in (1e-5, None)]


@pytest.mark.filterwarnings("ignore:no training crystal of")
@pytest.mark.parametrize("name", ["perovskites", "carbons", "cod", "sample", "vacancies"])
def test_outputs_gradients_and_statistics(name, fitted, request):
    sources = crystals(name, request)
    folded, plain = both(sources)
    assert len(folded.neighbors) < len(plain.neighbors)
    spread = load_sample_regression().target.std()
    difference = np.abs(fitted.predict(folded) - fitted.predict(plain)).max()
    assert difference / spread < 2e-6
    ours, theirs = trained(fitted, folded), trained(fitted, plain)
    assert float((ours[0] - theirs[0]).abs().max()) < 1e-5
    assert float((ours[1] - theirs[1]).norm() / theirs[1].norm()) < 1e-4
    assert max(largest(ours[2][one], theirs[2][one]) for one in theirs[2]) < 1e-5


@pytest.mark.parametrize("fused", [True, False])
def test_equal_distances_in_double_precision(fitted, graphs, fused):
    ours, theirs = (trained(fitted, g, torch.float64, fused) for g in (graphs, unfolded(graphs)))
    assert largest(ours[0], theirs[0]) < 1e-10
    assert largest(ours[1], theirs[1]) < 1e-10
    assert max(largest(ours[2][one], theirs[2][one]) for one in theirs[2]) < 1e-10


@pytest.mark.parametrize(
    "params",
    [
        {"dropout": 0.0},
        {"dropout": 0.0, "precision": "bfloat16"},
        {"dropout": 0.0, "net_params": {"max_batch_sites": 40}},
        {"dropout": 0.0, "conv": "edge", "pooling": "attention", "composition_baseline": True},
        {"dropout": 0.0, "conv": "edge", "precision": "bfloat16"},
        {"loss": "huber", "dropout": 0.1},
    ],
    ids=str,
)
def test_fits(params, cifs, energies, tiny):
    """A fit on quotient graphs ends where one on all sites and bonds ends."""
    given = {**tiny, **params}
    if precision := given.pop("precision", None):
        given["net_params"] = {**tiny["net_params"], "precision": precision}
    predictions = [
        CGCNNRegressor(**given).fit(graphs, energies).predict(graphs) for graphs in both(cifs)
    ]
    tolerance = 2e-2 if precision else 1e-4
    np.testing.assert_allclose(*predictions, atol=tolerance)


def test_frozen_layers(cifs, energies, tiny, tmp_path):
    tiny["dropout"] = 0.0
    source = CGCNNRegressor(**tiny).fit(cifs, energies)
    predictions = [
        CGCNNRegressor(**tiny, init_from=source, freeze="convs")
        .fit(graphs, energies)
        .predict(graphs)
        for graphs in both(cifs)
    ]
    np.testing.assert_allclose(*predictions, atol=1e-4)


def test_one_class_of_sites_is_a_batch(nacl, tiny):
    """Eight equal sites have statistics, though they are one row; one site has none."""
    copper = nacl.copy()
    copper.replace_species({"Na": "Cu", "Cl": "Cu"})
    single = copper.get_primitive_structure()
    assert (len(copper), len(single)) == (8, 1)
    graphs = CrystalGraphTransformer().transform([copper, single])
    assert graphs.site_counts.tolist() == [8, 1]
    est = CGCNNRegressor(**tiny, dropout=0.0).fit(graphs, [0.0, 1.0])
    net = est.net_.module_.trained
    for one in (graphs[:1], graphs[1:]):
        outputs = []
        for each in (one, unfolded(one)):
            ours = copy.deepcopy(net).train()
            ((weighted, _),) = GraphBatches(GraphDataset(each), batch_size=1, device="cpu")
            outputs.append((ours(weighted.batch), *ours.buffers()))
        for folded, plain in zip(*outputs, strict=True):
            torch.testing.assert_close(folded, plain, rtol=1e-5, atol=1e-5)
