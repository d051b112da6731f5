"""Settings as they are typed."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from skcgcnn.training import Settings

HOSTILE = "a\x1b[31m 'q' \"r\" $x$ `y` \\n\nnew é\u202eend!"


def test_a_name_that_begins_like_an_option_is_typed_as_a_path():
    assert Settings("-data").typed() == ["./-data"]


@pytest.mark.skipif(os.name == "nt", reason="no shell")
def test_hostile_names_reach_a_program_through_a_shell_as_they_are():
    typed = " ".join(Settings(HOSTILE, target=(HOSTILE,)).typed())
    assert typed.isprintable()
    words = ["bash", "-c", f"printf '%s|' {typed}"]
    found = subprocess.run(words, capture_output=True, check=True)
    assert found.stdout.decode() == f"{HOSTILE}|--target|{HOSTILE}|"


def test_numbers_of_numpy_become_those_of_python():
    """A checkpoint holds the settings, and no pickles of NumPy."""
    inner = {"composition_baseline": np.bool_(True), "betas": (np.float64(0.5), [np.int8(2)])}
    params = {"n_conv": np.int64(2), "conv": np.str_("gated"), "net_params": inner}
    found = Settings("data", folds=np.int64(3), params=params)
    assert repr(found.params) == (
        "{'n_conv': 2, 'conv': 'gated', "
        "'net_params': {'composition_baseline': True, 'betas': (0.5, [2])}}"
    )
    assert type(found.folds) is int
    named = {np.str_("init_from"): Path("m.pth"), "class_weight": {np.str_("a"): np.int8(1)}}
    found = Settings(Path("data"), target=np.array(["e"]), unit=["eV"], params=named)
    assert (found.data, found.target, found.unit) == ("data", ("e",), ("eV",))
    assert repr(found.params) == "{'init_from': 'm.pth', 'class_weight': {'a': 1}}"
    assert Settings("data", params={"random_state": None}).seed == 0
