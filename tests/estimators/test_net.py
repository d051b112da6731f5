"""The net of an estimator: its options, and what may change while a training goes on."""

from functools import partial

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping

from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor
from skcgcnn.estimators._net import OPTIMIZERS, usual_weight_decay


def with_net(tiny, **options):
    return {**tiny, "net_params": {**tiny["net_params"], **options}}


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("lr", "set lr= of the estimator"),
        ("optimizer__lr", "set lr= of the estimator"),
        ("optimizer__weight_decay", "set weight_decay= of the estimator"),
        ("criterion__loss", "set loss= of the estimator"),
        ("callbacks__early_stopping__patience", "set n_iter_no_change= of the estimator"),
        ("criterion__cls_weight", "see the estimator's parameters"),
        ("module__n_conv", "see the estimator's parameters"),
        ("iterator_train__shuffle", "see the estimator's parameters"),
    ],
)
def test_what_net_params_is_not_for(name, advice, tiny, graphs, energies):
    with pytest.raises(ValueError, match="net_params holds") as caught:
        CGCNNRegressor(**with_net(tiny, **{name: 1})).fit(graphs, energies)
    assert str(caught.value).startswith(f"net_params holds {name!r}; it is for schedule, ")
    assert str(caught.value).endswith(
        "and options of skorch (optimizer__..., callbacks__..., compile__...). Instead, " + advice
    )


def test_options_of_the_optimizer_are_taken(tiny, graphs, energies):
    params = with_net(tiny, optimizer__eps=0.5, optimizer__betas=(0.5, 0.6))
    est = CGCNNRegressor(**params, optimizer="adam").fit(graphs, energies)
    first = est.net_.optimizer_.param_groups[0]
    assert (first["eps"], first["betas"]) == (0.5, (0.5, 0.6))
    assert (OPTIMIZERS["adam"][1], OPTIMIZERS["sgd"][1]["momentum"]) == ({"fused": True}, 0.9)


class Own(torch.optim.SGD):
    """Takes what others take."""

    def __init__(self, params, **more):
        super().__init__(params, **more)


def test_the_weight_decay_of_a_recipe_is_for_adamw():
    """In others it is a part of the gradient: with 0.1, errors of perovskites are twice as high."""
    for optimizer in ("adamw", torch.optim.AdamW):
        assert usual_weight_decay(optimizer, 0.1) == 0.1
    own = partial(torch.optim.AdamW, weight_decay=0.02)
    for optimizer in ("adam", "sgd", torch.optim.NAdam, Own, torch.optim.Rprop, own):
        assert usual_weight_decay(optimizer, 0.1) is None
    for optimizer in ("sgd", torch.optim.Adam, Own):
        assert usual_weight_decay(optimizer, 0.0) == 0.0
    assert usual_weight_decay(torch.optim.Rprop, 0.0) is None


@pytest.mark.parametrize(
    ("change", "was", "now"),
    [
        ({"atom_fea_len": 4}, "8", "4"),
        ({"conv": "edge"}, "'gated'", "'edge'"),
        ({"optimizer": "sgd"}, "'adamw'", "'sgd'"),
        ({"pooling": "sum"}, "'mean'", "'sum'"),
        ({"radius": 6.0}, "8.0", "6.0"),
        ({"max_num_nbr": 8}, "12", "8"),
        ({"loss": "gaussian_nll"}, "'mae'", "'gaussian_nll'"),
    ],
)
def test_what_stays_while_a_training_goes_on(change, was, now, tiny, graphs, energies):
    params = {**tiny, "optimizer": "adamw", "loss": "mae", "max_epochs": 1}
    est = CGCNNRegressor(**params, warm_start=True).fit(graphs, energies)
    ((name, _),) = change.items()
    with pytest.raises(ValueError, match="when the network was made") as caught:
        est.set_params(**change).fit(graphs, energies)
    assert str(caught.value) == (
        f"{name} was {was} when the network was made, and is {now} now; training cannot continue "
        "with another value. Set it back, or fit with warm_start=False"
    )
    assert len(est.history_) == 1
    est.set_params(**{name: params.get(name, {"pooling": "mean", "radius": 8.0}.get(name, 12))})
    assert len(est.fit(graphs, energies).history_) == 2


def test_what_may_change_while_a_training_goes_on(tiny, graphs, energies):
    params = {**tiny, "optimizer": "adamw", "loss": "mae", "max_epochs": 1, "weight_decay": 0.1}
    est = CGCNNRegressor(**params, warm_start=True, dropout=0.1).fit(graphs, energies)
    est.set_params(lr=0.5, batch_size=3, dropout=0.25, weight_decay=0.75, loss="huber", verbose=0)
    est.set_params(net_params={**tiny["net_params"], "ema_decay": 0.5, "max_grad_norm": 0.125})
    est.fit(graphs, energies)
    net = est.net_
    assert (net.lr, net.batch_size, net.max_grad_norm) == (0.5, 3, 0.125)
    assert net.module_.ema_decay == 0.5
    assert net.criterion_.loss == "huber"
    assert {m.p for m in net.module_.trained.modules() if isinstance(m, torch.nn.Dropout)} == {0.25}
    groups = net.optimizer_.param_groups
    assert {group["lr"] for group in groups} == {0.5}
    decays = {p.ndim > 1: group["weight_decay"] for group in groups for p in group["params"]}
    assert decays == {True: 0.75, False: 0}
    fitted = est.fitted_params_
    assert (fitted["lr"], fitted["batch_size"], fitted["ema_decay"]) == (0.5, 3, 0.5)
    with pytest.raises(ValueError, match="weight_decay cannot become None while training goes on"):
        est.set_params(weight_decay=None).fit(graphs, energies)


