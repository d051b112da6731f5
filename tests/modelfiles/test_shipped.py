"""The models that come with the package, and what their cards say."""

import csv
import gzip
import io

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from sklearn.metrics import accuracy_score, mean_absolute_error
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit

import skcgcnn
from skcgcnn import CGCNNMultiTask, CGCNNRegressor
from skcgcnn.datasets import load_li_vacancy
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles import SHIPPED, describe_model, model_card, read_model_file


def test_small_files_with_cards():
    assert list(SHIPPED) == ["chgnet-distilled", "li-vacancy", "perov5-heat-gap"]
    for name, file in SHIPPED.items():
        assert file.stat().st_size < 2e6
        card = model_card(name)
        assert card.startswith(f"# {name}\n")
        for part in ("Data", "Recipe", "Errors", "Limits", "License"):
            assert f"**{part}.**" in card or f"**{part}**" in card
        metrics = read_model_file(file).provenance.metrics
        assert f"error {metrics['test MAE']:.3f} eV" in card
        if name != "chgnet-distilled":
            assert f"{metrics['test accuracy']:.1%} right" in card
        assert describe_model(name)["test MAE"] == f"{metrics['test MAE']:.6g}"
    with pytest.raises(DataError, match="not a model with a card; there are chgnet-distilled, "):
        model_card("band-gap")


def check(name, crystals, Y, test):
    """Check that the errors are those of the card."""
    est = CGCNNMultiTask.from_pretrained(name)
    metrics = read_model_file(SHIPPED[name]).provenance.metrics
    values, labels = est.predict([crystals[i] for i in test]).T
    assert mean_absolute_error(Y[test, 0], values) == pytest.approx(metrics["test MAE"], rel=1e-3)
    assert accuracy_score(Y[test, 1], labels) == metrics["test accuracy"]


def test_vacancies():
    data = load_li_vacancy()
    splitter = GroupShuffleSplit(1, test_size=0.1, random_state=0)
    _, test = next(splitter.split(data.data, groups=data.groups))
    check("li-vacancy", data.data, data.target, test)


@pytest.mark.filterwarnings("ignore:no training crystal of")
def test_perovskites(shared):
    text = gzip.decompress((shared / "data" / "perov5_val.csv.gz").read_bytes()).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    Y = np.array([[float(row["heat_ref"]), float(row["ind_gap"]) > 0] for row in rows])
    _, test = next(ShuffleSplit(1, test_size=0.1, random_state=0).split(rows))
    check("perov5-heat-gap", [row["cif"] for row in rows], Y, test)


def test_by_name(tmp_path):
    sites = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    perovskite = Structure(Lattice.cubic(3.94), ["Sr", "Ti", "O", "O", "O"], sites)
    est = CGCNNMultiTask.from_pretrained("perov5-heat-gap")
    assert est.target_names_ == ["heat_of_formation", "has_gap"]
    heat, _ = est.predict([perovskite])[0]
    assert abs(heat) < 1  # a real and stable perovskite
    tuned = CGCNNMultiTask(
        init_from="perov5-heat-gap",
        max_epochs=1,
        lr=1e-9,
    ).fit([perovskite] * 4, [[heat, 0], [heat, 1], [heat + 1, 0], [heat - 1, 1]])
    tuned.save(tmp_path / "tuned")
    assert skcgcnn.load(tmp_path / "tuned").init_from == "perov5-heat-gap"
    with pytest.raises(DataError, match="holds a CGCNNMultiTask, not a CGCNNRegressor"):
        CGCNNRegressor.from_pretrained("li-vacancy")
