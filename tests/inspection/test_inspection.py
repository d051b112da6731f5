"""Contributions of sites, embeddings, and near training crystals."""

import copy
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure
from scipy.spatial.distance import cdist
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.datasets import load_sample_regression
from skcgcnn.inspection import (
    BondContributions,
    Contributions,
    NearestCrystals,
    bond_contributions,
    nearest_training_crystals,
    site_contributions,
)

SMALL = {
    "atom_fea_len": 16,
    "n_conv": 2,
    "h_fea_len": 16,
    "max_epochs": 30,
    "batch_size": 32,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def sample():
    data = load_sample_regression()
    return data.data[:100], data.target[:100]


@pytest.fixture(scope="module")
def fitted(sample):
    return CGCNNRegressor(**SMALL).fit(*sample)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"conv": "gated", "composition_baseline": False},
        {"pooling": "attention", "n_estimators": 2},
        {"pooling": "sum"},
        {"n_h": 2},
    ],
    ids=str,
)
def test_they_sum_to_the_prediction(params, sample):
    X, y = sample
    est = CGCNNRegressor(**SMALL | params).fit(X, y)
    found = site_contributions(est, X)
    sums = np.array([values.sum() for values in found.sites])
    np.testing.assert_allclose(found.predictions, est.predict(X), atol=1e-4 * y.std())
    assert np.abs(sums + found.baselines - found.predictions).max() < 1e-3 * y.std()
    assert [len(values) for values in found.sites] == [len(each) for each in found.elements]


def test_what_stands_before_the_sum_over_sites_is_the_baseline(sample):
    X, y = sample
    est = CGCNNRegressor(**SMALL | {"pooling": "sum", "max_epochs": 1}).fit(X[:20], y[:20])
    est.targets_ = (replace(est.targets_[0], mean=5.0),)
    found = site_contributions(est, X[:20])
    np.testing.assert_allclose(found.baselines, 5)
    sums = np.array([values.sum() for values in found.sites])
    np.testing.assert_allclose(found.predictions, 5 + sums, rtol=1e-4)
    np.testing.assert_allclose(found.predictions, est.predict(X[:20]), rtol=1e-4)


@pytest.mark.parametrize("contributions", [site_contributions, bond_contributions])
def test_numbers_far_from_zero_keep_their_digits(contributions, fitted, sample):
    X, _ = sample
    est = copy.copy(fitted)
    est.targets_ = (replace(fitted.targets_[0], mean=1e9),)
    found, near = contributions(est, X[:5]), contributions(fitted, X[:5])
    np.testing.assert_allclose(found.predictions, est.predict(X[:5]), rtol=1e-14)
    shift = 1e9 - fitted.target_mean_
    np.testing.assert_allclose(found.baselines, near.baselines + shift, rtol=1e-14)


def test_several_tasks(sample):
    X, y = sample
    temperatures = np.linspace(100, 500, len(X))
    frame = pd.DataFrame({"crystal": X, "T": temperatures})
    Y = np.column_stack([y, y > np.median(y)])
    est = CGCNNMultiTask(**SMALL, net_params={"heads": "separate"}).fit(frame, Y)
    for target, spread in ((0, y.std()), ("y1", 1.0), (1, 1.0)):
        found = site_contributions(est, frame, target=target)
        sums = np.array([values.sum() for values in found.sites])
        assert np.abs(sums + found.baselines - found.predictions).max() < 1e-3 * spread
    proba = est.predict_proba(frame)
    np.testing.assert_allclose(found.predictions, np.log(proba[:, 1] / proba[:, 0]), atol=1e-3)
    other = site_contributions(est, frame, target=1, label=0.0)
    np.testing.assert_allclose(other.predictions, -found.predictions, atol=1e-5)
    with pytest.raises(ValueError, match=r"label=7 is not one of the classes 0, 1"):
        site_contributions(est, frame, target=1, label=7)
    with pytest.raises(ValueError, match="target='gap'; the targets are "):
        site_contributions(est, frame, target="gap")


