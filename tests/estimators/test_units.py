"""Units of targets: from names of columns, from frames, and from tables."""

import re

import numpy as np
import pandas as pd
import pytest

import skcgcnn
from skcgcnn import CGCNNMultiTask, CGCNNRegressor
from skcgcnn.estimators._units import unit_in


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("Band gap (eV)", "eV"),
        ("energy [eV/atom]", "eV/atom"),
        ("K_VRH (GPa)", "GPa"),
        ("moment (µB/f.u.)", "µB/f.u."),
        ("conductivity (W m-1 K-1)", "W m-1 K-1"),
        ("gap (PBE)", ""),
        ("gap (eV) computed", ""),
        ("energy", ""),
        ("x ()", ""),
    ],
)
def test_a_unit_in_a_name(name, unit):
    assert unit_in(name) == unit


def test_a_name_with_a_unit_is_no_title_with_two(tiny, graphs, energies, tmp_path):
    y = pd.Series(energies, name="energy (eV/atom)")
    est = CGCNNRegressor(**tiny).fit(graphs, y)
    est.save(tmp_path / "model")
    (target,) = skcgcnn.load(tmp_path / "model").targets_
    assert (target.unit, target.title) == ("eV/atom", "energy (eV/atom)")


def test_units_of_a_frame(tiny, graphs, energies, labels):
    y = pd.DataFrame({"energy": energies, "metal (eV)": labels})
    y.attrs["units"] = {"energy": "eV"}
    est = CGCNNMultiTask(**tiny).fit(graphs, y)
    assert [target.unit for target in est.targets_] == ["eV", ""]
    assert [target.unit for target in est.fit(graphs, np.array(y)).targets_] == ["", ""]


def test_a_unit_that_contradicts_the_name(tiny, graphs, energies):
    y = pd.Series(energies, name="energy (eV)")
    y.attrs["units"] = {"energy (eV)": "meV"}
    with pytest.warns(UserWarning, match=r"'energy \(eV\)' has the unit eV in its name, but 'meV'"):
        est = CGCNNRegressor(**tiny).fit(graphs, y)
    assert est.targets_[0].unit == "meV"


@pytest.mark.parametrize("name", ["energy", "energy (eV)"])
def test_a_fit_that_goes_on_and_a_score_have_the_unit_of_the_fit(tiny, graphs, energies, name):
    y = pd.Series(energies, name=name)
    y.attrs["units"] = {name: "eV"}
    est = CGCNNRegressor(**tiny, warm_start=True).fit(graphs, y)
    other = y * 1000
    other.attrs["units"] = {name: "meV"}
    message = re.escape(f"column '{name}' of y is in meV, that of the fit was in eV")
    for use in (est.fit, est.partial_fit, est.score):
        with pytest.raises(ValueError, match=message):
            use(graphs, other)
    est.fit(graphs, y).score(graphs, energies)  # an unknown unit is taken for that of the fit
