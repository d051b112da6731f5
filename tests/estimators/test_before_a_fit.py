"""What is decided before a network learns: who is left out, what is frozen, how it begins."""

import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Lattice, Structure
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.estimators._baseline import fit_baseline
from skcgcnn.estimators._elements import training_kinds
from skcgcnn.estimators._ensemble import leave_out
from skcgcnn.estimators._scaling import scale
from skcgcnn.estimators._training_data import TrainingData, split
from skcgcnn.estimators._transfer import n_frozen_layers, pair_targets
from skcgcnn.estimators._units import check_units, unit_in, with_units
from skcgcnn.graphs import mean_features
from skcgcnn.nn import CrystalGraphConvNet
from skcgcnn.tasks import Classes, Number

NAN = float("nan")


def data(graphs, *columns, targets=None, weights=None):
    values = np.column_stack(columns).astype(float)
    weights = np.ones(len(values)) if weights is None else weights
    targets = targets or tuple(Number(f"y{i}") for i in range(len(columns)))
    return TrainingData(graphs, values, weights, targets, 2)


# Who is left out


@pytest.mark.parametrize(
    ("n_members", "n_crystals", "alike", "shares"),
    [
        (1, 200, False, [20]),
        (1, 199, False, [0]),
        (2, 100, False, [10, 10]),
        (2, 99, False, [0, 0]),
        (5, 43, False, [5, 5, 5, 4, 4]),
        (5, 39, False, [0] * 5),
        (5, 39, True, [5, 5, 5, 4, 4]),  # ninths, for tenths are too few
        (10, 20, False, [2] * 10),
        (12, 25, False, [3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 3, 3]),
        (2, 30, True, [10, 10]),
        (2, 29, True, [10, 10]),  # too few to calibrate by, but networks must differ
        (2, 3, True, [1, 1]),
        (2, 2, True, [0, 0]),
        (1, 30, True, [0]),
    ],
)
def test_how_many_each_network_leaves_out(n_members, n_crystals, alike, shares):
    found = leave_out(n_members, n_crystals, 0, alike=alike)
    assert found.shape == (n_members, n_crystals)
    assert sorted(found.sum(axis=1)) == sorted(shares)
    n_parts = max(1, round(n_crystals / max(1, *shares, 1)))
    if any(shares) and n_members <= n_parts:  # others than those before
        assert found.sum(axis=0).max() == 1
    np.testing.assert_array_equal(leave_out(n_members, n_crystals, 0, alike=alike), found)
    if any(shares) and n_crystals > 20:
        assert (leave_out(n_members, n_crystals, 1, alike=alike) != found).any()


@pytest.mark.parametrize(("share", "n_valid"), [(0.25, 6), (0.001, 1), (0.999, 23), (0.1, 2)])
def test_a_share_is_held_out(graphs, share, n_valid):
    whole = data(graphs, np.arange(24.0), weights=np.arange(24.0) + 1)
    parts = split(whole, share, 0)
    assert [len(part) for part in parts] == [24 - n_valid, n_valid]
    rows = [part.weights.astype(int) - 1 for part in parts]
    assert sorted(np.concatenate(rows)) == list(range(24))
    for part, chosen in zip(parts, rows, strict=True):
        np.testing.assert_array_equal(vars(part)["values"][:, 0], chosen)
        assert part.graphs.ids.tolist() == graphs.ids[chosen].tolist()
        assert (part.targets, part.y_ndim) == (whole.targets, 2)
    again = split(whole, share, 0)[1]
    np.testing.assert_array_equal(again.weights, parts[1].weights)
    with pytest.raises(ValueError, match="early_stopping needs at least 2 crystals: some to train"):
        split(whole.take(np.array([0])), share, 0)


def test_labels_are_held_out_alike(graphs):
    labels = np.where(np.arange(24) < 6, 1.0, 0.0)
    targets = (Number("y"), Classes("kind", classes=np.array(["a", "b"])))
    for seed in range(5):
        given = data(graphs, np.arange(24.0), labels, targets=targets, weights=labels + 1)
        _, valid = split(given, 0.25, seed)
        assert (valid.weights == 2).sum() in (1, 2)


