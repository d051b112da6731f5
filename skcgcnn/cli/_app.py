"""The command line's application, and what its commands share."""

import errno
import glob
import os
import re
import select
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

# Nothing heavy is imported here: `skcgcnn --help` should not wait for torch.
from skcgcnn._files import DISK_FULL, matching, user_path
from skcgcnn._parameters import OnError
from skcgcnn._text import for_terminals
from skcgcnn._version import __version__
from skcgcnn.exceptions import ProcessError
from skcgcnn.training import option_of, run_parameters

app = typer.Typer(
    help="Crystal graph convolutional networks on folders of CIF files.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


Jobs = Annotated[int | None, typer.Option("--n-jobs", "-j", help="Workers that read crystals.")]
Ratio = Annotated[float, typer.Option(min=0.0, max=1.0)]
Remarks = Annotated[bool, typer.Option("--remarks", help="List all remarks about files.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, ...")]
DataHome = Annotated[
    Path | None,
    typer.Option(help="Folder of the official models.", show_default="$SKCGCNN_DATA, or a cache"),
]
BadCrystals = Annotated[
    OnError, typer.Option(help="Stop at crystals that cannot be read, or continue without them.")
]


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"skcgcnn {__version__}")
        raise typer.Exit


# What shells say of a command that SIGPIPE ended.
_ENDED_BY_PIPE = 141

# Holds True where errors are to be shown with where they come from.
_debug = list[bool]()


def _set_debug(asked: bool) -> None:
    _debug[:] = [True] if asked else []


@app.callback()
def _skcgcnn(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", callback=_set_debug, help="Show where errors come from.")
    ] = False,
) -> None:
    """Crystal graph convolutional networks on folders of CIF files."""


@contextmanager
def plain_errors(interrupted: Callable[[], str] = str) -> Iterator[None]:
    """Turn errors about input into a paragraph and exit code 2; print warnings as lines.

    `interrupted` returns what to say after Ctrl-C.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            yield
        except KeyboardInterrupt:
            typer.echo(for_terminals(f"Interrupted.{interrupted()}"), err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError as error:
            closed = _closed_streams()
            if not closed:
                raise _failed(f"{error}: what read the results ended before it had all") from error
            for number in closed:
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            # Whoever read the output has seen enough; but progress is told before all is done.
            raise typer.Exit(_ENDED_BY_PIPE if 2 in closed else 0) from None
        except OSError as error:
            raise _failed(_why(error)) from error
        except ProcessError as error:
            raise _failed(f"{error}.{interrupted()}") from error
        except (ValueError, MemoryError, ImportError) as error:
            # DataError and StructureError are ValueErrors, as are scikit-learn's; and perhaps ours.
            if _debug:
                raise
            raise _failed(_in_options(str(error) or repr(error))) from error


def _closed_streams() -> list[int]:
    """Return which of the standard output and error, 1 and 2, nobody reads any more."""
    if not hasattr(select, "poll"):  # on Windows
        return [1]
    poll = select.poll()
    for number in (1, 2):
        poll.register(number, select.POLLOUT)
    return [n for n, event in poll.poll(0) if event & (select.POLLERR | select.POLLHUP)]


def _why(error: OSError) -> str:
    name = f"{error.filename}: " if error.filename else ""
    if error.errno in DISK_FULL:
        return f"{name}no space left on the disk; each file that is there is whole"
    if error.errno == errno.ENOENT and not name:  # of `os.getcwd`
        return "the working folder is not there any more; change to another"
    return str(error)


def _failed(why: str) -> typer.Exit:
    """Print why a command failed, and return what ends it."""
    typer.echo(for_terminals(f"{_process()}Error: {why}"), err=True)
    return typer.Exit(2)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
) -> None:
    if issubclass(category, DeprecationWarning) or _process():
        return  # of libraries, to their developers; or said by the first process
    typer.echo(for_terminals(f"Warning: {_in_options(str(message))}"), err=True)


def _from_stdin() -> list[Path]:
    try:
        lines = [line.strip("\r\n\ufeff") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise ValueError(f"the standard input is not UTF-8 ({error}); name the files") from error
    return [Path(line) for line in lines if line.strip()]


def expanded(data: list[Path]) -> list[Path]:
    """Return paths with those of the standard input for ``-``, and files for patterns."""
    found: list[Path] = []
    for path in data:
        given = [path]
        if str(path) == "-":
            given = _from_stdin()
            if not given:
                raise ValueError("the standard input names no file")
        for each in map(user_path, given):
            is_pattern = not each.exists() and glob.has_magic(str(each))
            files = matching(each) if is_pattern else [str(each)]
            if not files:
                raise ValueError(f"{each}: no file has such a name")
            found += map(Path, files)
    return found


class _Terminal:
    """The standard output, where what is written is shown and does nothing else."""

    def write(self, text: str) -> int:
        return sys.stdout.write(for_terminals(text))


def table_output() -> Any:
    """Return where tables go: to a terminal as it can be shown, to other programs as they are."""
    return _Terminal() if sys.stdout.isatty() else sys.stdout


def n_processes() -> int:
    """Return how many processes a launcher started, this one included."""
    number = os.environ.get("WORLD_SIZE", "1")
    return int(number) if number.isdecimal() else 1


def _process() -> str:
    """Return how messages name a process that is not the first of several."""
    rank = os.environ.get("RANK", "0")
    return f"[process {rank}] " if n_processes() > 1 and rank != "0" else ""


def _in_options(message: str) -> str:
    """Name options of the command instead of parameters of Python."""
    message = re.sub(
        r"'(\w+)' parameter of \w+(?:'s net_params)?",
        lambda found: "option --" + found[1].replace("_", "-"),
        message,
    )
    # With quotation marks: in paths, as of lr=0.1/model.safetensors, nothing changes.
    names = "|".join(run_parameters())
    message = re.sub(
        rf"\b({names})=(['\"])(\w+)\2", lambda found: f"{option_of(found[1])} {found[3]}", message
    )
    for name, option in (
        ("init_from=None (--init-from none)", "--init-from none"),
        ("init_from=None", "--init-from none"),
        ("init_from", "--init-from"),
        ("verbose=2", "--remarks"),
        ("n_estimators=5", "--n-estimators 5"),
    ):
        message = message.replace(name, option)
    return message.replace("freeze=", "--freeze ")


def is_typed(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
