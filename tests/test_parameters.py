"""The table of parameters: what a fit takes, a model file may hold, and no more."""

from dataclasses import MISSING, fields

import pytest
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

import skcgcnn
from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn._declared import Choice, Number, Registered, declared, param
from skcgcnn._parameter_lists import all_declared
from skcgcnn._parameters import (
    MAX_NEIGHBORS,
    MAX_RADIUS,
    ClassifierParameters,
    MultiTaskParameters,
    NetParameters,
)
from skcgcnn.crystals import MAX_LENGTH
from skcgcnn.estimators._constraints import constraints
from skcgcnn.training import run_parameters

NOT_TYPED = {
    "atom_features", "callbacks", "compile", "composition_baseline", "early_stopping",
    "element_embedding", "ema_decay", "heads", "max_batch_sites", "max_grad_norm",
    "n_iter_no_change", "net_params", "precision", "tasks", "validation_fraction", "verbose",
    "warm_start",
}  # fmt: skip


def test_all_parameters_but_these_are_options_of_the_command():
    assert set(all_declared(MultiTaskParameters)) - set(run_parameters()) == NOT_TYPED


def test_a_model_with_the_largest_radius_is_saved_and_loaded(cifs, energies, tiny, tmp_path):
    # That of model files.
    assert MAX_RADIUS == MAX_LENGTH
    params = {**tiny, "max_epochs": 1}
    est = CGCNNRegressor(**params, radius=MAX_RADIUS).fit(cifs[:4], energies[:4])
    est.save(tmp_path / "model.safetensors")
    assert skcgcnn.load(tmp_path / "model.safetensors").radius == MAX_RADIUS


@pytest.mark.parametrize("name", [n for n, p in declared(CGCNNRegressor).items() if p.most])
def test_sizes_above_those_of_model_files_are_refused(name, cifs, energies, tiny):
    most = declared(CGCNNRegressor)[name].most
    with pytest.raises(ValueError, match=f"The '{name}' parameter"):
        CGCNNRegressor(**{**tiny, name: most + 1}).fit(cifs, energies)


@pytest.mark.parametrize("radius", [10_001, 1e6, float("inf")])
def test_a_radius_above_the_bound_is_refused_before_anything_is_made(radius, cifs, energies, tiny):
    with pytest.raises(ValueError, match="The 'radius' parameter"):
        CGCNNRegressor(**tiny, radius=radius).fit(cifs, energies)


# Smallest and largest values, and the next ones that are refused.
BOUNDS = {
    "max_grad_norm": (1e-300, None, 0.0, None),
    "ema_decay": (0.0, 0.999, -1e-9, 1.0),
    "max_batch_sites": (1, None, 0, None),
    "conv_lr_factor": (1e-300, None, 0.0, None),
    "atom_fea_len": (1, 100_000, 0, 100_001),
    "n_conv": (0, 100_000, -1, 100_001),
    "h_fea_len": (1, 100_000, 0, 100_001),
    "n_h": (1, 100_000, 0, 100_001),
    "dropout": (0.0, 0.999, -1e-9, 1.0),
    "radius": (1e-300, 10_000, 0.0, 10_001),
    "max_num_nbr": (1, 1_000, 0, 1_001),
    "lr": (1e-300, None, 0.0, None),
    "max_epochs": (1, None, 0, None),
    "batch_size": (1, None, 0, None),
    "weight_decay": (0.0, None, -1e-9, None),
    "n_estimators": (1, None, 0, None),
    "freeze": (0, None, -1, None),
    "validation_fraction": (1e-300, 0.999, 0.0, 1.0),
    "n_iter_no_change": (1, None, 0, None),
    "cls_weight": (0.0, None, -1e-9, None),
}


def test_bounds_of_numbers():
    """All numbers among the parameters are here, each with its bounds."""
    allowed = {**constraints(MultiTaskParameters), **constraints(NetParameters)}
    declared_numbers = {
        name
        for name, each in all_declared(MultiTaskParameters).items()
        if any(isinstance(one, Number) for one in each.allowed)
    }
    assert {*BOUNDS} == declared_numbers
    for name, (low, high, below, above) in BOUNDS.items():
        for value in (low, high):
            if value is not None:
                validate_parameter_constraints(allowed, {name: value}, "X")
        for value in (below, above, float("nan"), "no such word"):
            if value is not None:
                with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter"):
                    validate_parameter_constraints(allowed, {name: value}, "X")