def test_a_baseline_of_ones_own_and_equal_sites(fitted, sample, nacl):
    found = site_contributions(fitted, [nacl], baseline=sample[0])
    again = site_contributions(fitted, [nacl, nacl], baseline=sample[0])
    np.testing.assert_allclose(again.sites[1], found.sites[0], atol=1e-6)
    by_element = {
        e: {round(v, 6) for v, s in zip(found.sites[0], found.elements[0], strict=True) if s == e}
        for e in ("Na", "Cl")
    }
    assert [len(values) for values in by_element.values()] == [1, 1]
    assert set(found.by_element()) == {"Na", "Cl"}
    # A crystal alone is its own baseline.
    assert abs(site_contributions(fitted, [nacl]).sites[0].sum()) < 1e-6


@pytest.mark.parametrize(
    "params",
    [{}, {"conv": "gated", "n_estimators": 2}, {"pooling": "sum"}, {"pooling": "attention"}],
    ids=str,
)
def test_bonds_sum_to_the_prediction(params, sample):
    X, y = sample
    est = CGCNNRegressor(**SMALL | {"max_epochs": 10} | params).fit(X, y)
    graphs = est.get_transformer().transform(X[:30])
    found = bond_contributions(est, graphs)
    sums = np.array([values.sum() for values in found.bonds])
    np.testing.assert_allclose(found.predictions, est.predict(graphs), atol=1e-4 * y.std())
    assert np.abs(sums + found.baselines - found.predictions).max() < 1e-3 * y.std()
    assert [values.shape for values in found.bonds] == [each.shape for each in found.neighbors]
    # Where nothing is merged, equal sites can be neighbors of unequally many, but together they
    # have the same bonds.
    plain = bond_contributions(est, CrystalGraphTransformer(merge_tol=None).transform(X[:30]))
    for i, (one, other) in enumerate(zip(found.bonds, plain.bonds, strict=True)):
        for members in np.eye(len(one), dtype=bool)[graphs[i].site_classes].T:
            assert abs(one[members].sum() - other[members].sum()) < 1e-3 * y.std()


def test_every_bond_has_its_length_and_its_other_end(sample):
    cifs, y = (each[:20] for each in sample)
    est = CGCNNRegressor(**SMALL | {"max_epochs": 1}).fit(cifs, y)
    found = bond_contributions(est, cifs[:4])
    for row, (own, ends, lengths) in enumerate(
        zip(found.bonds, found.neighbors, found.distances, strict=True)
    ):
        structure = Structure.from_file(cifs[row])
        assert own.shape == ends.shape == lengths.shape == (len(structure), 12)
        apart = structure.get_all_neighbors(9.0)
        for site, around in enumerate(apart):
            nearest = sorted(each.nn_distance for each in around)[:12]
            np.testing.assert_allclose(lengths[site], nearest, atol=1e-4)
            for length, end in zip(lengths[site], ends[site], strict=True):
                same = [each for each in around if abs(each.nn_distance - length) < 1e-3]
                assert structure[int(end)].specie in [each.specie for each in same]


def test_a_network_without_convolutions_sees_no_bonds(sample):
    X, y = sample
    est = CGCNNRegressor(**SMALL | {"n_conv": 0, "max_epochs": 2}).fit(X, y)
    found = bond_contributions(est, X[:2])
    assert [np.abs(values).max() for values in found.bonds] == [0, 0]
    np.testing.assert_allclose(found.baselines, found.predictions)


def test_bonds_of_crystals_that_cannot_be_read(fitted, sample):
    X, _ = sample
    graphs = CrystalGraphTransformer(on_error="nan")
    with pytest.warns(UserWarning, match="1 of 3"):
        graphs = graphs.transform([X[0], None, X[1]])
    found = bond_contributions(fitted, graphs)
    assert [len(values) for values in found.bonds] == [8, 0, 16]
    assert np.isnan(found.predictions).tolist() == [False, True, False]
    assert bond_contributions(fitted, graphs[:0]).bonds == []


