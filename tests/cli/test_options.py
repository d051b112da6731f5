"""What the options of the commands say, take and pass on."""

import signal
import socket
import subprocess
import sys
from datetime import timedelta
from types import ModuleType, SimpleNamespace

import joblib
import numpy as np
import pytest
import typer
from joblib._parallel_backends import SequentialBackend
from typer.testing import CliRunner

from skcgcnn.cli import app
from skcgcnn.cli._train import _accelerator, _end_with_parent
from skcgcnn.exceptions import ProcessError
from skcgcnn.stores import open_store

TRAIN = typer.main.get_command(app).commands["train"]


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def options():
    """Return the options of ``skcgcnn train`` by their names."""
    return {each.opts[0].removeprefix("--"): each for each in TRAIN.params}


@pytest.mark.parametrize(
    ("name", "metavar", "default"),
    [
        ("recipe", "default|paper", "default"),
        ("conv", "TEXT", "auto"),
        ("atom-fea-len", "INTEGER", "64"),
        ("dropout", "auto|FLOAT", "auto"),
        ("max-epochs", "auto|INTEGER", "auto"),
        ("radius", "FLOAT", "8.0"),
        ("device", "TEXT", "auto"),
        ("freeze", "none|convs|INTEGER", "none"),
        ("random-state", "INTEGER", "0"),
        ("n-jobs", "INTEGER", "none"),
        ("cls-weight", "auto|FLOAT", "0.1"),
    ],
)
def test_help_says_what_an_option_takes(options, name, metavar, default):
    assert (options[name].metavar, options[name].show_default) == (metavar, default)


@pytest.mark.parametrize(
    ("name", "typed", "found"),
    [
        ("n-conv", "4", 4),
        ("dropout", "auto", "auto"),
        ("dropout", "0.5", 0.5),
        ("freeze", "convs", "convs"),
        ("freeze", "0", 0),
        ("random-state", "0", 0),
        ("n-jobs", "-1", -1),
        ("conv", "of my own", "of my own"),
    ],
)
def test_what_is_typed_is_read(name, typed, found):
    value = TRAIN.make_context("train", ["data", f"--{name}", typed]).params[name.replace("-", "_")]
    assert (value, type(value)) == (found, type(found))


@pytest.mark.parametrize(
    ("name", "typed", "why"),
    [
        ("n-conv", "x", "'x': expected one of an integer"),
        ("n-conv", "1.5", "'1.5': expected one of an integer"),
        ("n-conv", "-1", "-1: is less than 0"),
        ("dropout", "x", "'x': expected one of auto, a number"),
        ("dropout", "-0.1", "-0.1: is less than 0"),
        ("freeze", "x", "'x': expected one of none, convs, an integer"),
        ("recipe", "x", "'x': expected one of default, paper"),
        ("random-state", "-1", "-1: is less than 0"),
    ],
)
def test_what_is_typed_and_cannot_be_is_refused(name, typed, why):
    with pytest.raises(typer.BadParameter) as error:
        TRAIN.make_context("train", ["data", f"--{name}", typed])
    assert error.value.message == f"--{name} {why}"


@pytest.fixture
def clusters(monkeypatch):
    """Return what is asked of Dask and of Ray, which these modules stand in for."""
    asked = []

    class Connection:
        def __init__(self, *address, **options):
            asked.append((*address, options))

        def __enter__(self):
            asked.append("open")

        def __exit__(self, *_):
            asked.append("closed")

    class Backend(SequentialBackend):
        def configure(self, n_jobs=1, **options):
            asked.append(n_jobs)
            return super().configure(n_jobs=1, **options)

        def effective_n_jobs(self, n_jobs):
            return 1

    names = ("dask", "dask.distributed", "ray", "ray.util", "ray.util.joblib")
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["dask.distributed"].Client = Connection
    sys.modules["ray"].init = Connection
    sys.modules["ray.util.joblib"].register_ray = lambda: asked.append("registered")
    for name in ("dask", "ray"):
        monkeypatch.setitem(joblib.parallel.BACKENDS, name, Backend)
    return asked


