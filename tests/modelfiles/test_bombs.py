"""Small model files that would take much time or memory."""

import io
import json
import pickle
import time

import numpy as np
import pytest
import torch
from safetensors.torch import save

import skcgcnn
from skcgcnn import CGCNNRegressor
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles import write_checkpoint
from skcgcnn.modelfiles._json import from_plain, to_plain
from skcgcnn.modelfiles._pickle_size import check_tuples


def test_nested_tuples_as_a_key(tmp_path):
    key = ()
    for _ in range(60):
        key = (key, key)
    content = {"args": {}, "state_dict": {}, "x": [key]}
    for new in (True, False):
        path = tmp_path / "m.pth.tar"
        torch.save(content, path, _use_new_zipfile_serialization=new)
        start = time.monotonic()
        with pytest.raises(DataError, match="tuples are nested too deeply"):
            skcgcnn.load(path)
        assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("start", "step"),
    [(b"(t", b"2\x86"), (b")", b"q\x00h\x00\x86"), (b")", b"q\x002\x87h\x00\x86")],
    ids=["doubled on the stack", "doubled from the memo", "both"],
)
def test_pickles_of_tuples_that_double(start, step):
    few, many = (b"\x80\x02" + start + step * n + b"." for n in (3, 60))
    check_tuples(io.BufferedReader(io.BytesIO(few)), 1)
    with pytest.raises(ValueError, match="nested too deeply"):
        check_tuples(io.BufferedReader(io.BytesIO(many)), 1)


def test_texts_take_the_memory_of_their_letters():
    array = from_plain({"dtype": "<U9999", "values": ["a", "bc"] * 1000})
    assert array.nbytes < 20_000
    assert array[1] == "bc"
    with pytest.raises(ValueError, match="too long texts"):
        from_plain({"dtype": "<U9", "values": ["a" * 10_000, *("b" * 10_000)]})
    for texts in (np.array(["x", "yz"]), np.array(["a", 1], dtype=object)):
        np.testing.assert_array_equal(from_plain(to_plain(texts)), texts)


@pytest.mark.slow
def test_a_million_tensors(tmp_path):
    one = save({"a": torch.zeros(1)})
    length = int.from_bytes(one[:8], "little")
    header, data = json.loads(one[8 : 8 + length]), one[8 + length :]
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = {f"t{i}": empty for i in range(150_000)} | header
    header["__metadata__"] = {"skcgcnn": "{}"}
    text = json.dumps(header).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    with pytest.raises(DataError, match="holds 150001 tensors"):
        skcgcnn.load(path)


def test_a_model_whose_predictions_are_infinite(tiny, graphs, energies, tmp_path):
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    est.targets_ = tuple(
        type(t)(**{**vars(t), "scale": 1e308, "mean": 1e308}) for t in est.targets_
    )
    est.net_.module_.average.head.fc_out.bias.data.fill_(1e30)
    est.save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="prediction of 'target' for crystal 0 is infinite"):
        skcgcnn.load(tmp_path / "m.safetensors").predict(graphs)


@pytest.mark.parametrize("weight", [3e38, np.nan])
def test_a_model_whose_embeddings_are_no_numbers(weight, tiny, graphs, energies):
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    est.net_.module_.average.head.conv_to_fc.weight.data.fill_(weight)
    est.net_.module_.average.head.conv_to_fc.bias.data.fill_(weight)
    with pytest.raises(ValueError, match="the embedding for crystal 0 is infinite"):
        est.transform(graphs)


@pytest.mark.parametrize("part", ["embedding.weight", "head.fc_out.bias"])
def test_a_model_whose_predictions_or_deviations_are_no_numbers(
    part, tiny, graphs, energies, tmp_path
):
    est = CGCNNRegressor(**tiny, loss="gaussian_nll").fit(graphs, energies)
    est.net_.module_.average.state_dict()[part].fill_(3e38 if "weight" in part else 1e20)
    est.save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"is not a number|deviation of 'target' for .* infinite"):
        skcgcnn.load(tmp_path / "m.safetensors").predict(graphs, return_std=True)


def test_changed_bytes_in_a_checkpoint_are_noticed(tiny, graphs, energies, tmp_path):
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    path = tmp_path / "m.pth.tar"
    write_checkpoint(est._get_model_state(training=True), path)
    skcgcnn.load(path)
    content = bytearray(path.read_bytes())
    weights = est.net_.module_.average.head.fc_out.weight.detach().numpy().tobytes()
    content[content.index(weights) + 1] ^= 64
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged or of another kind"):
        skcgcnn.load(path)


@pytest.mark.parametrize(("n", "is_read"), [(1000, True), (1001, False)])
def test_how_many_letters_an_array_may_take(n, is_read):
    value = {"dtype": "<U9", "values": ["a" * 10_000, *("b" * (n - 1))]}
    if is_read:
        assert len(from_plain(value)) == n
    else:
        with pytest.raises(ValueError, match="an array holds too long texts"):
            from_plain(value)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_how_much_a_tuple_may_hold(protocol):
    for n, is_read in ((9_999, True), (10_000, False)):
        file = io.BufferedReader(io.BytesIO(pickle.dumps(tuple(range(n)), protocol)))
        if is_read:
            check_tuples(file)
        else:
            with pytest.raises(ValueError, match="tuples are nested too deeply"):
                check_tuples(file)
    # Lists and dicts are no keys.
    value = {"a": [list(range(20_000)), dict.fromkeys(range(20_000), (1, 2))]}
    check_tuples(io.BufferedReader(io.BytesIO(pickle.dumps(value, protocol))))


def test_all_pickles_of_a_file_are_looked_through():
    small, large = pickle.dumps((1,), 2), pickle.dumps(tuple(range(20_000)), 2)
    for n in (1, 2):
        check_tuples(io.BufferedReader(io.BytesIO(small + large)), 1)
        check_tuples(io.BufferedReader(io.BytesIO(n * small)), 4)
        with pytest.raises(ValueError, match="nested too deeply"):
            check_tuples(io.BufferedReader(io.BytesIO(n * small + large)), n + 1)
