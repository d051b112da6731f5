"""The command line: ``skcgcnn train``, ``check``, ``predict``, ``featurize`` and others."""

import io
import os
import sys

# isort: off
# Each file adds its commands to the application, in the order in which --help lists them.
from skcgcnn.cli import _train, _tune, _predict, _check, _suggest, _featurize, _tools  # noqa: F401

# isort: on
from skcgcnn.cli._app import app
from skcgcnn.cli._tools import make_vacancies

__all__ = ["app", "main", "make_vacancies"]


def main() -> None:
    """Run the command line."""
    _open_standard_streams()
    # Its lines on crystals of borderline symmetry do not say which they are of.
    os.environ.setdefault("SPGLIB_WARNING", "OFF")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8
    app()


def _open_standard_streams() -> None:
    """Open those that the caller closed: none would be there, or the next file in its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115 - until the end
            setattr(sys, name, stream)
