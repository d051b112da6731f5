"""Commands between others: standard input and output, closed pipes, patterns, JSON."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer import Exit
from typer.testing import CliRunner

from skcgcnn.cli import app, main
from skcgcnn.cli._app import plain_errors


@pytest.fixture(scope="module")
def model(fitted_regressor, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    fitted_regressor.save(path)
    return path


def run(*args, code=0, **options):
    result = CliRunner().invoke(app, [str(arg) for arg in args], **options)
    assert result.exit_code == code, result.output
    return result


def test_paths_from_the_standard_input_and_predictions_to_the_output(model, cifs):
    expected = run("predict", model, *cifs[:3]).stdout
    assert expected.startswith("cif_id,")
    assert run("predict", model, *cifs[:3], "-o", "-").stdout == expected
    assert run("predict", model, "-", input="\n".join(cifs[:3]) + "\n").stdout == expected
    assert "names no file" in run("predict", model, "-", input="\n", code=2).output
    assert not Path("-").exists()


def test_patterns(model, cifs, tmp_path):
    for name, cif in zip("ba", cifs, strict=False):
        (tmp_path / f"{name}.cif").write_bytes(Path(cif).read_bytes())
    lines = run("predict", model, tmp_path / "*.cif").stdout.splitlines()
    assert [line.split(",")[0] for line in lines] == ["cif_id", "a", "b"]
    assert "no file has such a name" in run("predict", model, tmp_path / "*.x", code=2).output


def test_info_as_json(model):
    facts = json.loads(run("info", model, "--json").stdout)
    plain = run("info", model).stdout
    assert len(facts) == len(plain.splitlines())


@pytest.mark.slow
def test_a_closed_pipe_ends_quietly(model, cifs):
    command = [sys.executable, "-m", "skcgcnn", "predict", str(model), *cifs]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == 0
    assert "Error" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("closed", "code"), [((1,), 0), ((2,), 141), ((1, 2), 141), ((), 2)])
def test_a_command_that_a_closed_pipe_ended_half_way_does_not_say_that_it_is_done(
    closed, code, capfd
):
    kept = {number: os.dup(number) for number in closed}
    read, write = os.pipe()
    os.close(read)
    try:
        for number in closed:
            os.dup2(write, number)
        with pytest.raises(Exit) as ended, plain_errors():
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        os.close(write)
    assert ended.value.exit_code == code
    assert ("ended before it had all" in capfd.readouterr().err) == (not closed)


@pytest.mark.parametrize("command", ["train", "tune", "check", "featurize", "make-vacancies"])
def test_a_folder_that_is_a_link_to_nothing(command, cifs, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    sources = {"featurize": Path(cifs[0]).parent, "make-vacancies": cifs[0]}
    source = sources.get(command, "sample-regression")
    message = run(command, source, "-o", tmp_path / "link", code=2).output
    assert "is a link to what is not there" in message
    assert not (tmp_path / "nothing").exists()


def test_a_working_folder_that_is_gone(model, cifs, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    message = run("predict", model, *cifs[:2], "-o", "p.csv", code=2).output
    assert "the working folder is not there any more" in message


def test_errors_with_where_they_come_from(model):
    assert "Traceback" not in run("predict", model, "none", code=2).output
    result = CliRunner().invoke(app, ["--debug", "predict", str(model), "none"])
    assert isinstance(result.exception, ValueError)


def test_the_home_folder(model, cifs, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    run("predict", model, cifs[0], "-o", "~/p.csv", "--report", "~/p.html")
    assert (tmp_path / "p.csv").exists()
    assert (tmp_path / "p.html").exists()


def test_a_standard_input_that_is_no_text(model):
    result = CliRunner().invoke(app, ["predict", str(model), "-"], input=b"\xff.cif\n")
    assert result.exit_code == 2
    assert "the standard input is not UTF-8" in result.output


@pytest.mark.parametrize(
    ("name", "arguments", "code", "said"),
    [
        ("stdin", ("predict", "-"), 2, "the standard input names no file"),
        ("stdout", ("info",), 0, ""),
    ],
)
def test_streams_that_are_closed(model, name, arguments, code, said, monkeypatch, capsys):
    command, *more = arguments
    monkeypatch.setattr(sys, "argv", ["skcgcnn", command, str(model), *more])
    monkeypatch.setattr(sys, name, None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert said in capsys.readouterr().err