def test_crystals_that_cannot_be_read(fitted, nacl, tmp_path):
    (tmp_path / "bad.cif").write_text("no crystal")
    est = fitted.set_params(on_error="nan")
    with pytest.warns(UserWarning, match="bad"):
        found = site_contributions(est, [nacl, tmp_path / "bad.cif"])
    with pytest.warns(UserWarning, match="bad"):
        assert np.isnan(est.transform([nacl, tmp_path / "bad.cif"])).any(axis=1).tolist() == [
            False,
            True,
        ]
    assert [len(values) for values in found.sites] == [8, 0]
    assert np.isnan(found.predictions).tolist() == [False, True]
    fitted.set_params(on_error="raise")


# Embeddings


def test_embeddings_are_what_outputs_come_from(fitted, sample):
    X, _ = sample
    hidden = fitted.transform(X)
    last = fitted.module_.head.fc_out
    network = hidden @ last.weight.numpy().T + last.bias.numpy()
    graphs = CrystalGraphTransformer().transform(X)
    shares = (
        fitted.predict(graphs) / fitted.target_scale_ - fitted.target_mean_ / fitted.target_scale_
    )
    reference = fitted.module_.baseline
    left = shares - network[:, 0] * reference.scale.numpy()
    # What is left is linear in the composition: the reference.
    kinds = graphs.kind_features @ reference.weight.numpy().T + reference.bias.numpy()
    means = [kinds[g.site_kinds[g.site_classes]].mean() for g in graphs]
    np.testing.assert_allclose(left, means, atol=1e-4)
    assert fitted.get_feature_names_out()[:2].tolist() == ["cgcnnregressor0", "cgcnnregressor1"]


def test_tables(fitted, sample):
    X, _ = sample
    fitted.set_output(transform="pandas")
    try:
        assert list(fitted.transform(X[:3]).columns)[:1] == ["cgcnnregressor0"]
        assert nearest_training_crystals(fitted, X[:3], X, k=2).indices.shape == (3, 2)
    finally:
        fitted.set_output(transform="default")
    assert fitted.site_features([]) == []


def test_graphs_of_another_table(sample):
    X, y = sample
    table = {z: [float(z % 7), float(z)] for z in range(1, 101)}
    graphs = CrystalGraphTransformer(atom_features=table).transform(X)
    est = CGCNNRegressor(**SMALL | {"max_epochs": 2}).fit(graphs, y)
    found = site_contributions(est, graphs)
    assert set(found.by_element()) == {"mixed"}
    with pytest.raises(ValueError, match="label=1, but target is a number"):
        site_contributions(est, graphs, label=1)


def test_site_features(fitted, sample, nacl):
    (features,) = fitted.site_features([nacl])
    assert features.shape == (8, 16)
    species = np.array([site.specie.symbol for site in nacl])
    for element in ("Na", "Cl"):
        same = features[species == element]
        np.testing.assert_allclose(same, same[:1].repeat(4, axis=0))
    assert len(fitted.site_features(sample[0])) == len(sample[0])


def test_embeddings_of_classifiers_and_sums(sample):
    X, y = sample
    clf = CGCNNClassifier(**SMALL | {"max_epochs": 2}).fit(X, y > 0)
    assert clf.transform(X).shape == (len(X), 16)
    total = CGCNNRegressor(**SMALL | {"max_epochs": 2}, pooling="sum").fit(X, y)
    assert total.transform(X).shape == (len(X), 16)


# Near training crystals


def test_training_crystals_are_nearest_to_themselves(fitted, sample):
    X, _ = sample
    near = nearest_training_crystals(fitted, X[:10], X, k=3)
    assert near.distances.shape == near.indices.shape == (10, 3)
    np.testing.assert_allclose(near.distances[:, 0], 0, atol=1e-5)
    assert (np.diff(near.distances, axis=1) >= 0).all()
    assert not near.is_outside.any()