# What is frozen, and which targets of another model are the same


def test_how_many_layers_are_frozen():
    for freeze, expected in (("none", 0), ("convs", 4), (0, 0), (1, 1), (4, 4)):
        assert n_frozen_layers(freeze, 3, begun=True) == expected
    assert n_frozen_layers("none", 3, begun=False) == n_frozen_layers(0, 3, begun=False) == 0
    for freeze in ("convs", 1):
        with pytest.raises(ValueError, match=f"freeze={freeze!r} without init_from would keep ran"):
            n_frozen_layers(freeze, 3, begun=False)
    with pytest.raises(
        ValueError, match="freeze=5, but with n_conv=3 there are 4 layers to freeze"
    ):
        n_frozen_layers(5, 3, begun=True)


def test_targets_of_another_model_by_kind_classes_and_unit():
    gap, energy = Number("gap", unit="eV"), Number("energy", unit="eV/atom")
    kind = Classes("kind", classes=np.array(["a", "b"]))
    other = Classes("kind", classes=np.array(["a", "c"]))
    for targets, known, expected in (
        ([gap], [energy, gap], [1]),
        ([Number("x")], [energy, gap], [0]),
        ([Number("x"), Number("x")], [energy, gap], [0, 1]),
        ([kind, gap], [gap, kind], [1, 0]),
        ([gap, gap], [gap], None),
        ([other], [kind, gap], None),
        ([], [gap], []),
    ):
        assert pair_targets(targets, known) == expected


# How it begins


@pytest.mark.parametrize("extensive", [True, False])
def test_the_composition_is_a_ridge_regression_by_site(graphs, energies, extensive):
    weights = np.linspace(0.5, 2, 24)
    total = energies * graphs.n_sites if extensive else energies
    known = np.arange(24) % 5 > 0
    targets = (
        Number("constant"),
        Classes("kind", classes=np.array(["a", "b"])),
        Number("energy", mean=0.0 if extensive else 1.0, scale=2.0),
    )
    net = CrystalGraphConvNet(92, 4, composition_baseline=True)
    columns = np.full(24, NAN), np.arange(24) % 2, np.where(known, total, NAN)
    given = data(graphs, *columns, targets=targets, weights=weights)
    fit_baseline(net, targets, given, extensive=extensive)
    n_sites = graphs.n_sites[known] if extensive else np.ones(known.sum())
    y = (total[known] - targets[2].mean) / 2.0 / n_sites
    features, weights = mean_features(graphs)[known], weights[known] * n_sites**2
    ridge = RidgeCV(np.logspace(-4, 3, 15)).fit(features, y, sample_weight=weights)
    found = net.baseline
    np.testing.assert_allclose(found.weight[3], ridge.coef_, rtol=1e-5, atol=1e-7)
    assert found.bias[3].item() == pytest.approx(ridge.intercept_, rel=1e-5)
    one_out = cross_val_predict(
        Ridge(ridge.alpha_), features, y, cv=LeaveOneOut(), params={"sample_weight": weights}
    )
    left = np.sqrt(np.average((one_out - y) ** 2, weights=weights))
    assert 0.1 < left < 1
    expected = 1.0 if extensive else left
    assert found.scale[3].item() == pytest.approx(expected, rel=1e-4)
    # Classes, and targets of which nothing is known, begin without it.
    assert not found.weight[:3].any()
    assert not found.bias[:3].any()
    assert found.scale[:3].tolist() == [1, 1, 1]


def test_what_is_left_is_no_less_than_a_tenth_and_no_more_than_all(graphs):
    features = mean_features(graphs)
    net = CrystalGraphConvNet(92, 2, composition_baseline=True)
    noise = np.random.default_rng(0).normal(size=24)
    columns = features @ np.linspace(-0.1, 0.1, 92), 100 * noise
    given = data(graphs, *columns)
    fit_baseline(net, given.targets, given, extensive=False)
    assert net.baseline.scale.tolist() == pytest.approx([0.1, 1.0])


