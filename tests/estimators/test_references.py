"""What estimators do beside the network, against scikit-learn, torch and sums by hand."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import Ridge
from skorch.callbacks import Callback
from torch.nn import functional

from skcgcnn import RECIPES, CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor

SMALL = {"atom_fea_len": 8, "n_conv": 1, "h_fea_len": 8, "max_epochs": 2, "random_state": 0}


def test_recipes_are_those_that_were_measured():
    """Other values are another recipe: benchmarks/results tells what these reach."""
    assert RECIPES == {
        "default": {
            "conv": "edge",
            "composition_baseline": True,
            "dropout": 0.1,
            "lr": 0.004,
            "schedule": "one_cycle",
            "optimizer": "adamw",
            "weight_decay": 0.1,
            "max_grad_norm": 5.0,
            "loss": "mae",
            "ema_decay": 0.995,
        },
        "paper": {
            "conv": "gated",
            "composition_baseline": False,
            "element_embedding": False,
            "dropout": 0.0,
            "lr": 0.01,
            "schedule": "constant",
            "optimizer": "sgd",
            "weight_decay": 0.0,
            "max_grad_norm": None,
            "loss": "mse",
            "ema_decay": 0.0,
            "batch_size": 256,
            "max_epochs": 30,
        },
    }


# The loss of a fit


class Steps(Callback):
    """Keep outputs, y and loss of every step."""

    seen = []  # noqa: RUF012 - copies of the callback share it

    def on_batch_end(self, net, batch, training, loss, y_pred, **kwargs):
        self.seen.append((y_pred.detach(), batch[1], loss.detach()))


@pytest.mark.parametrize(
    ("loss", "reference"),
    [
        ("mse", functional.mse_loss),
        ("mae", functional.l1_loss),
        ("huber", functional.huber_loss),
    ],
)
def test_a_fit_has_torch_s_loss_of_standardized_targets(graphs, energies, loss, reference):
    Steps.seen.clear()
    params = {**SMALL, "batch_size": 24, "loss": loss, "callbacks": [Steps()]}
    est = CGCNNRegressor(**params).fit(graphs, 5 * energies)
    assert len(Steps.seen) == 2
    for epoch, (outputs, y, found) in enumerate(Steps.seen):
        np.testing.assert_allclose(np.sort(y), np.sort(5 * energies))
        targets = torch.from_numpy((y - y.mean()) / y.std()).float()
        torch.testing.assert_close(found, reference(outputs[:, 0], targets))
        assert est.history_[epoch, "train_loss"] == pytest.approx(found.item())


# The linear composition baseline


def chosen_ridge(features, y, weights):
    """Return the ridge regression of the grid that predicts best what it has not seen."""
    errors = {}
    for alpha in np.logspace(-4, 3, 15):
        squares = []
        for i in range(len(y)):
            others = np.arange(len(y)) != i
            ridge = Ridge(alpha).fit(features[others], y[others], sample_weight=weights[others])
            squares.append((ridge.predict(features[i : i + 1])[0] - y[i]) ** 2)
        errors[alpha] = np.average(squares, weights=weights)
    return Ridge(min(errors, key=errors.get)).fit(features, y, sample_weight=weights), errors


def site_features(graphs):
    """Return the features of all sites of each crystal."""
    plain = graphs.expand()
    return np.split(graphs.kind_features[plain.site_kinds], plain.offsets[1:-1])


@pytest.mark.parametrize("weighted", [False, True])
def test_the_baseline_is_scikit_learn_s_ridge_on_mean_features(graphs, energies, weighted):
    weights = np.random.default_rng(0).uniform(0.2, 3, len(graphs)) if weighted else None
    est = CGCNNRegressor(**SMALL, composition_baseline=True).fit(
        graphs, energies, sample_weight=weights
    )
    mean = np.average(energies, weights=weights)
    std = np.sqrt(np.average((energies - mean) ** 2, weights=weights))
    features = np.array([rows.astype(float).mean(axis=0) for rows in site_features(graphs)])
    weights = np.ones(len(graphs)) if weights is None else weights / weights.mean()
    ridge, errors = chosen_ridge(features, (energies - mean) / std, weights)
    baseline = est.module_.baseline
    with torch.no_grad():
        found = baseline(torch.from_numpy(features).float())[:, 0]
    np.testing.assert_allclose(found, ridge.predict(features), atol=2e-4)
    if not weighted:
        assert baseline.scale.item() == pytest.approx(np.sqrt(min(errors.values())), rel=1e-4)


def test_the_baseline_of_sums_is_a_share_of_every_site(graphs, energies):
    """Totals are fitted by totals: sites count, and errors of totals are what is small."""
    # With noise and repeated, since what can be fitted exactly is fitted whatever the weights.
    rows = np.tile(np.arange(len(graphs)), 2)
    energies = energies[rows] + np.random.default_rng(0).normal(size=len(rows))
    graphs, n_sites = graphs[rows], graphs.n_sites[rows]
    est = CGCNNRegressor(**SMALL, composition_baseline=True, pooling="sum").fit(
        graphs, energies * n_sites
    )
    features = np.array([rows.astype(float).mean(axis=0) for rows in site_features(graphs)])
    by_site = energies / est.target_scale_
    ridge, _ = chosen_ridge(features, by_site, n_sites.astype(float) ** 2)
    with torch.no_grad():
        found = est.module_.baseline(torch.from_numpy(features).float())[:, 0]
    np.testing.assert_allclose(found, ridge.predict(features), atol=2e-4)


# Ensembles


def members(est, graphs):
    """Return what each network says, of shape (n_members, n_crystals, n_outputs)."""
    return np.array([net.outputs(graphs) for net in (est.net_, *est.more_nets_)], dtype=float)


def test_the_parts_of_a_standard_deviation_by_hand(graphs, energies):
    y = 7 * energies + 100
    est = CGCNNRegressor(**SMALL, n_estimators=3, loss="gaussian_nll").fit(graphs, y)
    outputs = members(est, graphs)
    assert len(outputs) == 3
    values = outputs[:, :, 0] * y.std() + y.mean()
    aleatoric = np.exp(outputs[:, :, 1]).mean(axis=0) * y.var()
    epistemic = ((values - values.mean(axis=0)) ** 2).mean(axis=0)
    predicted, std = est.predict(graphs, return_std=True)
    parts = est.predict_uncertainty(graphs)
    np.testing.assert_allclose(predicted, values.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(parts.aleatoric**2, aleatoric, rtol=1e-4)
    np.testing.assert_allclose(parts.epistemic**2, epistemic, rtol=1e-3, atol=1e-8)
    np.testing.assert_allclose(std**2, aleatoric + epistemic, rtol=1e-4)


def test_probabilities_are_means_over_networks(graphs, Y):
    est = CGCNNMultiTask(**SMALL, n_estimators=3).fit(graphs, Y)
    outputs = members(est, graphs)
    expected = softmax(outputs[:, :, 1:], axis=2).mean(axis=0)
    np.testing.assert_allclose(est.predict_proba(graphs), expected, atol=1e-6)
    predicted = est.predict(graphs)
    np.testing.assert_allclose(predicted[:, 1], expected.argmax(axis=1))
    energies = outputs[:, :, 0].mean(axis=0) * Y[:, 0].std() + Y[:, 0].mean()
    np.testing.assert_allclose(predicted[:, 0], energies, rtol=1e-4, atol=1e-5)


def test_networks_of_an_ensemble_begin_with_other_weights(graphs, energies):
    est = CGCNNRegressor(**SMALL, n_estimators=3).fit(graphs, energies)
    outputs = members(est, graphs)[:, :, 0]
    pairs = [(0, 1), (0, 2), (1, 2)]
    assert min(np.abs(outputs[i] - outputs[j]).max() for i, j in pairs) > 1e-4


# The crystals that early stopping holds out


class Sizes(Callback):
    """Keep the crystals of training and of validation."""

    seen = []  # noqa: RUF012 - copies of the callback share it

    def on_train_begin(self, net, X, y, **kwargs):
        self.parts = {True: [], False: []}

    def on_batch_end(self, net, batch, training, **kwargs):
        self.parts[training].append(batch[1])

    def on_train_end(self, net, **kwargs):
        self.seen.append({training: np.concatenate(p) for training, p in self.parts.items()})


def held_out(est, graphs, y):
    Sizes.seen.clear()
    est.set_params(callbacks=[Sizes()], max_epochs=1, early_stopping=True, n_iter_no_change=10).fit(
        graphs, y
    )
    (parts,) = Sizes.seen
    return parts[True], parts[False]


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_early_stopping_holds_out_its_share_by_the_seed(graphs, energies, share):
    found = []
    for seed in (0, 0, 1):
        est = CGCNNRegressor(**{**SMALL, "random_state": seed}, validation_fraction=share)
        train, valid = held_out(est, graphs, energies)
        assert len(valid) == round(share * len(graphs))
        assert len(train) + len(valid) == len(graphs)
        assert sorted([*train, *valid]) == sorted(energies)
        found.append(sorted(valid))
    assert found[0] == found[1] != found[2]


def test_classes_are_held_out_in_their_shares(graphs):
    y = np.arange(24) % 4 == 0
    for seed in range(6):
        est = CGCNNClassifier(**{**SMALL, "random_state": seed}, validation_fraction=1 / 3)
        train, valid = held_out(est, graphs, y)
        assert (valid.sum(), train.sum()) == (2, 4)