def test_what_is_far_lies_outside(fitted, nacl):
    strained = []
    for share in np.linspace(0.9, 1.1, 21):
        strained.append(nacl.copy())
        strained[-1].scale_lattice(share * nacl.volume)
    within, other = nacl.copy(), nacl.copy()
    within.scale_lattice(1.003 * nacl.volume)
    other.replace_species({"Na": "K", "Cl": "Br"})
    near = nearest_training_crystals(fitted, [within, other], strained)
    assert near.is_outside.tolist() == [False, True]
    assert near.indices[0, 0] == 10
    with pytest.raises(ValueError, match="k=200, but 21 training crystals can be read"):
        nearest_training_crystals(fitted, [nacl], strained, k=200)


class Embedded:
    """An estimator whose crystals are their embeddings."""

    def transform(self, X):
        return X


def test_distances_are_those_of_scaled_embeddings():
    rng = np.random.default_rng(0)
    known, asked = rng.normal(3, [1, 5, 0.1], (200, 3)), rng.normal(3, [1, 5, 0.1], (20, 3))
    known[7] = asked[3] = np.nan
    near = nearest_training_crystals(Embedded(), asked, known, k=2)
    mean, std = np.nanmean(known, axis=0), np.nanstd(known, axis=0)
    apart = cdist((asked - mean) / std, (known - mean) / std) / np.sqrt(3)
    order = np.argsort(apart, axis=1)[:, :2]
    readable = np.arange(20) != 3
    np.testing.assert_array_equal(near.indices[readable], order[readable])
    np.testing.assert_allclose(near.distances, np.sort(apart, axis=1)[:, :2], equal_nan=True)
    assert near.indices[3].tolist() == [-1, -1]
    inside = cdist(known, known, lambda a, b: np.linalg.norm((a - b) / std) / np.sqrt(3))
    np.fill_diagonal(inside, np.inf)
    nearest = np.delete(inside, 7, axis=0)
    assert near.limit == pytest.approx(np.quantile(np.nanmin(nearest, axis=1), 0.99))
    np.testing.assert_array_equal(near.is_outside, ~(near.distances[:, 0] <= near.limit))
    assert near.is_outside[3]


def test_training_crystals_that_are_there_twice_lie_inside():
    known = np.repeat(np.arange(30.0).reshape(15, 2), 2, axis=0)
    moved = 14 * [[0]] + [[1]]
    near = nearest_training_crystals(Embedded(), known[::2] + moved, known, k=1)
    assert near.limit == 0
    assert near.is_outside.tolist() == [False] * 14 + [True]


def test_five_training_crystals_are_told_by_default():
    known = np.arange(12.0).reshape(6, 2)
    near = nearest_training_crystals(Embedded(), known[:1], known)
    assert near.indices.tolist() == [[0, 1, 2, 3, 4]]


def test_two_training_crystals_are_enough():
    known = np.array([[0.0, 0.0], [2.0, 4.0]])
    near = nearest_training_crystals(Embedded(), np.array([[0.5, 1.0]]), known, k=2)
    assert near.indices.tolist() == [[0, 1]]
    assert near.limit == pytest.approx(near.distances.sum())  # it lies between them
    for few, k in ((known[:1], 1), (known, 3), (known, 0)):
        with pytest.raises(ValueError, match=f"k={k}, but {len(few)} training crystals can be"):
            nearest_training_crystals(Embedded(), known, few, k=k)


@pytest.mark.parametrize("explain", [site_contributions, bond_contributions])
def test_what_cannot_be_explained(explain, sample):
    with pytest.raises(NotFittedError):
        explain(CGCNNRegressor(), sample[0][:2])
    with pytest.raises(TypeError, match="of type Pipeline; pass a CGCNN estimator"):
        explain(make_pipeline(CGCNNRegressor()), sample[0][:2])


def test_no_crystal(fitted):
    with pytest.raises(ValueError, match="X holds no crystal that can be read"):
        site_contributions(fitted, [])