def test_a_column_without_targets_is_named(graphs):
    given = data(graphs, np.arange(24.0), np.full(24, NAN))
    with pytest.raises(ValueError, match="column 'y1' of y holds no target among the 24 crystals"):
        scale(given, {"pooling": "mean"})
    given = data(graphs, np.arange(24.0), 2 * np.arange(24.0))
    targets, starts = scale(given, {"pooling": "mean", "loss": "gaussian_nll"})
    assert [target.mean for target in targets] == [11.5, 23]
    assert (starts, targets[0].n_outputs) == (None, 2)
    targets, starts = scale(given, {"pooling": "sum"})
    by_site = np.arange(24).mean() / graphs.n_sites.mean()
    found = [start * target.scale for start, target in zip(starts, targets, strict=True)]
    assert found == pytest.approx([by_site, 2 * by_site])


def test_the_most_frequent_kinds_of_site_are_learned(nacl):
    mixed = [
        Structure(Lattice.cubic(4), [{"Ni": share, "Co": 1 - share}], [[0, 0, 0]])
        for share in np.linspace(0.1, 0.9, 5)
    ]
    graphs = CrystalGraphTransformer().transform([nacl, *mixed])
    kinds = training_kinds(graphs, None)
    assert len(kinds) == 7
    counts = graphs.sites_by_kind()
    first = {row.tobytes() for row in graphs.kind_features[counts == 4]}
    assert {row.tobytes() for row in kinds[:2]} == first
    some = training_kinds(graphs[1:3], None)  # kinds of other crystals do not count
    assert len(some) == 2


# Units


def test_units_of_targets():
    frame = pd.DataFrame({"gap (eV)": [1.0], "energy": [1.0], "kind (eV)": ["a"], "x (K)": [1.0]})
    frame.attrs["units"] = {"energy": "meV", "kind (eV)": "eV"}
    targets = [Number("gap (eV)"), Number("energy"), Classes("kind (eV)"), Number("x (K)")]
    assert [each.unit for each in with_units(targets, frame)] == ["eV", "meV", "", "K"]
    assert [each.unit for each in with_units(targets[:1], np.zeros(1))] == ["eV"]
    for name, unit in {
        "a (kJ mol^-1)": "kJ mol^-1",
        "a [ Å⁻¹ ]": "Å⁻¹",
        "a (°C)  ": "°C",
        "(eV)": "eV",
        "a (1)": "",
        "a (eVs)": "",
        "a (eV, K)": "",
        "a (eV) (K)": "K",
    }.items():
        assert unit_in(name) == unit, name


def test_columns_in_the_units_of_the_fit():
    targets = [Number("gap", unit="eV"), Classes("kind"), Number("x")]
    frame = pd.DataFrame({"gap": [1.0], "kind": ["a"], "x": [1.0]})
    for units in ({}, {"gap": "eV"}, {"gap": " e V "}, {"x": "K"}, {"kind": "K"}):
        frame.attrs["units"] = units
        check_units(targets, frame)
    frame.attrs["units"] = {"gap": "meV"}
    with pytest.raises(ValueError, match="column 'gap' of y is in meV, but that of the fit was in"):
        check_units(targets, frame)
    check_units(targets, np.zeros((1, 3)))
    other = pd.DataFrame({"gap (K)": [1.0], "kind": ["a"], "x": [1.0]})
    with pytest.raises(
        ValueError, match=r"column 'gap \(K\)' of y is in K, but that of the fit was"
    ):
        check_units(targets, other)


# Classes and weights