def test_the_weight_of_classes_may_change_but_not_how_it_is_found(tiny, graphs, Y):
    est = CGCNNMultiTask(**tiny, warm_start=True, cls_weight=0.5).fit(graphs, Y)
    est.set_params(cls_weight=2.0).fit(graphs, Y)
    assert est.net_.criterion_.cls_weight == 2.0
    with pytest.raises(
        ValueError, match=r"cls_weight was 2\.0 when the network was made, and is 'a"
    ):
        est.set_params(cls_weight="auto").fit(graphs, Y)
    learned = CGCNNMultiTask(**tiny, warm_start=True, cls_weight="auto").fit(graphs, Y)
    assert len(learned.fit(graphs, Y).history_) == 4
    with pytest.raises(ValueError, match="cls_weight was 'auto' when the network was made, and is"):
        learned.set_params(cls_weight=2.0).fit(graphs, Y)


class Told(Callback):
    """Notes that it was told."""

    def initialize(self):
        self.epochs = 0
        return self

    def on_epoch_end(self, net, **kwargs):
        self.epochs += 1


def test_callbacks(tiny, graphs, labels):
    for given in (Told(), Told, ("mine", Told()), ("mine", Told)):
        est = CGCNNClassifier(**tiny, callbacks=[given]).fit(graphs, labels)
        (found,) = [each for _, each in est.net_.callbacks_ if isinstance(each, Told)]
        assert found.epochs == 2
    for wrong in (3, print, ("mine", print), ("mine", Told(), 3), int):
        with pytest.raises(TypeError, match=r"callbacks holds .*; expected callbacks of skorch"):
            CGCNNClassifier(**tiny, callbacks=[wrong]).fit(graphs, labels)


def test_patience(tiny, graphs, energies):
    params = {**tiny, "early_stopping": True, "n_iter_no_change": 3, "max_epochs": 4}
    est = CGCNNRegressor(**params, warm_start=True).fit(graphs, energies)
    (found,) = [each for _, each in est.net_.callbacks_ if isinstance(each, EarlyStopping)]
    assert (found.patience, found.threshold) == (3, 0)
    est.set_params(n_iter_no_change=7).fit(graphs, energies)
    (found,) = [each for _, each in est.net_.callbacks_ if isinstance(each, EarlyStopping)]
    assert found.patience == 7
    est.set_params(early_stopping=False).fit(graphs, energies)
    assert not [each for _, each in est.net_.callbacks_ if isinstance(each, EarlyStopping)]
    assert np.isfinite(est.predict(graphs)).all()


@pytest.mark.parametrize("init_from", [None, "chgnet-distilled"])
def test_groups_of_parameters_keep_what_they_have_of_their_own(init_from, graphs, energies):
    """Whatever changes the learning rate of the others: the start, another fit, a cycle's end."""
    own = [("head.fc_out.*", {"lr": 0.5}), ("convs.0.*", {"weight_decay": 0.25})]
    est = CGCNNRegressor(
        init_from=init_from,
        max_epochs=1,
        random_state=0,
        warm_start=True,
        net_params={"optimizer__param_groups": own, "conv_lr_factor": 0.5},
    )

    def found():
        return {
            name: (group["initial_lr"], group["weight_decay"])
            for group in est.net_.optimizer_.param_groups
            for name, parameter in est.net_.module_.trained.named_parameters()
            if any(parameter is each for each in group["params"])
        }

    for lr, decay in ((0.001, 0.1), (0.001, 0.1), (0.002, 0.2)):
        values = est.set_params(lr=lr, weight_decay=decay).fit(graphs, energies) and found()
        assert values["head.fc_out.weight"] == (0.5, decay)
        assert values[_matrix(values, "convs.0.")] == (lr, 0.25)
        assert values[_matrix(values, "convs.1.")] == (lr / 2, decay)
        assert values["head.conv_to_fc.weight"] == (lr, decay)


def test_options_that_are_changed_in_place_are_told(tiny, graphs, energies):
    groups = [("head.fc_out.*", {"lr": 1e-3})]
    net_params = {**tiny["net_params"], "optimizer__param_groups": groups}
    params = tiny | {"net_params": net_params, "warm_start": True}
    est = CGCNNRegressor(**params).fit(graphs, energies)
    groups[0][1]["lr"] = 0.5
    with pytest.raises(ValueError, match=r"^net_params was .* when the network was made"):
        est.fit(graphs, energies)


def _matrix(names, prefix):
    return next(n for n in names if n.startswith(prefix) and n.endswith("weight"))
