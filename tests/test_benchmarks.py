"""Scripts of benchmarks that go on working, and what is kept of them."""

import re
from pathlib import Path

import pytest
from conftest import DATA

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RESULTS = sorted((BENCHMARKS / "results").glob("*.md"))


def test_agreement_with_weights(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from agreement import compare

    rows = compare(sorted((DATA / "sample-cifs").iterdir()), [DATA / "pre-trained/energy.pth.tar"])
    assert [row[:3] for row in rows] == [[10, "invariant", 0], [10, "official", 0]]
    assert all(float(difference) < 1e-5 for row in rows for difference in row[3:])


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_a_kept_result_tells_its_commit(file):
    assert re.search(r"[Cc]ommits?:?\s(added by )?[0-9a-f]{7}\b", file.read_text(encoding="utf-8"))