@pytest.mark.parametrize("cls", [CGCNNRegressor, CGCNNClassifier, CGCNNMultiTask])
def test_estimators_are_themselves_and_show_what_was_set(cls):
    est = cls(lr=0.5, verbose=True)
    assert est != clone(est)
    assert len({est, clone(est), est}) == 2
    assert repr(est) == f"{cls.__name__}(lr=0.5, verbose=True)"
    with pytest.raises(TypeError, match="positional"):
        cls("default")
    assert list(est.get_params()) == sorted(each.name for each in fields(cls))
    assert not [each.name for each in fields(cls) if each.default is MISSING]


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ((Number(int, 0),), "int"),
        ((Choice("auto"), Number(float)), '"auto" or float'),
        ((Choice("none", "convs"), Number(int, 0)), '{"none", "convs"} or int'),
        ((Choice("a"), Choice("b"), None), '{"a", "b"} or None'),
        ((Choice("auto"), Registered("losses")), '"auto" or str'),
        ((bool, Number(int), Choice("x")), 'bool, int or "x"'),
        ((None, str, Number(float), Choice("x", "y")), 'None, str, float or {"x", "y"}'),
    ],
)
def test_what_is_allowed_in_words(allowed, expected):
    field = param(3, allowed, "of a test", change="free", in_file=False)
    parameter = field.metadata["parameter"]
    assert (field.default, parameter.kind, parameter.allowed) == (3, expected, allowed)
    assert (parameter.doc, parameter.change, parameter.in_file) == ("of a test", "free", False)
    assert param(3, allowed, "", kind="of my own").metadata["parameter"].kind == "of my own"


def test_the_largest_number():
    for allowed, expected in (
        ((Number(int, 0, 7), Choice("a")), 7),
        ((Number(int, 0), Number(int, 0, 9)), 9),
        ((Number(float, 0, 7), Number(int, 0)), None),
        ((Choice("a"),), None),
    ):
        assert param(0, allowed, "").metadata["parameter"].most == expected


# Defaults, and of which a model file, a training that goes on, and the command know.
DEFAULTS = {
    "recipe": "default", "radius": 8.0, "max_num_nbr": 12, "conv": "auto", "n_conv": 3,
    "atom_fea_len": 64, "h_fea_len": 128, "n_h": 1, "pooling": "mean",
    "composition_baseline": "auto", "dropout": "auto", "lr": "auto", "optimizer": "auto",
    "weight_decay": "auto", "max_epochs": "auto", "batch_size": "auto", "loss": "auto",
    "cls_weight": 0.1, "tasks": ("regression", "classification"), "init_from": "auto",
    "freeze": "none", "early_stopping": False, "validation_fraction": 0.1,
    "n_iter_no_change": "auto", "warm_start": False, "n_estimators": 1, "n_jobs": None,
    "on_error": "raise", "callbacks": None, "random_state": None,
    "device": "auto", "verbose": 0, "atom_features": None, "net_params": None,
    "schedule": "auto", "max_grad_norm": "auto", "ema_decay": "auto", "heads": "shared",
    "precision": "float32", "element_embedding": "auto", "max_batch_sites": None,
    "conv_lr_factor": 1.0, "compile": False,
}  # fmt: skip


def test_defaults():
    found = {
        each.name: each.default for each in (*fields(MultiTaskParameters), *fields(NetParameters))
    }
    assert found == DEFAULTS


