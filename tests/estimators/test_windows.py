"""What an estimator says of graphs in a file, a part of which is in memory at a time."""

import numpy as np
import pytest

from skcgcnn import CGCNNMultiTask, CGCNNRegressor, CrystalGraphs
from skcgcnn.estimators import predict_target_chunks, predict_targets


@pytest.fixture
def mapped(graphs, tmp_path, let_into_memory):
    graphs.save(tmp_path / "graphs")
    found = CrystalGraphs.load(tmp_path / "graphs", mmap=True)
    let_into_memory(graphs.__sizeof__() * 7 // len(graphs))
    return found


def test_predictions_probabilities_and_features(graphs, mapped, fitted_multitask):
    est = fitted_multitask
    assert est.predict(mapped).tolist() == [
        [pytest.approx(number, abs=1e-5), label] for number, label in est.predict(graphs)
    ]
    for method in ("predict_proba", "transform"):
        found, expected = (getattr(est, method)(X) for X in (mapped, graphs))
        np.testing.assert_allclose(found, expected, atol=1e-5)
    for found, expected in zip(*(est.site_features(X) for X in (mapped, graphs)), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_pieces_of_predictions_are_the_whole(graphs, mapped, fitted_multitask):
    pieces = list(predict_target_chunks(fitted_multitask, mapped))
    assert len(pieces) > 2
    assert len(list(predict_target_chunks(fitted_multitask, graphs))) == 1
    for column, whole in enumerate(predict_targets(fitted_multitask, graphs)):
        found = np.concatenate([piece[column].values for piece in pieces])
        if whole.target.is_number:
            np.testing.assert_allclose(found, whole.values, atol=1e-5)
        else:
            assert found.tolist() == whole.values.tolist()
            proba = np.concatenate([piece[column].proba for piece in pieces])
            np.testing.assert_allclose(proba, whole.proba, atol=1e-5)


def test_several_networks(graphs, mapped, energies, tiny):
    est = CGCNNRegressor(**tiny, n_estimators=2).fit(graphs, energies)
    for found, expected in zip(
        *(est.predict(X, return_std=True) for X in (mapped, graphs)), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_elements_of_any_part_are_looked_at(cifs, energies, tmp_path, tiny, nacl, let_into_memory):
    est = CGCNNMultiTask(**tiny, tasks=("regression",)).fit(cifs, np.array(energies)[:, None])
    first, last = nacl.copy(), nacl.copy()
    first.replace_species({"Na": "Pu"})
    last.replace_species({"Na": "Xe"})
    est.get_transformer().transform([first, *cifs, last]).save(tmp_path / "graphs")
    X = CrystalGraphs.load(tmp_path / "graphs", mmap=True)
    let_into_memory(X.__sizeof__() // 5)
    with pytest.warns(UserWarning, match="CGCNNMultiTask contains Xe, Pu: such predictions are"):
        assert np.isfinite(est.predict(X)).all()
