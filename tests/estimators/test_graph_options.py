"""Graphs know how they were made, and an estimator refuses those that are made in another way."""

import pickle
from dataclasses import replace

import joblib
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

import skcgcnn
from skcgcnn import CGCNNRegressor, CrystalGraphs, CrystalGraphTransformer
from skcgcnn.graphs import concatenate, load_element_features
from skcgcnn.modelfiles import describe_model


@pytest.fixture(scope="module")
def official(cifs):
    return CrystalGraphTransformer(neighbor_ties="official").transform(cifs)


@pytest.fixture(scope="module")
def table():
    """Features of the same length as the built-in ones, but others."""
    features = load_element_features()
    return {z: np.roll(features.mean([(z, 1.0)]), 7).tolist() for z in range(1, 101)}


def test_they_carry_what_they_depend_on(graphs, official, table, cifs, tmp_path):
    options = official.options
    assert (options.max_num_nbr, options.n_features, options.radius) == (12, 92, 8.0)
    assert (graphs.options.neighbor_ties, options.neighbor_ties) == ("invariant", "official")
    own = CrystalGraphTransformer(atom_features=table).transform(cifs[:2]).options
    assert own.differences(graphs.options) == ["atom_features"]
    official.save(tmp_path / "graphs.npz")
    official.save(tmp_path / "graphs")
    joblib.dump(official, tmp_path / "graphs.joblib")
    for same in (
        official[3:5],
        official[[]],
        concatenate([official[:2], official[2:]]),
        CrystalGraphs.load(tmp_path / "graphs.npz"),
        CrystalGraphs.load(tmp_path / "graphs", mmap=True),
        joblib.load(tmp_path / "graphs.joblib", mmap_mode="r"),
        pickle.loads(pickle.dumps(official)),
        CrystalGraphs(**official.to_dict()),
        CrystalGraphs.from_structures(cifs[:2], neighbor_ties="official"),
    ):
        assert same.options == options


def test_different_graphs_are_not_joined(graphs, official):
    what = r"neighbor_ties='invariant' and neighbor_ties='official'"
    with pytest.raises(ValueError, match=what):
        concatenate([graphs, official])


def test_a_transformer_refuses_other_graphs(graphs, official):
    transformer = CrystalGraphTransformer()
    assert transformer.transform(graphs) is graphs
    with pytest.raises(ValueError, match="neighbor_ties='official', but this transformer has"):
        transformer.transform(official)
    with pytest.raises(ValueError, match=r"radius=8\.0, but this transformer has radius=6\.0"):
        CrystalGraphTransformer(radius=6.0).transform(graphs)


def test_an_estimator_refuses_other_graphs(tiny, graphs, official, table, cifs, energies):
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    message = r"neighbor_ties='official', but CGCNNRegressor was fitted on .*'invariant'"
    with pytest.raises(ValueError, match=message):
        est.predict(official)
    with pytest.raises(ValueError, match="atom_features"):
        est.predict(CrystalGraphTransformer(atom_features=table).transform(cifs))
    with pytest.raises(ValueError, match=message):
        est.set_params(warm_start=True).fit(official, energies)
    with pytest.raises(ValueError, match=message):
        est.partial_fit(official, energies)
    # What is not known to be different passes.
    unknown = replace(official, options=None)
    assert unknown.options.neighbor_ties is None
    assert est.predict(unknown).shape == (24,)


def test_official_weights_refuse_other_graphs(reference, graphs):
    file = reference / "pre-trained" / "formation-energy-per-atom.pth.tar"
    est = skcgcnn.load(file)
    with pytest.raises(ValueError, match="neighbor_ties"):
        est.predict(graphs)
    assert est.predict(est.get_transformer().transform([])).shape == (0,)


def test_paths_become_graphs_like_those_of_the_fit(tiny, official, cifs, energies, tmp_path):
    # The estimator's own graphs would be others.
    pipeline = make_pipeline(
        CrystalGraphTransformer(neighbor_ties="official", max_num_nbr=8), CGCNNRegressor(**tiny)
    ).fit(cifs, energies)
    expected = pipeline.predict(cifs)
    est = pipeline[-1]
    est.save(tmp_path / "model")
    for model in (est, skcgcnn.load(tmp_path / "model"), pickle.loads(pickle.dumps(est))):
        np.testing.assert_array_equal(model.predict(cifs), expected)
        assert model.get_transformer().max_num_nbr == 8


@pytest.mark.parametrize("change", [{"radius": 7.0}, {"max_num_nbr": 5}])
def test_parameters_that_change_after_a_fit_do_not_change_predictions(tiny, cifs, energies, change):
    est = CGCNNRegressor(**tiny).fit(cifs, energies)
    expected = est.predict(cifs)
    np.testing.assert_array_equal(est.set_params(**change).predict(cifs), expected)
    name, value = next(iter(change.items()))
    # A fit that starts from scratch takes them.
    assert getattr(est.fit(cifs, energies).graph_options_, name) == value


def test_features_of_the_fit_are_needed_for_paths(tiny, table, cifs, energies):
    graphs = CrystalGraphTransformer(atom_features=table).transform(cifs)
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    with pytest.raises(ValueError, match="fitted on graphs with other atom_features"):
        est.predict(cifs)
    expected = est.predict(graphs)
    np.testing.assert_allclose(est.set_params(atom_features=table).predict(cifs), expected)
    with pytest.raises(ValueError, match="fitted on graphs with other atom_features"):
        est.set_params(atom_features=None).predict(cifs)


def test_what_is_unknown_of_a_part_is_unknown_of_all(graphs, official):
    unknown = replace(graphs, options=None)
    joined = concatenate([graphs[:2], unknown[:2]])
    assert joined.options == unknown.options
    with pytest.raises(ValueError, match="neighbor_ties='invariant' and neighbor_ties='official'"):
        concatenate([unknown[:2], graphs[:2], official[:2]])


def test_the_graphs_of_the_fit_count_and_not_the_parameters(cifs, energies, tiny, tmp_path):
    graphs = CrystalGraphTransformer(max_num_nbr=6).transform(cifs)
    est = CGCNNRegressor(**tiny, recipe="paper").fit(graphs, energies)
    with pytest.raises(ValueError, match="max_num_nbr=6, but the original code"):
        est.save(tmp_path / "model", layout="cgcnn")
    more = CGCNNRegressor(**tiny, recipe="paper", init_from=est).fit(cifs[:4], energies[:4])
    assert more.graph_options_.max_num_nbr == 6
    est.save(tmp_path / "model")
    assert "max_num_nbr=6" in describe_model(tmp_path / "model")["network"]
