"""How torch's threads wait, and how many there are."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from skcgcnn import CGCNNRegressor
from skcgcnn._threads import threads_for

WORDS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
SHOW = f"import os; print(*[os.environ.get(name) for name in {WORDS!r}])"


def shown(code, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in WORDS}
    command = [sys.executable, "-c", f"{code}; {SHOW}"]
    done = subprocess.run(command, env=kept | environment, check=True, capture_output=True)
    return done.stdout.decode().split()


def test_threads_wait_briefly_by_default():
    assert shown("import skcgcnn") == ["None", "500", "0"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"GOMP_SPINCOUNT": "7"}, ["None", "7", "0"]),
        ({"KMP_BLOCKTIME": "30"}, ["None", "500", "30"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", "None", "None"]),
    ],
)
def test_the_environment_of_the_user_is_kept(environment, expected):
    assert shown("import skcgcnn", **environment) == expected


def test_nothing_changes_where_torch_came_first():
    assert shown("import torch, skcgcnn") == ["None"] * 3


@pytest.mark.parametrize(("size", "expected"), [(100, 1), (10**6, 2)])
def test_little_work_has_one_thread(size, expected):
    torch.set_num_threads(2)
    try:
        with threads_for(size):
            assert torch.get_num_threads() == expected
        with pytest.raises(ZeroDivisionError), threads_for(size):
            _ = 1 / 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_a_fit_leaves_the_number_of_threads(graphs, energies, tiny):
    torch.set_num_threads(2)
    try:
        two = CGCNNRegressor(**tiny).fit(graphs, energies).predict(graphs)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    np.testing.assert_array_equal(two, CGCNNRegressor(**tiny).fit(graphs, energies).predict(graphs))