def test_weights_of_classes_are_those_of_scikit_learn(tiny, graphs):
    labels = np.where(np.arange(24) < 6, "a", "b")
    for weight, expected in (
        (None, [1.0] * 24),
        ("balanced", np.where(labels == "a", 24 / 12, 24 / 36)),
        ({"a": 3.0, "b": 1.0}, np.where(labels == "a", 3.0, 1.0)),
        ({"a": 3.0}, np.where(labels == "a", 3.0, 1.0)),
    ):
        est = CGCNNClassifier(**tiny, class_weight=weight)
        encoded, targets = est._encode(labels, None)
        values = encoded[:, np.newaxis]
        found = est._class_weights(values, targets, np.ones(24, dtype=bool))
        np.testing.assert_allclose(found, expected)
    used = np.arange(24) >= 3
    found = CGCNNClassifier(class_weight="balanced")._class_weights(values, targets, used)
    np.testing.assert_allclose(found[used], np.where(labels[used] == "a", 21 / 6, 21 / 36))
    for wrong in (-1.0, np.inf, NAN, "2"):
        with pytest.raises(ValueError, match="the weight of 'a' must be a number of at least 0"):
            CGCNNClassifier(**tiny, class_weight={"a": wrong}).fit(graphs, labels)
    # A class of weight 0 is not trained on.
    est = CGCNNClassifier(**tiny, class_weight={"a": 0}).fit(graphs, labels)
    assert est.n_samples_fit_ == 18
    assert est.classes_.tolist() == ["a", "b"]


def test_weights_count_by_their_ratios(tiny, graphs, energies):
    weights = np.where(np.arange(24) < 12, 1.0, 3.0)
    first, second, large = (
        CGCNNRegressor(**tiny).fit(graphs, energies, sample_weight=factor * weights)
        for factor in (1.0, 1e-3, 1e308 / 3)
    )
    for other in (second, large):
        np.testing.assert_allclose(other.predict(graphs), first.predict(graphs), atol=1e-6)
        assert other.target_mean_ == pytest.approx(np.average(energies, weights=weights))
    some = CGCNNRegressor(**tiny).fit(graphs, energies, sample_weight=np.arange(24) < 12)
    assert some.n_samples_fit_ == 12
    alone = CGCNNRegressor(**tiny).fit(graphs[:12], energies[:12])
    np.testing.assert_allclose(some.predict(graphs), alone.predict(graphs), atol=1e-6)


@pytest.mark.parametrize("heads", ["shared", "separate"])
def test_the_sizes_of_a_network(tiny, graphs, Y, heads):
    net_params = {**tiny["net_params"], "heads": heads, "element_embedding": True}
    est = CGCNNMultiTask(**{**tiny, "net_params": net_params}, n_h=2).fit(graphs, Y)
    found = est.module_.architecture
    assert found["heads"] == ([1, 2] if heads == "separate" else None)
    assert (found["n_outputs"], found["n_h"], found["n_globals"]) == (3, 2, 0)
    used = {row.tobytes() for row in graphs.used_features()}
    assert found["n_kinds"] == len(used)
    width = 8 * (2 if heads == "separate" else 1)
    assert est.transform(graphs).shape == (24, width)
    assert est.get_feature_names_out().tolist() == [f"cgcnnmultitask{i}" for i in range(width)]
    one = CGCNNMultiTask(**{**tiny, "net_params": net_params}, tasks=("regression",)).fit(
        graphs, Y[:, :1]
    )
    assert one.module_.architecture["heads"] is None
    assert torch.isfinite(one.module_.embedding.weight).all()


def test_what_a_training_started_from_is_known(tiny, graphs, energies, tmp_path):
    def started(**params):
        return CGCNNRegressor(**{**tiny, "max_epochs": 1, **params}).fit(graphs, energies)

    source = started(init_from=None)
    assert source.fitted_params_["init_from"] is None
    assert started(n_h=3).fitted_params_["init_from"] is None
    path = tmp_path / "model.safetensors"
    source.save(path)
    for given in (path, str(path)):
        assert started(init_from=given).fitted_params_["init_from"] == given
    # An estimator is not kept twice.
    assert "init_from" not in started(init_from=source).fitted_params_
    usual = {"max_epochs": 1, "random_state": 0, "device": "cpu"}
    found = CGCNNRegressor(**usual).fit(graphs, energies)
    assert found.fitted_params_["init_from"] == "chgnet-distilled"
