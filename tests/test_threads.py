"""How many of torch's threads work, and how they wait."""

import os
import subprocess
import sys
import threading

import pytest
import torch
from skorch.callbacks import Callback

from skcgcnn import CGCNNRegressor
from skcgcnn.nn import at_most

WORDS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
SHOW = f"import os; print(*[os.environ.get(name) for name in {WORDS!r}])"


def shown(code, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in WORDS}
    command = [sys.executable, "-c", f"{code}; {SHOW}"]
    done = subprocess.run(command, env=kept | environment, check=True, capture_output=True)
    return done.stdout.decode().split()


def test_threads_wait_briefly_by_default():
    assert shown("import skcgcnn") == ["None", "1000", "0"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"GOMP_SPINCOUNT": "7"}, ["None", "7", "0"]),
        ({"KMP_BLOCKTIME": "30"}, ["None", "1000", "30"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", "None", "None"]),
    ],
)
def test_the_environment_of_the_user_is_kept(environment, expected):
    assert shown("import skcgcnn", **environment) == expected


def test_nothing_changes_where_torch_came_first():
    assert shown("import torch, skcgcnn") == ["None"] * 3


class Count(Callback):
    """Remembers how many threads trained."""

    def __init__(self, seen):
        self.seen = seen

    def on_batch_end(self, net, **kwargs):
        self.seen.append(torch.get_num_threads())


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def threads_of_a_fit(graphs, energies, **params):
    seen = []
    est = CGCNNRegressor(max_epochs=1, device="cpu", random_state=0, **params)
    est.set_params(callbacks=[("count", Count(seen))])
    est.fit(graphs, energies)
    assert torch.get_num_threads() == 2
    return set(est.net_.callbacks[0][1].seen)


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
def test_small_batches_are_trained_by_one_thread_and_large_ones_by_all(
    graphs, energies, monkeypatch
):
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    gated = {"conv": "gated", "atom_fea_len": 2048}
    assert threads_of_a_fit(graphs, energies, batch_size=2) == {1}
    assert threads_of_a_fit(graphs, energies, batch_size=len(graphs), **gated) == {2}


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
def test_one_thread_trains_where_threads_wait_long_for_each_other(graphs, energies, monkeypatch):
    for word in WORDS:
        monkeypatch.delenv(word, raising=False)
    gated = {"conv": "gated", "atom_fea_len": 2048}
    assert threads_of_a_fit(graphs, energies, batch_size=len(graphs), **gated) == {1}


@pytest.mark.usefixtures("two_threads")
def test_a_limit_holds_for_its_own_thread_of_python_alone():
    seen = []
    with at_most(1), at_most(3):
        other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        other.start()
        other.join()
        seen.append(torch.get_num_threads())
    assert [*seen, torch.get_num_threads()] == [2, 1, 2]
