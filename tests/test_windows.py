"""What Windows lacks is not needed: here it is taken away before skcgcnn is imported."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPT = """
import mmap
import os
import shutil
import sys
from pathlib import Path

import skorch  # and torch, which know this system by another name

sys.modules["fcntl"] = None  # its import fails
for name in ("fork", "register_at_fork", "posix_fallocate", "posix_fadvise", "fchmod"):
    if hasattr(os, name):
        delattr(os, name)
if hasattr(mmap, "MADV_DONTNEED"):
    del mmap.MADV_DONTNEED

import skcgcnn
from skcgcnn import CGCNNRegressor
from skcgcnn.datasets import load_sample_regression
from skcgcnn.stores import featurize, open_store

# Windows renames no folder with an open file.
rename = Path.rename
def refuse(self, target):
    if "shards" in self.name:
        raise PermissionError("it is open")
    return rename(self, target)
Path.rename = refuse

paths, y = load_sample_regression(return_X_y=True)
est = CGCNNRegressor(max_epochs=1, n_conv=1, batch_size=32).fit(paths[:32], y[:32])
est.save("model.safetensors")
assert skcgcnn.load("model.safetensors").predict(paths[:3]).shape == (3,)
Path("cifs").mkdir()
for path in paths[:5]:
    shutil.copy(path, "cifs")
featurize("cifs", "store")
assert len(open_store("store").graphs) == 5
"""


@pytest.mark.slow
def test_without_what_windows_lacks(tmp_path):
    root = str(Path(__file__).parents[1])
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        check=True,
        timeout=300,
    )
