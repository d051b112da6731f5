"""What errors and remarks say."""

import numpy as np
import pytest

from skcgcnn._parameter_lists import made_with, may_be_in_file, unknown_parameter, with_net_params
from skcgcnn._parameters import MultiTaskParameters, NumberParameters
from skcgcnn._sklearn import as_memory
from skcgcnn.crystals import Crystal
from skcgcnn.exceptions import (
    DataError,
    ProcessError,
    StructureError,
    TransientReadError,
    UnseenElementsWarning,
    describe_failures,
    describe_notes,
)


def failed(n):
    return [(f"{i}.cif", f"is broken\x1b {i}") for i in range(n)]


@pytest.mark.parametrize(("n", "more"), [(1, 0), (10, 0), (11, 1), (25, 15)])
def test_ten_failures_are_named(n, more):
    error = StructureError.from_failures(failed(n), 30)
    lines = str(error).splitlines()
    assert lines[0] == f"{n} of 30 crystals cannot be turned into graphs:"
    assert lines[1] == "  0.cif: is broken\\x1b 0"
    assert len(lines) == 1 + min(n, 10) + (more > 0) + 1
    assert (f"  and {more} more" in lines) == (more > 0)
    assert lines[-1] == "Repair or remove them, or pass on_error='nan' to continue without them."
    assert error.failures == failed(n)
    assert StructureError("alone").failures == ()
    text = describe_failures(failed(n), 30, into="features")
    assert text.splitlines()[0] == f"{n} of 30 crystals cannot be turned into features:"
    assert not text.endswith("\n")


def test_long_values_of_a_damaged_file_are_told_in_part():
    assert str(StructureError("a" * 5000)) == "a" * 5000
    text = str(TransientReadError(f"x{'1' * 200_000}y\nsecond"))
    first, second = text.split("\n")
    assert (first[:2], first[-2:], second) == ("x1", "1y", "second")
    assert len(first) == 5000
    assert " ... " in first
    assert StructureError().args == ()
    sites = [((11, 1.0),)]
    (note,) = Crystal(np.eye(3), np.zeros((1, 3)), sites, (f"odd {'1' * 200_000}",)).notes
    assert len(note) == 5000


def test_remarks_are_summed_up_by_their_causes():
    notes = [("a.cif", "has 3 sites"), ("b.cif", "has 4 sites"), ("a.cif", "is\x07 odd")]
    head = "2 of 9 crystals were read with remarks:"
    assert describe_notes(notes, 9) == (
        f"{head} a.cif: has 3 sites (and 1 more such); a.cif: is\\x07 odd; verbose=2 lists all"
    )
    assert describe_notes(notes, 9, complete=True) == (
        f"{head}\n  a.cif: has 3 sites\n  b.cif: has 4 sites\n  a.cif: is\\x07 odd"
    )
    assert describe_notes(notes[:1], 9) == (
        "1 of 9 crystals were read with remarks: a.cif: has 3 sites"
    )
    causes = [("a.cif", word) for word in ("p", "q", "r", "s")]
    assert "; and 1 other causes; verb" in describe_notes(causes, 1)
    assert "other causes" not in describe_notes(causes[:3], 1)


def test_who_catches_what():
    assert issubclass(DataError, ValueError)
    assert issubclass(StructureError, ValueError)
    assert issubclass(TransientReadError, StructureError)
    assert issubclass(ProcessError, RuntimeError)
    assert issubclass(UnseenElementsWarning, UserWarning)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("heads", "; it goes into net_params={'heads': ...}"),
        ("merge_tol", "; it is one of CrystalGraphTransformer, whose graphs the estimator takes"),
        ("neighbor_ties", "; it is one of CrystalGraphTransformer, whose graphs the estimator"),
        ("seed", "; random_state is what you may mean"),
        ("max_epoch", "; max_epochs is what you may mean"),
        ("learning_rate", "; lr is what you may mean"),
        ("xyz", ". Valid parameters are: lr, max_epochs, random_state"),
    ],
)
def test_names_that_no_parameter_has(name, hint):
    text = unknown_parameter(name, "CGCNNRegressor", ["lr", "max_epochs", "random_state"])
    assert text.startswith(f"Invalid parameter {name!r} for estimator CGCNNRegressor{hint}")


def test_parameters_of_the_net_beside_the_others():
    flat = with_net_params({"lr": 1.0, "net_params": {"ema_decay": 0.5, "optimizer__eps": 1.0}})
    assert (flat["lr"], flat["ema_decay"], flat["heads"]) == (1.0, 0.5, "shared")
    assert flat["net_params"] == {"optimizer__eps": 1.0}
    for empty in ({}, {"net_params": None}, {"net_params": {"ema_decay": 0.5}}):
        assert with_net_params(empty)["net_params"] is None
    given = {"ema_decay": 0.5}
    with_net_params({"net_params": given})
    assert given == {"ema_decay": 0.5}


def test_which_parameters_a_fit_keeps_and_a_file_may_hold():
    kept = made_with(NumberParameters)
    assert {"lr", "conv", "schedule", "ema_decay", "max_num_nbr"} <= kept
    assert not {"verbose", "n_jobs", "random_state", "device", "tasks"} & kept
    assert made_with(MultiTaskParameters) - kept >= {"cls_weight"}
    for name in ("schedule", "optimizer__eps"):
        assert may_be_in_file(name)
    for name in ("callbacks__x", "compile", "compile__mode", "of_nothing"):
        assert not may_be_in_file(name)


def test_a_cache_is_a_folder_or_what_has_one(tmp_path):
    assert as_memory(None) is None
    for given in (tmp_path, str(tmp_path)):
        assert as_memory(given).location == str(tmp_path)
    memory = as_memory(str(tmp_path))
    assert as_memory(memory) is memory
    with pytest.raises(ValueError, match="memory"):
        as_memory(3)