def test_a_baseline_of_no_crystal(fitted, nacl):
    with pytest.raises(ValueError, match="the baseline holds no crystal that can be read"):
        site_contributions(fitted, [nacl], baseline=[])


def test_targets_by_place_and_by_name(sample):
    X, y = (each[:20] for each in sample)
    frame = pd.DataFrame({"a": y, "b": -2 * y})
    est = CGCNNRegressor(**SMALL | {"max_epochs": 1}).fit(X, frame)
    expected = np.asarray(est.predict(X[:4]), dtype=float)
    for column, names in enumerate(((0, -2, "a"), (1, -1, "b", np.int64(1)))):
        for explain in (site_contributions, bond_contributions):
            for name in names:
                found = explain(est, X[:4], target=name).predictions
                np.testing.assert_allclose(found, expected[:, column], rtol=1e-3)
    for name in (2, -3, "c"):
        with pytest.raises(ValueError, match=f"target={name!r}; the targets are a, b"):
            site_contributions(est, X[:4], target=name)


def test_means_by_element_go_from_the_lowest_to_the_highest():
    found = Contributions(
        sites=[np.array([1.0, 2.0, 4.5]), np.array([]), np.array([-3.0, 5.0])],
        baselines=np.zeros(3),
        predictions=np.zeros(3),
        elements=[["O", "Na", "O"], [], ["mixed", "Na"]],
    )
    assert list(found.by_element().items()) == [("mixed", -3.0), ("O", 2.75), ("Na", 3.5)]


def test_odds_of_several_classes_and_networks(sample):
    X, y = (each[:30] for each in sample)
    labels = np.digitize(y, np.quantile(y, [1 / 3, 2 / 3]))
    est = CGCNNClassifier(**SMALL | {"max_epochs": 1, "n_estimators": 2}).fit(X, labels)
    probabilities = []
    for net in (est.net_, *est.more_nets_):
        single = copy.deepcopy(est)
        single.net_, single.more_nets_ = net, []
        probabilities.append(single.predict_proba(X[:5]))
    odds = np.mean([np.log(p / (1 - p)) for p in probabilities], axis=0)
    for label in (0, 1, 2, None):
        own = odds[:, 2 if label is None else label]
        for explain in (site_contributions, bond_contributions):
            found = explain(est, X[:5], label=label)
            np.testing.assert_allclose(found.predictions, own, atol=1e-4)
            parts = found.sites if explain is site_contributions else found.bonds
            sums = [values.sum() for values in parts] + found.baselines
            np.testing.assert_allclose(sums, own, atol=1e-3)


def test_the_baseline_is_the_prediction_for_the_mean_crystal(sample):
    """Of all crystals that can be read, in whatever batches they come."""
    X, y = (each[:20] for each in sample)
    est = CGCNNRegressor(**SMALL | {"max_epochs": 1, "batch_size": 3}).fit(X, y)
    found = site_contributions(est, X)
    np.testing.assert_allclose(found.baselines, found.baselines[0], rtol=1e-5)
    # Where the head is linear, it is the mean of the predictions.
    straight = CGCNNRegressor(**SMALL | {"max_epochs": 1, "n_h": 1}).fit(X, y)
    wider = site_contributions(straight, X[:2], baseline=X)
    np.testing.assert_allclose(wider.baselines, site_contributions(straight, X).baselines[:2])
    np.testing.assert_allclose(wider.predictions, straight.predict(X[:2]), rtol=1e-4)
    sums = np.array([values.sum() for values in wider.sites])
    np.testing.assert_allclose(sums + wider.baselines, wider.predictions, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "found",
    [
        Contributions([], np.zeros(0), np.zeros(0), []),
        BondContributions([], [], [], np.zeros(0), np.zeros(0)),
        NearestCrystals(np.zeros(0), np.zeros(0), 1.0, np.zeros(0)),
    ],
    ids=lambda found: type(found).__name__,
)
def test_results_are_one_thing_each_and_do_not_change(found):
    assert len({found, replace(found)}) == 2
    with pytest.raises(FrozenInstanceError):
        found.predictions = None
