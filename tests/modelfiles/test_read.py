"""Files from strangers: what is no model is refused, and nothing in it runs."""

import json
import re
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from checkpoints import save_checkpoint
from hostile import run_bounded
from models import MARK, Malicious, expanded, pickled, rezip, safetensors_header
from safetensors.torch import save_file
from typer.testing import CliRunner

import skcgcnn
from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.cli import app
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles import describe_model
from skcgcnn.modelfiles._json import from_plain, to_plain
from skcgcnn.modelfiles._read import read_model_file
from skcgcnn.modelfiles._safetensors import write_safetensors


@pytest.fixture(scope="module")
def est(graphs, energies):
    return CGCNNRegressor(
        recipe="paper",
        atom_fea_len=8,
        n_conv=1,
        h_fea_len=8,
        max_epochs=1,
        random_state=0,
        device="cpu",
    ).fit(graphs, energies)


def test_weights_come_in_one_order(est, tmp_path):
    est.save(tmp_path / "model.safetensors")
    for _ in range(3):
        weights = read_model_file(tmp_path / "model.safetensors").weights
        assert list(weights) == sorted(est.module_.state_dict())


@pytest.fixture
def official(est, tmp_path):
    """Return a weight file in the official layout, and its content."""
    path = tmp_path / "model.pth.tar"
    est.save(path, layout="cgcnn")
    return path, torch.load(path, weights_only=True)


@pytest.fixture
def refuse(monkeypatch, tmp_path, graphs, energies):
    monkeypatch.setenv(MARK, str(tmp_path / "executed"))

    def check(path, *, match):
        for opened in (skcgcnn.load, describe_model, CGCNNRegressor.from_pretrained):
            with pytest.raises(DataError, match=match) as caught:
                opened(path)
            assert str(path) in str(caught.value)
        with pytest.raises(DataError, match=match):
            CGCNNRegressor(init_from=path, device="cpu").fit(graphs, energies)
        assert not (tmp_path / "executed").exists()

    return check


@pytest.mark.parametrize("place", ["alone", "args", "state_dict", "normalizer", "legacy"])
def test_malicious_pickle(official, refuse, place):
    path, content = official
    if place == "alone":
        path.write_bytes(pickled(Malicious()))
    elif place == "legacy":
        torch.save({**content, "args": Malicious()}, path, _use_new_zipfile_serialization=False)
    else:
        torch.save({**content, place: Malicious()}, path)
    refuse(path, match=r"holds posix\.mkdir, which is more than tensors and plain values")


def test_malicious_pickles_would_run(official, tmp_path, monkeypatch):
    # Or the test above would pass whatever the library does.
    monkeypatch.setenv(MARK, str(tmp_path / "executed"))
    path, content = official
    torch.save({**content, "args": Malicious()}, path)
    torch.load(path, weights_only=False)
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["official", "checkpoint", "saved"])
def test_truncated(est, refuse, tmp_path, kind, share):
    path = tmp_path / "model"
    {
        "official": lambda: est.save(path, layout="cgcnn"),
        "checkpoint": lambda: save_checkpoint(est, path),
        "saved": lambda: est.save(path),
    }[kind]()
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refuse(path, match="damaged or of another kind|damaged, of another kind")


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b'{"args": {"task": "regression"}}', b"cif_id,energy\na,1\n", b"\x00" * 100],
    ids=["empty", "json", "json model", "csv", "zeros"],
)
def test_other_kinds_of_file(refuse, tmp_path, data):
    (tmp_path / "file").write_bytes(data)
    refuse(tmp_path / "file", match="damaged or of another kind|damaged, of another kind")


def test_pickles_of_estimators_are_not_opened(tmp_path):
    path = tmp_path / "model.joblib"
    path.write_bytes(pickled(Malicious.__name__))
    for opened in (skcgcnn.load, CGCNNRegressor.from_pretrained):
        with pytest.raises(DataError, match="a pickle can run code"):
            opened(path)
    assert "cannot be read without running it" in describe_model(path)["kind"]


def test_other_content(official, refuse):
    path, content = official
    torch.save([1, 2], path)
    refuse(path, match="holds a list, not a model")
    torch.save({"weights": content["state_dict"]}, path)
    refuse(path, match="not a model of CGCNN or skcgcnn")
    for key in ("state_dict", "normalizer", "epoch"):
        torch.save({name: value for name, value in content.items() if name != key}, path)
        refuse(path, match=key)


