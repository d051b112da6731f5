"""How much more crystals would help: fits on fewer of them."""

import numpy as np
import pytest

from skcgcnn import CGCNNRegressor
from skcgcnn.estimators import predict_targets
from skcgcnn.training._data import Part
from skcgcnn.training._learning import learning_curves
from skcgcnn.training._rules import Grouping


@pytest.mark.filterwarnings("ignore:no training crystal of")
@pytest.mark.parametrize("grouped", [True, False])
def test_fits_on_shares_of_the_training_crystals(grouped, tiny, graphs, energies):
    places = np.arange(72) % 24
    cut = {"train": np.arange(48), "test": np.arange(48, 72)}
    X, y = graphs[places], energies[places] + np.arange(72)
    parts = {n: Part(rows, X[rows], y[rows], ["energy"], {}) for n, rows in cut.items()}
    est = CGCNNRegressor(**tiny).fit(**parts["train"].arguments())
    said = predict_targets(est, parts["test"].graphs)
    grouping = Grouping("structure", np.arange(72) // 2 if grouped else None, "", "")
    fitted = []

    def fit(other, parts):
        fitted.append(parts["train"])
        other.fit(**parts["train"].arguments())

    law = learning_curves(est, parts, said, grouping, 0, fit)["energy"]
    assert law.sizes == (12, 24, 48)  # an eighth would be six: no training
    assert law.errors[-1] == pytest.approx(np.abs(said[0].values - parts["test"].y).mean())
    few, half = (set(part.rows) for part in fitted)
    assert few < half < set(cut["train"])
    for part in fitted:
        np.testing.assert_array_equal(part.y, y[part.rows])
        np.testing.assert_array_equal(part.graphs.n_sites, X.n_sites[part.rows])
        assert not grouped or set(part.rows) == {row ^ 1 for row in part.rows}
    assert learning_curves(est, parts, said, grouping, 0, None) == {}
