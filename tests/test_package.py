"""The package as a whole."""

import subprocess
import sys

import pytest

import skcgcnn


def test_import_is_lazy():
    code = (
        "import sys, skcgcnn;"
        "heavy = {'torch', 'sklearn', 'pymatgen', 'ase', 'matplotlib', 'pandas', 'skorch'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_estimators_do_not_import_pymatgen_before_they_read():
    code = (
        "import sys; from skcgcnn import CGCNNRegressor; CGCNNRegressor();"
        "print(sorted({'pymatgen', 'ase', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_public_names():
    for name in skcgcnn.__all__:
        assert getattr(skcgcnn, name) is not None
    assert set(skcgcnn.__all__) <= set(dir(skcgcnn))


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'CGCNN'"):
        _ = skcgcnn.CGCNN
