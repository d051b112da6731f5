"""What others write into names reaches no terminal as anything but text, and not without end."""

import csv
import io
import os
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn._text import crystals, encodable, for_terminals, listed, quoted, same_unit, wrapped
from skcgcnn.cli import app
from skcgcnn.exceptions import StructureError

RED = "\x1b[31m\x07"
TINY = ["--epochs", "1", "--atom-fea-len", "8", "--n-conv", "1", "--h-fea-len", "8", "-q"]


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


class Terminal(io.StringIO):
    """A standard output that a person looks at."""

    def isatty(self):
        return True


def hidden(folder):
    """Rename a column, so that the direction of writing is another one."""
    table = folder / "id_prop.csv"
    table.write_text(table.read_text().replace("other", "gpj.\u202eexe"), encoding="utf-8")
    return folder


@pytest.fixture
def folder(cifs, energies, tmp_path):
    """Return crystals of which 15 are broken, and columns of hostile names."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [("id", f"energy{RED}[/bold]", "other")]
    for number, (path, energy) in enumerate(zip(cifs, energies, strict=True)):
        shutil.copy(path, folder / f"{number}.cif")
        rows.append((number, energy, 1.5))
    for number in range(24, 39):
        (folder / f"{number}.cif").write_text(f"data_x\nloop_\n_{RED}\n")
        rows.append((number, 0.5, 1.5))
    with (folder / "id_prop.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def test_ten_failures_are_named_and_all_are_kept(folder):
    paths = sorted(folder.glob("*.cif"))
    with pytest.raises(StructureError, match="15 of 39 crystals") as caught:
        CrystalGraphTransformer().transform(paths)
    message = str(caught.value)
    assert message.count(".cif: ") == 10
    assert "and 5 more" in message
    assert len(caught.value.failures) == 15
    assert "\x1b" not in message
    transformer, failures = CrystalGraphTransformer(on_error="nan"), []
    with pytest.warns(UserWarning, match="and 5 more"):
        assert sum(map(len, transformer.stream(paths, failures=failures))) == 39
    assert failures == caught.value.failures


def test_no_command_sends_escape_sequences_to_the_terminal(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = f"energy{RED}[/bold]"
    choice = ["--target", target, "--on-error", "nan", "--no-report"]
    commands = [
        ["featurize", folder, "-o", "store", "-q"],
        ["train", folder, *choice, *TINY, "-o", "run"],
        ["info", "run/model.safetensors"],
        ["train", folder, *choice[2:], *TINY],
        ["train", folder, *choice[:2], *TINY],
        ["train", "store", "--target", f"none{RED}", *TINY],
        ["predict", f"none{RED}", folder],
    ]
    printed = []
    for command, code in zip(commands, [0, 0, 0, 2, 2, 2, 2], strict=True):
        result = run(*command)
        assert result.exit_code == code, result.output
        assert not {*RED} & {*result.output} - {*"[31m"}
        printed.append(result.output)
    assert sum("\\x1b[31m" in output for output in printed) == 6
    assert "\\u202e" in run("check", hidden(folder), "-o", "check").output
    with (tmp_path / "run" / "failures.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["path", "cause"]
    assert len(rows) == 16


def test_quoted_words_are_what_a_shell_takes_them_for():
    bash = shutil.which("bash") or pytest.skip("asks bash")
    names = [b"my data", b"it's", b"$HOME `x`", b"a\x1b[31m\\n'b", b"\xff\xfe.cif", b"\xe2\x80\xae"]
    words = [quoted(os.fsdecode(name)) for name in names]
    assert all(word.isprintable() for word in words)
    found = subprocess.check_output([bash, "-c", f"printf '%s\\0' {' '.join(words)}"])
    assert found.split(b"\0")[:-1] == names


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_tables_are_shown_in_a_terminal_and_exact_in_a_pipe(
    stream, cifs, energies, monkeypatch, tmp_path
):
    est = CGCNNRegressor(atom_fea_len=8, n_conv=1, h_fea_len=8, max_epochs=1, device="cpu")
    est.fit(cifs, energies).save(tmp_path / "model.safetensors", targets=[f"e{RED}"])
    monkeypatch.setattr(sys, "stdout", stream())
    app(["predict", str(tmp_path / "model.safetensors"), cifs[0]], standalone_mode=False)
    shown = r"e\x1b[31m\x07" if stream is Terminal else f"e{RED}"
    assert sys.stdout.getvalue().splitlines()[0] == f"cif_id,{shown}_pred"


def test_long_names_are_broken_at_spaces_and_underlines():
    for text, expected in {
        "": "",
        "a" * 50: "a" * 50,
        f"{'a' * 18} {'b' * 17}": f"{'a' * 18} {'b' * 17}",
        f"{'a' * 18} {'b' * 18}": f"{'a' * 18}\n{'b' * 18}",
        f"{'a' * 18}_{'b' * 18}_c": f"{'a' * 18}_\n{'b' * 18}_c",
        f"{'a' * 30} b c d": f"{'a' * 30} b c d",
        f"{'a' * 30} b c dd": f"{'a' * 30} b c\ndd",
    }.items():
        assert wrapped(text).replace("\\", "") == expected
    assert wrapped("one two", 3) == "one\ntwo"
    assert "\\$" in wrapped("a $x$")


def test_names_as_words():
    names = list("abcdefghij")
    assert listed(names[:8]) == "a, b, c, d, e, f, g, h"
    assert listed(names[:9]) == "a, b, c, d, e, f, g, h and 1 more"
    assert listed(names, most=3) == "a, b, c and 7 more"
    assert listed([]) == "none"
    assert [crystals(n) for n in (0, 1, 2)] == ["0 crystals", "1 crystal", "2 crystals"]


def test_units_are_the_same_unless_both_are_known_and_differ():
    for one, other in (("eV", "eV"), ("eV / atom", " eV/atom"), ("eV", ""), ("", "K"), ("", "")):
        assert same_unit(one, other)
    for one, other in (("eV", "meV"), ("eV", "ev"), ("K", "\u00b0C")):
        assert not same_unit(one, other)


def test_what_a_terminal_would_obey_is_shown():
    assert for_terminals("a\tb\nc \u00e5") == "a\tb\nc \u00e5"
    assert for_terminals("a\rb\x1b\u202e'") == "a\\rb\\x1b\\u202e'"
    assert for_terminals("a\tb\n", kept="\t") == "a\tb\\n"
    assert encodable("caf\udce9 \u00e9") == "caf\\udce9 \u00e9"


def test_quoted_words_as_they_are_shown():
    for text, expected in {
        "plain.cif": "plain.cif",
        "it's": """'it'"'"'s'""",
        "\x07it's \\ \u00e9": r"$'\x07it\'s \\ \u00e9'",
        "\u202e": r"$'\xe2\x80\xae'",
    }.items():
        assert quoted(text) == expected.replace(r"\u00e9", "\u00e9")