@pytest.mark.parametrize(
    ("backend", "words", "expected"),
    [
        ("dask", [], [(None, {"threads_per_worker": 1}), "open", -1, "closed"]),
        ("dask", ["--scheduler", "tcp://a:1"], [("tcp://a:1", {}), "open", -1, "closed"]),
        ("dask", ["-j", 3], [(None, {"threads_per_worker": 1}), "open", 3, "closed"]),
        ("ray", [], ["registered", ({"address": None},), "open", -1, "closed"]),
        (
            "ray",
            ["--scheduler", "ray://a:1", "-j", 2],
            ["registered", ({"address": "ray://a:1"},), "open", 2, "closed"],
        ),
        ("loky", ["-j", 1], []),
    ],
)
def test_workers_of_a_cluster(backend, words, expected, clusters, cifs, graphs, tmp_path):
    (tmp_path / "paths.csv").write_text("\n".join(["path", *cifs[:4]]))
    args = ("featurize", tmp_path / "paths.csv", "-o", tmp_path / "store", "--backend", backend)
    assert run(*args, "-q", *words).startswith("4 crystals in ")
    assert list(dict.fromkeys(map(str, clusters))) == list(map(str, expected))
    store = open_store(tmp_path / "store")
    np.testing.assert_array_equal(store.graphs.distances, graphs[:4].distances)


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_cluster_that_is_not_installed(backend, monkeypatch, cifs, tmp_path):
    for name in ("dask.distributed", "ray"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "paths.csv").write_text("\n".join(["path", *cifs[:4]]))
    args = ("featurize", tmp_path / "paths.csv", "-o", tmp_path / "store", "--backend", backend)
    told = run(*args, code=2)
    assert f"--backend {backend} needs pip install 'skcgcnn[{backend}]'" in told
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(("device", "is_cpu"), [("cpu", True), ("auto", False), ("cuda", False)])
def test_processes_are_on_the_device_that_is_asked_for(device, is_cpu, monkeypatch, tmp_path):
    accelerate = pytest.importorskip("accelerate")
    asked = {}

    def refuse(**options):
        asked.update(options, handler=signal.getsignal(signal.SIGTERM))
        raise ValueError("the others did not come")

    monkeypatch.setattr(accelerate, "Accelerator", refuse)
    args = ("train", "sample-regression", "-o", tmp_path / "run", "--device", device)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert "Error: the others did not come" in run(*args, code=2)
        # Where processes wait for each other no handler of Python would run.
        assert asked["handler"] == signal.SIG_DFL
        monkeypatch.setattr(accelerate, "Accelerator", SimpleNamespace)
        assert _accelerator(device).cpu is is_cpu
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        monkeypatch.setitem(sys.modules, "accelerate", None)
        told = run(*args, code=2)
    finally:
        signal.signal(signal.SIGTERM, before)
    needs = "training on several processes needs Accelerate: pip install 'skcgcnn[accelerate]'"
    assert needs in told
    assert asked["cpu"] is is_cpu
    (patience,) = asked["kwargs_handlers"]
    assert patience.timeout == timedelta(days=1)


@pytest.mark.parametrize(
    ("typed", "seconds"), [("90s", 90), ("30m", 1800), (" 2 H", 7200), ("0.5h", 1800)]
)
def test_times(typed, seconds):
    tune = typer.main.get_command(app).commands["tune"]
    assert tune.make_context("tune", ["data", "--time", typed]).params["seconds"] == seconds


CHILD = "from skcgcnn.cli._train import _end_with_parent; _end_with_parent(); print(1, flush=True)"


@pytest.mark.skipif(sys.platform == "win32", reason="processes there have no new parent")
def test_a_process_ends_with_its_launcher():
    """Where the launcher was killed, those that wait for others would wait for a day."""
    child = f"TORCHELASTIC_RUN_ID=1 {sys.executable} -c '{CHILD}; import time; time.sleep(60)'"
    # The shell is killed; what it started is seen by its end of the pipe.
    shell = subprocess.Popen(
        ["/bin/sh", "-c", f"{child} & wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert shell.stdout.readline() == "1\n"
    shell.kill()
    assert "the launcher of this training ended" in shell.communicate(timeout=30)[0]


def test_a_launcher_that_ended_before(monkeypatch):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr("skcgcnn.cli._train.Thread", lambda **_: SimpleNamespace(start=bool))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    _end_with_parent()
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", str(port))
    with pytest.raises(ProcessError, match="the launcher of this training is not there"):
        _end_with_parent()