def test_sizes_that_do_not_match(official, refuse):
    path, content = official
    args, weights = content["args"], content["state_dict"]
    # None of these may be built before it is compared with what is there.
    for name in ("atom_fea_len", "n_conv", "h_fea_len", "n_h"):
        torch.save({**content, "args": {**args, name: 10**12}}, path)
        refuse(path, match=f"{name}=1000000000000")
        torch.save({**content, "args": {**args, name: 9}}, path)
        refuse(path, match=f"size mismatch: {name}=9")
    huge = {**weights, "conv_to_fc.weight": expanded((10**7, 10**7))}
    torch.save({**content, "state_dict": huge}, path)
    refuse(path, match=r"conv_to_fc\.weight is smaller in the file than its shape says")
    torch.save({**content, "state_dict": {**weights, "fc_out.bias": torch.zeros(2)}}, path)
    refuse(path, match="size mismatch: n_outputs=1, but the network has 2")
    torch.save({**content, "state_dict": {**weights, "fc_out.bias": [0.0]}}, path)
    refuse(path, match=r"fc_out\.bias is not a tensor")


def test_record_that_is_smaller_than_its_tensor(tmp_path, refuse):
    path, forged = tmp_path / "small", tmp_path / "forged"
    torch.save({"args": torch.zeros(10)}, path)
    size, huge = b"K\x0a", b"J" + (10**9).to_bytes(4, "little")
    rezip(path, forged, lambda name, data: data.replace(size, huge) if "pkl" in name else data)
    refuse(forged, match="damaged or of another kind")


@pytest.mark.parametrize("kind", ["official", "checkpoint"])
def test_a_member_that_is_marked_as_a_folder(est, tmp_path, refuse, kind):
    """torch gives its tensor what happens to be in memory."""
    path = tmp_path / "model"
    est.save(path, layout="cgcnn") if kind == "official" else save_checkpoint(est, path)
    content = bytearray(path.read_bytes())
    begins = [found.start() for found in re.finditer(b"PK\x01\x02", content)]
    for begin in (begins[2], begins[-3]):
        content[begin + 38] ^= 0x10
        path.write_bytes(content)
        refuse(path, match="damaged or of another kind")
        content[begin + 38] ^= 0x10


@pytest.mark.parametrize("name", ["data.pkl", "DATA.PKL", "data/0"])
def test_two_members_of_one_name(est, tmp_path, refuse, name):
    """torch takes the first, zipfile the last, so that one of them was not looked at."""
    est.save(tmp_path / "model", layout="cgcnn")
    with zipfile.ZipFile(tmp_path / "model") as file:
        content = {one.filename: file.read(one) for one in file.filelist}
    own = next(one for one in content if one.endswith(name.lower()))
    for n in range(2):
        members = [(own[: -len(name)] + name, b"other"), *content.items()][:: 1 - 2 * n]
        with zipfile.ZipFile(tmp_path / "forged", "w") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of the name that comes twice
            for one, data in members:
                file.writestr(one, data)
        refuse(tmp_path / "forged", match="damaged or of another kind")


def test_a_member_whose_name_is_no_text(tmp_path, refuse):
    with zipfile.ZipFile(tmp_path / "model", "w") as file:
        file.writestr("é/data.pkl", b"")
    content = (tmp_path / "model").read_bytes()
    (tmp_path / "model").write_bytes(content.replace("é".encode(), b"\xa9\xa9"))
    refuse(tmp_path / "model", match="damaged or of another kind")


def test_packed_archive(official, refuse, tmp_path):
    # 64 MB that take 64 kB; torch itself would unpack them.
    path, content = official
    torch.save({**content, "ballast": torch.zeros(2**24)}, path)
    rezip(path, tmp_path / "bomb", compression=zipfile.ZIP_DEFLATED)
    assert (tmp_path / "bomb").stat().st_size < 10**6
    refuse(tmp_path / "bomb", match="compressed archive")


