"""By which rule crystals are split, and what is trained beside."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import TINY
from pymatgen.core import Structure
from typer.testing import CliRunner

from skcgcnn import CrystalGraphTransformer
from skcgcnn.cli import app
from skcgcnn.datasets import load_sample_regression
from skcgcnn.exceptions import DataError
from skcgcnn.model_selection import GROUPINGS, group_by_structure
from skcgcnn.quality import fit_power_law
from skcgcnn.stores import featurize
from skcgcnn.training import Settings, _run, train
from skcgcnn.training._data import load_run_data
from skcgcnn.training._rules import find_groups, split_parts

SMALL = {name: value for name, value in TINY.items() if name not in {"device", "net_params"}}
SMALL |= {"max_epochs": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with 40 crystals, and 20 of them again in another cell."""
    folder = tmp_path_factory.mktemp("data")
    sample = load_sample_regression()
    rows = ["cif_id,energy"]
    for place in range(0, 120, 3):
        path, energy = Path(sample.data[place]), sample.target[place]
        shutil.copy(path, folder)
        rows.append(f"{path.stem},{energy}")
        if place % 2:
            again = Structure.from_file(path).make_supercell((1, 1, 2))
            again.to(str(folder / f"{path.stem}_again.cif"))
            rows.append(f"{path.stem}_again,{energy}")
    (folder / "id_prop.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def loaded(folder):
    data = load_run_data(Settings(str(folder)))
    return data, CrystalGraphTransformer().transform(data.paths)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_crystal_is_never_in_two_parts(folder, loaded, seed):
    data, graphs = loaded
    settings = Settings(str(folder), params={"random_state": seed})
    grouping = find_groups("random", data, graphs)
    parts = split_parts(settings, data, graphs, grouping)
    same = group_by_structure(graphs)
    sets = [set(same[part.rows]) for part in parts.values()]
    assert sum(map(len, sets)) == len(set(same)) == 40
    assert sum(len(part.rows) for part in parts.values()) == 60
    assert "20 of the crystals are there again, and stay with the first" in grouping.text


@pytest.mark.parametrize("rule", ["structure", "composition", "elements", "prototype"])
def test_rules(folder, loaded, rule):
    data, graphs = loaded
    grouping = find_groups(rule, data, graphs)
    parts = split_parts(Settings(str(folder)), data, graphs, grouping)
    labels = GROUPINGS[rule](data.paths)
    sets = [set(labels[part.rows]) for part in parts.values()]
    assert not sets[0] & sets[1] | sets[0] & sets[2] | sets[1] & sets[2]
    assert grouping.text.startswith(f"Split by {rule}: ")


def test_what_is_nearly_the_same_is_grouped_by_structure_alone(loaded, nacl):
    wider = nacl.copy()
    wider.scale_lattice(5.642**3)
    graphs = CrystalGraphTransformer().transform([nacl, wider, wider])
    by_structure = find_groups("structure", loaded[0], graphs).groups
    assert len(set(by_structure)) == 1
    at_random = find_groups("random", loaded[0], graphs).groups
    assert at_random[0] != at_random[1] == at_random[2]


def test_without_duplicates_nothing_is_grouped(folder, loaded):
    data, graphs = loaded
    firsts = np.unique(group_by_structure(graphs), return_index=True)[1]
    grouping = find_groups("random", data, graphs[firsts])
    assert grouping.groups is None
    assert grouping.text == "Split at random: no crystal is there twice."


@pytest.mark.slow
def test_a_run_tells_its_rule_and_other_splits(folder, tmp_path):
    out = tmp_path / "out"
    words = ["--split", "composition", "--splits", "random,elements", "--learning-curve"]
    small = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    found = CliRunner().invoke(app, ["train", str(folder), "-o", str(out), "-q", *words, *small])
    assert found.exit_code == 0, found.output
    for text in ("Split by composition: crystals", "Split by random: ", "Split by elements: "):
        assert text in found.stdout
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["split"]["rule"] == "composition"
    assert set(metrics["splits"]) == {"random", "elements"}
    assert metrics["splits"]["elements"]["energy"]["n_crystals"] > 0
    law = metrics["learning_curves"]["energy"]
    assert len(law["sizes"]) == len(law["errors"]) >= 2
    assert law["sizes"][-1] == metrics["n_train"]
    assert law["errors"][-1] == pytest.approx(metrics["errors"]["energy"]["value"])
    page = (out / "report.html").read_text()
    for title in ("What the test error means", "How many more crystals would help"):
        assert f"<h2>{title}</h2>" in page
    assert "Other splits of the same crystals" in page
    words = ["--splits", "anything", *small]
    found = CliRunner().invoke(app, ["train", str(folder), "-o", str(tmp_path / "b"), *words])
    assert found.exit_code == 2
    assert "--splits anything: expected all" in found.stderr


def test_a_run_goes_on_with_its_rule(folder, tmp_path):
    out = tmp_path / "out"
    settings = Settings(str(folder), split="elements", params=SMALL)
    first = train(settings, out, progress=False, report=False)
    more = Settings(str(folder), params={"max_epochs": 2})
    second = train(
        more, out, resume=out / "checkpoint.pth.tar", given=["data"], progress=False, report=False
    )
    assert second["split"] == first["split"]
    with pytest.raises(DataError, match="--split elements, not random"):
        train(more, out, resume=out / "checkpoint.pth.tar", given=["data", "split"], progress=False)


@pytest.mark.slow
def test_a_store_has_no_prototypes(folder, tmp_path):
    featurize(folder, tmp_path / "store")
    settings = Settings(str(tmp_path / "store"), split="prototype", params=SMALL)
    with pytest.raises(DataError, match="needs positions"):
        train(settings, tmp_path / "out", progress=False)
    settings = Settings(str(tmp_path / "store"), params=SMALL)
    found = train(settings, tmp_path / "out", splits=["prototype"], progress=False)
    assert "needs positions" in found["splits"]["prototype"]["cannot"]
    assert "needs positions" in (tmp_path / "out" / "report.html").read_text()


def test_prototypes_of_files_that_changed_are_not_told(folder, tmp_path, monkeypatch):
    own = Path(shutil.copytree(folder, tmp_path / "data"))
    first, *others = sorted(own.glob("*.cif"))
    fit = _run.fit_parts

    def replaced(*args):
        fit(*args)
        for other in others:
            shutil.copy(first, other)

    monkeypatch.setattr(_run, "fit_parts", replaced)
    settings = Settings(str(own), params=SMALL)
    found = train(
        settings,
        tmp_path / "out",
        splits=["composition", "prototype"],
        progress=False,
        report=False,
    )
    assert "cannot" not in found["splits"]["composition"]  # which the graphs tell
    why = found["splits"]["prototype"]["cannot"]
    assert re.fullmatch(
        r".*\.cif: was changed after the crystals were read first; .* changes anymore", why
    )


def test_files_that_change_while_they_are_read_are_refused(folder, tmp_path, monkeypatch):
    own = Path(shutil.copytree(folder, tmp_path / "data"))
    some, stream = sorted(own.glob("*.cif"))[:2], CrystalGraphTransformer.stream

    def replaced(*args, **kwargs):
        some[0].write_bytes(some[1].read_bytes())
        return stream(*args, **kwargs)

    monkeypatch.setattr(CrystalGraphTransformer, "stream", replaced)
    with pytest.raises(DataError, match=rf"{some[0].name}: was changed after the"):
        train(Settings(str(own), params=SMALL), tmp_path / "out", progress=False)


def test_groups_of_a_file_stay_together_too(folder, tmp_path):
    copied = tmp_path / "data"
    shutil.copytree(folder, copied)
    ids = pd.read_csv(copied / "id_prop.csv")["cif_id"]
    groups = pd.DataFrame({"cif_id": ids, "group": np.arange(len(ids)) // 2})
    groups.to_csv(copied / "groups.csv", index=False)
    settings = Settings(str(copied), params=SMALL)
    found = train(settings, tmp_path / "out", progress=False, report=False)
    assert "groups.csv decides" in found["split"]["text"]
    # Joined by crystals that are there again, there are fewer groups.
    assert sum(found["n_groups"].values()) <= 30


def test_power_laws():
    errors = np.abs(np.random.default_rng(0).normal(size=(4, 200)))
    sizes = [100, 200, 400, 800]
    law = fit_power_law(sizes, errors * np.array(sizes)[:, np.newaxis] ** -0.4)
    assert law.exponent == pytest.approx(0.4, abs=0.1)
    assert law.low < law.exponent < law.high
    best, low, high = law.more(0.1)
    assert low < best < high
    assert "more training crystals for 10 % less error" in str(law)
    flat = fit_power_law(sizes, np.ones((4, 50)))
    assert str(flat) == "The error does not fall with more crystals of this kind."
    with pytest.raises(ValueError, match="at least two sizes"):
        fit_power_law([10], errors[:1])
