"""Units of targets: from names of columns, from frames, and from tables."""

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


def test_the_unit_of_a_series_is_a_text(tiny, graphs, energies):
    y = pd.Series(energies, name="energy")
    y.attrs["units"] = "eV"
    assert CGCNNRegressor(**tiny).fit(graphs, y).targets_[0].unit == "eV"
    y.attrs["units"] = 5
    with pytest.raises(TypeError, match=r"y\.attrs\[\"units\"\] is 5; expected a dictionary"):
        CGCNNRegressor(**tiny).fit(graphs, y)


@pytest.mark.parametrize("as_frame", [False, True])
def test_other_units_than_those_of_the_fit(tiny, graphs, energies, labels, as_frame):
    def y_in(unit, name="energy"):
        column = pd.Series(energies, name=name)
        y = pd.DataFrame({name: column, "metal": labels}) if as_frame else column
        y.attrs["units"] = {name: unit} if unit else {}
        return y

    kind = CGCNNMultiTask if as_frame else CGCNNRegressor
    est = kind(**tiny, warm_start=True).fit(graphs, y_in("eV / atom"))
    for y in (y_in("meV"), y_in("", "energy (meV)")):
        for method in (est.fit, est.partial_fit, est.score):
            with pytest.raises(ValueError, match=r"of y is in meV, but that of the fit was in eV"):
                method(graphs, y)
        with pytest.raises(ValueError, match="convert it"):
            est.set_params(warm_start=False).fit(graphs, y_in("eV"), validation_data=(graphs, y))
        est.set_params(warm_start=True)
    for y in (y_in("eV/atom"), y_in(""), y_in("").to_numpy()):
        est.score(graphs, y)


def test_a_start_in_another_unit_is_not_compared(tiny, graphs, energies):
    y = pd.Series(1000 * energies, name="energy (meV)")
    start = CGCNNRegressor(**tiny).fit(graphs, y)
    for name, compared in (("energy (eV)", False), ("energy (meV)", True), ("energy", True)):
        est = CGCNNRegressor(**tiny | {"init_from": start})
        y = pd.Series(energies, name=name)
        est.fit(graphs, y, validation_data=(graphs, y))
        assert hasattr(est, "start_comparison_") == compared


def test_the_names_of_an_arrow_table(tiny, graphs, energies, labels):
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"energy (eV)": energies, "metal": labels})
    est = CGCNNMultiTask(**tiny).fit(graphs, table)
    assert est.target_names_ == ["energy (eV)", "metal"]
    with pytest.raises(ValueError, match="pass them in the same order"):
        est.score(graphs, table.select([1, 0]))