def test_another_architecture(official, refuse):
    path, content = official
    other = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).state_dict()
    torch.save({**content, "state_dict": dict(other)}, path)
    refuse(path, match="embedding.weight")
    weights = dict(content["state_dict"])
    weights["attention.weight"] = torch.zeros(3)
    torch.save({**content, "state_dict": weights}, path)
    refuse(path, match=r"unexpected: \['attention\.weight'\]")
    del weights["attention.weight"], weights["convs.0.bn1.weight"]
    torch.save({**content, "state_dict": weights}, path)
    refuse(path, match=r"weights missing: \['convs\.0\.bn1\.weight'\]")


@pytest.fixture
def saved(est, tmp_path):
    """Return a function that edits the JSON of a saved model."""
    path = tmp_path / "model.safetensors"
    est.save(path)
    data = path.read_bytes()

    def edit(change):
        def apply(header):
            content = json.loads(header["__metadata__"]["skcgcnn"])
            change(content)
            header["__metadata__"]["skcgcnn"] = json.dumps(content)
            return header

        path.write_bytes(safetensors_header(data, apply))
        return path

    return edit


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.update(version="1000.0.0"), r"written by skcgcnn 1000\.0\.0.*update"),
        (lambda c: c.pop("params"), "params"),
        (lambda c: c["params"].update(n_conv=2), "size mismatch: n_conv=2"),
        (lambda c: c["params"].update(radius=9.0), "size mismatch"),
        (lambda c: c["params"].update(radius=1e9), "radius=1e\\+09"),
        (lambda c: c["params"].update(radius=float("inf")), "not a model"),
        (lambda c: c.pop("network"), "was written before files held the network"),
        (lambda c: c["network"].pop("n_h"), "a network with"),
        (lambda c: c["network"].update(seed=1), "a network with"),
        (lambda c: c["network"].update(n_conv=10**9), "n_conv=1000000000"),
        (lambda c: c["network"].update(n_conv=90_000), "n_conv=90000, but the file holds"),
        (lambda c: c["network"].update(n_h=True), "n_h=True"),
        (lambda c: c["network"].update(conv="os.system"), "conv="),
        (lambda c: c["network"].update(pooling=["mean"]), r"pooling=\['mean'\]"),
        (lambda c: c["network"].update(heads=[10**9]), "heads=1000000000"),
        (lambda c: c["network"].update(heads=[2]), "heads of"),
        (lambda c: c["network"].update(radius=1e9), r"radius=1e\+09"),
        (lambda c: c.update(targets=2 * c["targets"]), "y_ndim=1 with 2 targets"),
        (lambda c: c.update(targets=2 * c["targets"], y_ndim=2), "size mismatch: n_outputs=2"),
        (lambda c: c["graph_options"].update(n_features=10**12), "n_features=1000000000000"),
        (lambda c: c["targets"][0].update(classes={"call": "os.system"}), "unknown value"),
        (lambda c: c["targets"][0].update(kind="ranking"), "unknown kind of target 'ranking'"),
        (lambda c: c["targets"][0].pop("mean"), "mean"),
        (lambda c: c["auto"]["dict"].append(["x", 1]), "unknown parameters: x"),
        (lambda c: c["auto"]["dict"].append(["lr", float("inf")]), "lr=inf"),
    ],
)
def test_saved_content_that_is_not_as_it_should_be(saved, refuse, change, match):
    refuse(saved(change), match=match)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.update(estimator="os.system"), "this version does not know"),
        (lambda c: c["params"].update(criterion="x"), "criterion"),
        (lambda c: c["params"].update(lr=-1), "it is not as it was written"),
        (lambda c: c["params"].update(__class__="x"), "__class__"),
    ],
)
def test_saved_estimator_that_cannot_be(saved, change, match):
    path = saved(change)
    with pytest.raises(DataError, match=match):
        skcgcnn.load(path)


def test_safetensors_of_others(tmp_path, refuse):
    save_file({"a": torch.zeros(2)}, tmp_path / "x.safetensors")
    refuse(tmp_path / "x.safetensors", match="a safetensors file, but no model of skcgcnn")


def test_official_numpy_scalars_are_the_only_exception(official, refuse):
    path, content = official
    torch.save({**content, "best_mae_error": np.float64(0.5)}, path)
    assert skcgcnn.load(path).n_iter_ == 1
    assert describe_model(path)["validation MAE"] == "0.5"
    torch.save({**content, "best_mae_error": float("nan")}, path)
    assert "validation MAE" not in describe_model(path)
    torch.save({**content, "best_mae_error": np.arange(3)}, path)
    refuse(path, match="holds numpy")


