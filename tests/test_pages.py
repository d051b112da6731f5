"""The code of the READMEs, the landing page and the guide runs as it stands."""

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
PAGES = [
    ROOT / "README.md",
    ROOT / "README.zh.md",
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
    for page in PAGES:
        for number, code in enumerate(blocks(page)):
            marks = []
            # The quick tests have the page that everyone reads, without its search.
            if page.name != "README.md" or "GridSearchCV" in code:
                marks.append(pytest.mark.slow)
            name = f"{page.relative_to(ROOT).as_posix()}-{number}"
            yield pytest.param(page, number, marks=marks, id=name)


@pytest.fixture
def quick(monkeypatch, reference):
    """Let "auto" be one epoch, and official weights come from a folder."""
    monkeypatch.setattr(_recipes, "_FEWEST_EPOCHS", 1)
    monkeypatch.setattr(_recipes, "_MOST_EPOCHS", 1)
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


@pytest.mark.parametrize(("page", "number"), cases())
@pytest.mark.usefixtures("quick")
def test_code_runs(page, number, names):
    if page in GUIDE:
        names["est"] = skcgcnn.CGCNNRegressor().fit(names["cifs"], names["y"])
    if page.stem == "data":  # three crystals with three temperatures
        names["cifs"], names["y"] = names["cifs"][:3], names["y"][:3]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = blocks(page)[number]
        for code in blocks(page)[:number]:
            if "GridSearchCV(" in code and "search" not in wanted:
                continue  # it takes long, and nothing after it needs it
            try:
                exec(code, names)  # noqa: S102 - our own pages
            except Exception:  # noqa: BLE001, S112 - it has a test of its own
                continue
        try:
            exec(wanted, names)  # noqa: S102
        except ImportError as error:
            pytest.skip(str(error))


def test_every_page_with_code_is_read():
    """A page whose code is written in another way would not be tested."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        begins = re.findall(r"code-block:: python|^```python", text, re.MULTILINE)
        assert len(blocks(page)) == len(begins)
