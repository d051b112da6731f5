"""The package as a whole."""

import re
import subprocess
import sys

import numpy as np
import pytest

import skcgcnn
from skcgcnn import CGCNNRegressor, CrystalGraphs, plotting
from skcgcnn._lazy import needed
from skcgcnn.features import PotentialFeatures


def test_an_error_inside_of_a_dependency_is_told(tmp_path, monkeypatch):
    package = tmp_path / "lazy_package"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from skcgcnn._lazy import lazy_names\n"
        "__getattr__ = lazy_names(__name__, {'Thing': '_module'})\n"
    )
    (package / "_module.py").write_text("import math\nmath.missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"Thing cannot be imported: .*no attribute 'missing'"):
        exec("from lazy_package import Thing")  # noqa: S102


def test_a_missing_package_is_named():
    with (
        pytest.raises(ImportError, match=r"drawing needs ASE: pip install 'skcgcnn\[ase\]'"),
        needed("drawing needs ASE", "skcgcnn[ase]"),
    ):
        raise ModuleNotFoundError
    with pytest.raises(KeyError), needed("drawing needs ASE", "skcgcnn[ase]"):
        raise KeyError


@pytest.mark.parametrize(
    ("package", "call", "said"),
    [
        (
            "ase",
            plotting.crystal,
            "drawing crystals needs ASE: pip install 'skcgcnn[ase]'",
        ),
        (
            "umap",
            lambda _: plotting.embedding_map(np.eye(5), method="umap"),
            "method=\"umap\" needs UMAP: pip install 'umap-learn'",
        ),
        (
            "torch_geometric",
            lambda nacl: CrystalGraphs.from_structures([nacl]).to_pyg(),
            "to_pyg needs PyTorch Geometric: pip install 'skcgcnn[pyg]'",
        ),
    ],
    ids=["ase", "umap", "pyg"],
)
def test_what_needs_another_package_says_so(package, call, said, nacl, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"^{re.escape(said)}$"):
        call(nacl)


def test_import_is_lazy():
    code = (
        "import sys, skcgcnn;"
        "heavy = {'torch', 'sklearn', 'pymatgen', 'ase', 'matplotlib', 'pandas', 'skorch'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.slow
def test_what_is_imported_when(graphs, energies, tiny, tmp_path):
    """Nothing that reads crystals before there are some; no compiler to predict."""
    CGCNNRegressor(**tiny).fit(graphs, energies).save(tmp_path / "model.safetensors")
    graphs.save(tmp_path / "graphs.npz")
    code = (
        "import sys, skcgcnn; skcgcnn.CGCNNRegressor();"
        "print(sorted({'pymatgen', 'ase', 'matplotlib'} & set(sys.modules)));"
        "est = skcgcnn.load('model.safetensors');"
        "print(len(est.predict(skcgcnn.CrystalGraphs.load('graphs.npz'))));"
        "print('torch._dynamo' in sys.modules)"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=tmp_path)
    assert printed.split() == ["[]", "24", "False"]


ESTIMATORS = "CGCNNRegressor", "CGCNNClassifier", "CGCNNMultiTask", "CrystalGraphTransformer"


@pytest.mark.parametrize(
    "cls", [*(getattr(skcgcnn, name) for name in ESTIMATORS), PotentialFeatures]
)
def test_estimators_are_shown_and_told_apart_as_those_of_scikit_learn(cls):
    one = cls(n_jobs=2)
    assert repr(one) == f"{cls.__name__}(n_jobs=2)"
    assert one != cls(n_jobs=2)
    assert isinstance(hash(one), int)


def test_public_names():
    for name in skcgcnn.__all__:
        assert getattr(skcgcnn, name) is not None
    assert set(skcgcnn.__all__) <= set(dir(skcgcnn))


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'CGCNN'"):
        _ = skcgcnn.CGCNN