def test_info_needs_no_training_data(est, tmp_path):
    est.save(tmp_path / "m.safetensors", targets=["energy"], units=["eV"], metrics={"MAE": 0.25})
    printed = CliRunner().invoke(app, ["info", str(tmp_path / "m.safetensors")]).output
    for words in ("energy (eV)", "24 crystals", "MAE", "0.25", "CGCNNRegressor", "skcgcnn 0."):
        assert words in printed


def nested(depth):
    value = 1
    for _ in range(depth):
        value = {"tuple": [value]}
    return value


# What a stranger may write into the JSON of a model: refused before anything is built.
HOSTILE = {
    "net_params that allocate": lambda c: c["params"].update(
        net_params={"dict": [["module__h_fea_len", 10**9]]}
    ),
    "net_params with a device": lambda c: c["params"].update(
        net_params={"dict": [["device", "cuda"]]}
    ),
    "a file for the features": lambda c: c["params"].update(atom_features="/etc/passwd"),
    "a billion neighbors": lambda c: c["params"].update(max_num_nbr=10**9),
    "a billion neighbors in graphs": lambda c: c["graph_options"].update(max_num_nbr=10**9),
    "features without a name": lambda c: c["graph_options"].update(atom_features=[]),
    "another file to start from": lambda c: c["params"].update(init_from="/etc/passwd"),
    "a callback": lambda c: c["params"].update(callbacks=["os.system"]),
    "a scale of three values": lambda c: c["targets"][0].update(scale=[1.0, 2.0, 3.0]),
    "a scale of 0": lambda c: c["targets"][0].update(scale=0.0),
    "a mean that is NaN": lambda c: c["targets"][0].update(mean=float("nan")),
    "a huge type": lambda c: c["targets"][0].update(
        kind="classification", classes={"dtype": "(100000000,)f8", "values": []}
    ),
    "a type with a field": lambda c: c["targets"][0].update(
        kind="classification", classes={"dtype": "V1000000000", "values": []}
    ),
    "a long text type": lambda c: c["targets"][0].update(
        kind="classification", classes={"dtype": "<U99999999", "values": ["a"]}
    ),
    "nested values": lambda c: c["params"].update(net_params=nested(200)),
    "nested keys": lambda c: c["params"].update(net_params={"dict": [[nested(10), 1]]}),
    "a list of metrics": lambda c: c.update(metrics=[1, 2]),
    "too many targets": lambda c: c.update(targets=c["targets"] * 20_000, y_ndim=2),
    "no targets": lambda c: c.update(targets=[]),
    "a long name": lambda c: c["targets"][0].update(name="x" * 10**6),
    "classes of a regressor": lambda c: c["targets"][0].update(
        kind="classification", classes={"dtype": "int64", "values": [0]}
    ),
    "a huge spread": lambda c: c["targets"][0].update(spread=1e308),
    "a spread of many digits": lambda c: c["targets"][0].update(spread=10**40),
    "a huge factor": lambda c: c["targets"][0].update(std_factor=1e200),
    "a factor that is a truth value": lambda c: c["targets"][0].update(std_factor=True),
    "an infinite learning rate": lambda c: c["params"].update(lr=float("inf")),
    "three dimensions": lambda c: c.update(y_ndim=3),
}


@pytest.mark.slow
def test_hostile_content(saved, tmp_path):
    paths = []
    for number, change in enumerate(HOSTILE.values()):
        paths.append(tmp_path / f"{number}.safetensors")
        paths[-1].write_bytes(saved(change).read_bytes())
    code = """
from skcgcnn.modelfiles import describe_model
from skcgcnn.modelfiles._json import from_plain, to_plain
for path in sys.argv[1:]:
    refused = 0
    for opened in (skcgcnn.load, describe_model, skcgcnn.CGCNNRegressor.from_pretrained):
        try:
            opened(path)
        except DataError as error:
            refused += 1
    print(refused)
"""
    refused = run_bounded(code, *paths, seconds=100, megabytes=500).split()
    assert dict(zip(HOSTILE, refused, strict=True)) == dict.fromkeys(HOSTILE, "3")


