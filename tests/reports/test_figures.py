"""What the figures of a report show."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from skcgcnn.reports import Trial, TuneResult, tune_report


@pytest.fixture
def shown(monkeypatch):
    """Return the figures of the pages that are made, as they are written."""
    figures, write = [], Figure.savefig

    def savefig(figure, *args, **kwargs):
        figures.append(figure)
        return write(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def test_trials_by_number_and_by_value(shown):
    trials = [
        Trial(0, {}, (0.8, 0.6), "complete"),
        Trial(1, {"lr": 0.01}, (0.9,), "given up"),
        Trial(2, {"lr": 0.001}, (0.5, 0.5), "complete"),
        Trial(3, {"lr": 0.1}, (), "failed", "it diverged"),
    ]
    tune_report(TuneResult("a search", trials, trials[2], "", "", {}, {}))
    by_number, by_value = (figure.axes[0] for figure in shown)
    points = [np.array(each.get_offsets()).tolist() for each in by_number.collections]
    assert points == [[[1, 0.9]], [[0, 0.7], [2, 0.5]]]
    assert by_number.lines[0].get_xydata().tolist() == [[0, 0.7], [2, 0.5]]
    legend = [each.get_text() for each in by_number.get_legend().get_texts()]
    assert legend == ["given up", "complete", "lowest"]
    (points,) = by_value.collections
    assert np.array(points.get_offsets()).tolist() == [[0.01, 0.9], [0.001, 0.5]]
    assert [axes.get_xlabel() for axes in (by_number, by_value)] == ["trial", "lr"]
    for axes in (by_number, by_value):
        assert axes.get_ylabel() == "error / error of the simplest prediction"
