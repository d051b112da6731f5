"""How torch's threads wait."""

import os
import subprocess
import sys

import pytest

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