def test_what_may_change_while_a_training_goes_on_and_what_files_hold():
    facts = all_declared(MultiTaskParameters) | all_declared(ClassifierParameters)
    kinds = {None: set(), "never": set(), "free": set()}
    for name, each in facts.items():
        kinds[each.change].add(name)
    assert kinds["never"] == {
        "atom_fea_len", "compile", "composition_baseline", "conv", "conv_lr_factor",
        "element_embedding", "h_fea_len", "heads", "max_num_nbr", "n_conv", "n_h", "net_params",
        "optimizer", "pooling", "precision", "radius", "recipe", "tasks",
    }  # fmt: skip
    assert kinds["free"] == {
        "batch_size", "callbacks", "cls_weight", "dropout", "early_stopping", "ema_decay", "loss",
        "lr", "max_batch_sites", "max_epochs", "max_grad_norm", "n_iter_no_change", "schedule",
        "weight_decay",
    }  # fmt: skip
    not_in_files = {name for name, each in facts.items() if not each.in_file}
    assert not_in_files == {"n_jobs", "compile", "verbose", "device"}
    assert {name for name, each in facts.items() if each.of_net} == {
        "batch_size", "compile", "lr", "max_batch_sites", "max_epochs", "max_grad_norm",
        "precision", "schedule",
    }  # fmt: skip
    assert (MAX_RADIUS, MAX_NEIGHBORS) == (10_000, 1_000)


def test_options_of_the_command_by_their_headings():
    facts = all_declared(MultiTaskParameters) | all_declared(ClassifierParameters)
    groups, aliases = {}, {}
    for name, each in facts.items():
        if each.option:
            groups.setdefault(each.option.group, []).append(name)
            aliases[name] = each.option.aliases
            assert each.option.help.endswith(".")
    assert {group: sorted(names) for group, names in groups.items()} == {
        "Crystals": ["max_num_nbr", "on_error", "radius"],
        "Machine": ["device", "n_jobs"],
        "Network": [
            "atom_fea_len", "conv", "dropout", "h_fea_len", "n_conv", "n_h", "pooling",
        ],
        "Start": ["conv_lr_factor", "freeze", "init_from"],
        "Training": [
            "batch_size", "cls_weight", "loss", "lr", "max_epochs", "n_estimators", "optimizer",
            "random_state", "recipe", "schedule", "weight_decay",
        ],
    }  # fmt: skip
    assert {name: words for name, words in aliases.items() if words} == {
        "max_epochs": ("--epochs",),
        "batch_size": ("-b",),
        "optimizer": ("--optim",),
        "random_state": ("--seed",),
        "n_jobs": ("-j",),
    }


def test_words_and_types_that_are_allowed():
    found = {
        name: each.kind
        for name, each in (
            all_declared(MultiTaskParameters) | all_declared(ClassifierParameters)
        ).items()
    }
    for name, expected in {
        "recipe": '{"default", "paper"}',
        "conv": '"auto" or str',
        "optimizer": '{"auto", "adamw", "adam", "sgd"} or torch optimizer class',
        "weight_decay": 'float, "auto" or None',
        "freeze": '{"none", "convs"} or int',
        "on_error": '{"raise", "nan"}',
        "schedule": '{"auto", "one_cycle", "constant"}',
        "heads": '{"shared", "separate"}',
        "precision": '{"float32", "bfloat16", "float64"}',
        "max_batch_sites": "int or None",
        "compile": "bool",
        "class_weight": 'dict, "balanced" or None',
    }.items():
        assert found[name] == expected


@pytest.mark.parametrize("cls", [CGCNNRegressor, CGCNNClassifier, CGCNNMultiTask])
def test_numbers_of_workers(cls):
    for n_jobs in (None, 1, 8, -1, -3):
        validate_parameter_constraints(constraints(cls), {"n_jobs": n_jobs}, "X")
    for n_jobs in (0, 1.5, "2"):
        with pytest.raises(InvalidParameterError, match="The 'n_jobs' parameter"):
            validate_parameter_constraints(constraints(cls), {"n_jobs": n_jobs}, "X")


@pytest.mark.parametrize("cls", [CrystalGraphTransformer, CGCNNRegressor, CGCNNMultiTask])
def test_crystals_are_what_scikit_learn_is_told_of(cls):
    tags = get_tags(cls())
    found = tags.input_tags
    assert (found.string, found.one_d_array, found.two_d_array) == (True, True, False)
    assert tags.requires_fit == (cls is not CrystalGraphTransformer)
    assert tags.target_tags.required == (cls is not CrystalGraphTransformer)


def test_the_page_of_an_estimator():
    html = CGCNNRegressor()._repr_html_()
    assert "https://skcgcnn.github.io/skcgcnn/generated/skcgcnn.CGCNNRegressor.html" in html