def test_deep_json(saved, tmp_path):
    path = saved(lambda c: None)
    data = path.read_bytes()
    deep = "[" * 100_000 + "]" * 100_000

    def change(header):
        header["__metadata__"]["skcgcnn"] = deep
        return header

    path.write_bytes(safetensors_header(data, change))
    with pytest.raises(DataError, match="no model of skcgcnn"):
        skcgcnn.load(path)


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("fc_out.weight", lambda t: t * torch.nan, "not finite"),
        ("fc_out.bias", lambda t: t / 0, "not finite"),
        ("convs.0.bn1.running_var", lambda t: -t - 1, "negative variance"),
        ("embedding.weight", lambda t: t.to(torch.complex64), "not of real numbers"),
        ("embedding.weight", lambda t: t.to(torch.int32), "not of real numbers"),
    ],
)
def test_weights_that_are_no_numbers(official, refuse, name, change, match):
    path, content = official
    weights = {**content["state_dict"], name: change(content["state_dict"][name])}
    torch.save({**content, "state_dict": weights}, path)
    refuse(path, match=match)


@pytest.mark.parametrize("normalizer", [{"mean": float("nan"), "std": 1.0}, {"mean": 0, "std": 0}])
def test_scales_that_are_none(official, refuse, normalizer):
    path, content = official
    torch.save({**content, "normalizer": normalizer}, path)
    refuse(path, match="mean .* and scale .* of a target")


def test_lines_of_info_cannot_be_forged(est, tmp_path):
    est.save(tmp_path / "model", targets=["energy\nofficial        yes, SHA-256\x1b[2J"])
    facts = describe_model(tmp_path / "model")
    assert all(value.isprintable() for value in facts.values())
    assert "official" not in facts


def test_info_where_a_fit_began_at_no_name(est, tmp_path):
    path = tmp_path / "model.safetensors"
    est.save(path)
    write_safetensors(replace(read_model_file(path), auto={"init_from": 0.5}), path)
    assert describe_model(path)["started from"] == "0.5"


def test_who_loads_decides_on_workers(graphs, energies, tmp_path):
    est = CGCNNRegressor(atom_fea_len=8, n_conv=1, h_fea_len=8, max_epochs=1, n_jobs=64)
    est.fit(graphs, energies).save(tmp_path / "model")
    assert skcgcnn.load(tmp_path / "model").n_jobs is None


def test_a_bit_of_the_weights_that_is_another(est, tmp_path, refuse):
    path = tmp_path / "model.safetensors"
    est.save(path)
    content = bytearray(path.read_bytes())
    content[-100] ^= 4
    path.write_bytes(content)
    refuse(path, match="is damaged, or of another version")


def test_values_that_are_nested_as_deep_as_files_may_be():
    for depth in (19, 20, 21, 22):
        value = 1
        for _ in range(depth):
            value = [value]
        if depth <= 20:
            assert from_plain(to_plain(value)) == value
        else:
            with pytest.raises((TypeError, ValueError)):
                from_plain(to_plain(value))


def test_where_a_fit_began_is_kept_by_name_and_not_by_path(est, graphs, energies, tmp_path):
    """The path of a file may name a person."""
    est.save(tmp_path / "start.safetensors")
    for start, kept in (
        (str(tmp_path / "start.safetensors"), None),
        ("chgnet-distilled", "chgnet-distilled"),
    ):
        sizes = {} if kept else {"recipe": "paper"}
        new = CGCNNRegressor(**sizes, init_from=start, max_epochs=1, random_state=0, device="cpu")
        new.fit(graphs, energies).save(tmp_path / "new.safetensors")
        assert skcgcnn.load(tmp_path / "new.safetensors").init_from == kept
        assert str(tmp_path).encode() not in (tmp_path / "new.safetensors").read_bytes()


def test_official_files_have_the_built_in_features(official, tmp_path):
    """Graphs with features of one's own are refused; other features than 92 are not known."""
    path, content = official
    options = skcgcnn.load(path, device="cpu").graph_options_
    assert options.atom_features == CrystalGraphTransformer().graph_options().atom_features
    weights = content["state_dict"]
    weights["embedding.weight"] = weights["embedding.weight"][:, :5].clone()
    torch.save(content, path)
    assert skcgcnn.load(path, device="cpu").graph_options_.atom_features is None
