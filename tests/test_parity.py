"""Weights by the original code predict its numbers: graphs and network are right."""

import csv
import gzip
import io

import numpy as np
import pytest
from conftest import DATA

import skcgcnn
from skcgcnn import CGCNNClassifier, CrystalGraphTransformer
from skcgcnn.modelfiles import PRETRAINED

# What the original code trained on the bundled crystals, and its predictions for ten others.
TRAINED = ["energy", "metal"]


def read(file):
    return {row["cif_id"]: row for row in csv.DictReader(file.open())}


def assert_same_predictions(file, column, graphs, official):
    est = skcgcnn.load(file)
    if isinstance(est, CGCNNClassifier):
        predicted = est.predict_proba(graphs)[:, 1]
    else:
        predicted = est.predict(graphs)
    expected = np.array([float(row[column]) for row in official.values()])
    assert np.ptp(expected) > 0.01
    assert np.abs(predicted - expected).max() < 1e-4


@pytest.fixture(scope="module")
def sets(shared, tmp_path_factory):
    """Graphs and official predictions of the ten COD crystals and the 300 perovskites."""
    reference = shared / "reference"
    sample = read(reference / "official_predictions_sample.csv")
    perov5 = read(reference / "official_predictions_perov5.csv")
    folder = tmp_path_factory.mktemp("perov5")
    text = gzip.decompress((shared / "data" / "perov5_val.csv.gz").read_bytes()).decode()
    for row in csv.DictReader(io.StringIO(text)):
        if row["material_id"] in perov5:
            (folder / f"{row['material_id']}.cif").write_text(row["cif"])
    transform = CrystalGraphTransformer(neighbor_ties="official").transform
    return [
        (transform([folder / f"{cif_id}.cif" for cif_id in official]), official)
        for folder, official in ((reference / "sample-cifs", sample), (folder, perov5))
    ]


@pytest.mark.parametrize("model", PRETRAINED)
def test_official_predictions(shared, sets, model):
    assert [len(graphs) for graphs, _ in sets] == [10, 300]
    for graphs, official in sets:
        file = shared / "reference" / "pre-trained" / f"{model}.pth.tar"
        assert_same_predictions(file, model, graphs, official)


@pytest.mark.parametrize("model", TRAINED)
def test_predictions_of_the_original_code(model):
    official = read(DATA / "predictions.csv")
    assert len(official) == 10
    paths = [DATA / "sample-cifs" / f"{cif_id}.cif" for cif_id in official]
    graphs = CrystalGraphTransformer(neighbor_ties="official").transform(paths)
    assert_same_predictions(DATA / "pre-trained" / f"{model}.pth.tar", model, graphs, official)
