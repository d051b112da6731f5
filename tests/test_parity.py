"""The official weights predict the official numbers: graphs and network are right."""

import csv
import gzip
import io

import numpy as np
import pytest

import skcgcnn
from skcgcnn import CGCNNClassifier, CrystalGraphTransformer

MODELS = [
    "band-gap",
    "bulk-moduli",
    "efermi",
    "final-energy-per-atom",
    "formation-energy-per-atom",
    "poisson-ratio",
    "semi-metal-classification",
    "shear-moduli",
]


def read(file):
    return {row["cif_id"]: row for row in csv.DictReader(file.open())}


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
        (transform([folder / f"{cif_id}.cif" for cif_id in official]), list(official.values()))
        for folder, official in ((reference / "sample-cifs", sample), (folder, perov5))
    ]


@pytest.mark.parametrize("model", MODELS)
def test_official_predictions(shared, sets, model):
    est = skcgcnn.load(shared / "reference" / "pre-trained" / f"{model}.pth.tar")
    assert [len(graphs) for graphs, _ in sets] == [10, 300]
    for graphs, official in sets:
        if isinstance(est, CGCNNClassifier):
            predicted = est.predict_proba(graphs)[:, 1]
        else:
            predicted = est.predict(graphs)
        expected = np.array([float(row[model]) for row in official])
        assert np.abs(predicted - expected).max() < 1e-4
