"""What the report of a check says of crystals that are made up."""

import re

import numpy as np
import pytest

from skcgcnn.quality import survey
from skcgcnn.reports import check_report


@pytest.fixture(scope="module")
def made_up():
    """Return the arguments of a survey with 22 crystals that are not there."""
    names = ["salt", "again", "close", *(f"missing{number}" for number in range(22))]
    energies = np.array([1.0, 3.0, 2.0, *np.linspace(0, 4, 22)])
    return names, {"energy": energies}


def test_findings_are_shown_with_pictures_and_counted(made_up, nacl, tmp_path):
    pytest.importorskip("ase")
    names, columns = made_up
    close = nacl.copy()
    close.append("Na", [0.02, 0.02, 0.02])
    crystals = [nacl, nacl, close, *(tmp_path / f"{name}.cif" for name in names[3:])]
    found = survey(crystals, columns, ids=names, labels=False)
    page = check_report("crystals", found)
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles[0] == "Summary"
    assert titles[-2:] == ["Column: energy", "Coverage"]
    assert {"Unreadable crystal", "Atoms too close", "Same crystal, other target"} < {*titles}
    # It is no finding about a crystal, and stands in the summary.
    assert "Floor of the error" not in titles
    (floor,) = found.floors
    assert f"{floor.error:.2g}"[:3] in page.split("<h2>")[1]
    assert re.findall(r"The first (\d+) of (\d+)", page) == [("20", "22")]
    assert page.count('alt="crystal"') == 1
    assert "25 crystals, " in page
    assert "67% of the crystals have one type of formula, AB, of 2" in page
    assert re.search(r"67% have one prototype, .*225 .*there are 2 prototypes in 2 space", page)


def test_graphs_have_no_pictures(made_up, graphs):
    names, _ = made_up
    found = survey(graphs[:3], {}, ids=names[:3], labels=False)
    page = check_report("graphs", found)
    assert "prototypes in" not in page
    assert 'alt="crystal"' not in page
