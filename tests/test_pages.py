"""The code of the README, the landing page and the guide runs as it stands."""

import re
import shutil
import sys
import textwrap
import warnings
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure
from sklearn.model_selection import GridSearchCV

import skcgcnn
from skcgcnn import _recipes
from skcgcnn.datasets import load_sample_regression

ROOT = Path(__file__).parents[1]
GUIDE = sorted((ROOT / "docs/guide").glob("*.rst"))
# The Chinese README has the same code; test_readme.py sees to it.
PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs" / name for name in ("index.rst", "getting_started.rst")),
    *GUIDE,
]


def blocks(page):
    """Return the Python code of a page, block by block."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    found = re.findall(r"^\.\. code-block:: python\n\n((?: {4}.*\n|\n)+)", text, re.MULTILINE)
    return [textwrap.dedent(code) for code in found]


def cases():
    """List the pages; the quick tests have the one that everyone reads, without its search."""
    yield pytest.param(ROOT / "README.md", False, id="README.md, no search")
    for page in filter(blocks, PAGES):
        name = page.relative_to(ROOT).as_posix()
        yield pytest.param(page, True, marks=pytest.mark.slow, id=name)


@pytest.fixture
def quick(monkeypatch, reference):
    """Let "auto" be one epoch, and official weights come from a folder."""
    # The code stands there as users run it, for 40 epochs or more.
    monkeypatch.setattr(_recipes, "_FEWEST_EPOCHS", 1)
    monkeypatch.setattr(_recipes, "_MOST_EPOCHS", 1)
    for recipe, _ in _recipes._FROM_GENERAL:
        monkeypatch.setitem(recipe, "max_epochs", 1)
    monkeypatch.setenv("SKCGCNN_DATA", str(reference))
    monkeypatch.setenv("MPLBACKEND", "Agg")


@pytest.fixture
def names(cifs, energies, labels, Y, tmp_path, monkeypatch):
    """What the sentences around code speak of: a folder of data, crystals, targets, a model."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my_data"
    folder.mkdir()
    for path in cifs:
        shutil.copy(path, folder)
    rows = {"cif_id": [Path(path).stem for path in cifs], "energy": energies}
    pd.DataFrame(rows).to_csv(folder / "id_prop.csv", index=False)
    for name in ("new_crystal", "NaCl", "MgO"):
        shutil.copy(cifs[0], tmp_path / f"{name}.cif")
    new = load_sample_regression().data[1:9]
    structures = [Structure.from_file(path) for path in cifs]
    materials_project(structures, energies, monkeypatch)
    found = {"np": np, "pd": pd, "GridSearchCV": GridSearchCV, "structures": structures}
    found |= {"cifs": cifs, "new_cifs": new, "Y": Y, "y": energies}
    found |= {"energies": energies, "labels": labels}
    return found | {name: getattr(skcgcnn, name) for name in skcgcnn.__all__}


def materials_project(structures, energies, monkeypatch):
    """Let `mp_api`, which needs a key and a network, be a module that finds our crystals."""
    found = [
        SimpleNamespace(structure=structure, formation_energy_per_atom=float(energy))
        for structure, energy in zip(structures, energies, strict=True)
    ]
    summary = SimpleNamespace(search=lambda **_: found)
    client = ModuleType("mp_api.client")
    client.MPRester = lambda: nullcontext(
        SimpleNamespace(materials=SimpleNamespace(summary=summary))
    )
    monkeypatch.setitem(sys.modules, "mp_api", ModuleType("mp_api"))
    monkeypatch.setitem(sys.modules, "mp_api.client", client)


@pytest.mark.parametrize(("page", "search"), list(cases()))
@pytest.mark.usefixtures("quick")
def test_code_runs(page, search, names):
    if page in GUIDE:
        names["est"] = skcgcnn.CGCNNRegressor().fit(names["cifs"], names["y"])
    if page.stem == "data":  # three crystals with three temperatures
        names["cifs"], names["y"] = names["cifs"][:3], names["y"][:3]
    if page.stem == "other_programs":  # predicted, trained on and exported are the same crystals
        names["new_cifs"] = names["cifs"]
    missing = []
    for code in blocks(page):
        if "GridSearchCV(" in code and not search:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                exec(code, names)  # noqa: S102 - our own pages
            except ImportError as error:
                missing.append(str(error))
    if missing:
        pytest.skip(f"the other code runs, but {'; '.join(missing)}")


def test_every_page_with_code_is_read():
    """A page whose code is written in another way would not be tested."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        begins = re.findall(r"code-block:: python|^```python", text, re.MULTILINE)
        assert len(blocks(page)) == len(begins)
