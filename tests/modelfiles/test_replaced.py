"""Model files that are replaced while they are read: one of both, or an error."""

import subprocess
import sys

import pytest

from skcgcnn import CGCNNRegressor
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles import _read, _torch_file, digest_model, read_model_file

TRUNCATED = """
import json, pathlib, sys
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles import _safetensors, read_model_file

path, loads = pathlib.Path(sys.argv[1]), json.loads

class Other:
    dumps = json.dumps

    def loads(text):
        with path.open("r+b") as file:
            file.truncate(1000)
        return loads(text)

_safetensors.json = Other
try:
    read_model_file(path)
except DataError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def models(graphs, energies):
    params = {"recipe": "paper", "max_epochs": 1, "atom_fea_len": 8, "h_fea_len": 8}
    return [CGCNNRegressor(**params, random_state=i).fit(graphs, energies) for i in range(2)]


@pytest.mark.slow
def test_truncated_while_it_is_read(models, tmp_path):
    path = tmp_path / "model.safetensors"
    models[0].save(path)
    command = [sys.executable, "-c", TRUNCATED, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True)  # no bus error
    assert "it is damaged or of another kind" in told.stdout


def test_replaced_between_check_and_load(models, tmp_path, monkeypatch):
    path, other = tmp_path / "model.pth.tar", tmp_path / "other.pth.tar"
    for model, file in zip(models, (path, other), strict=True):
        model.save(file, layout="cgcnn")
    digests = [digest_model(read_model_file(file)) for file in (path, other)]
    assert digests[0] != digests[1]
    check = _torch_file._check_pickles

    def replace(file):
        path.write_bytes(other.read_bytes())
        check(file)

    monkeypatch.setattr(_torch_file, "_check_pickles", replace)
    assert digest_model(read_model_file(path)) == digests[0]


def test_a_file_that_is_too_large_is_not_opened(tmp_path):
    path = tmp_path / "model.pth"
    with path.open("wb") as file:
        file.truncate(_read._MOST_BYTES + 1)
    with pytest.raises(DataError, match="is larger than 4 GB, as no model is"):
        read_model_file(path)
