"""Take Li out of a crystal at random: ``make_li_vac.py NCA_LiVac0.cif --num_aug 3 --seed 42``.

The same as ``skcgcnn make-vacancies``; a file that is not in the working folder is looked for
beside this script.
"""

import sys
from pathlib import Path

import typer

from skcgcnn.cli import make_vacancies


def main() -> None:
    """Run the command on the arguments of the script."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(make_vacancies)
    beside = Path(__file__).parent
    app([str(_find(argument, beside)) for argument in sys.argv[1:]])


def _find(argument: str, beside: Path) -> str | Path:
    if argument.endswith(".cif") and not Path(argument).exists() and (beside / argument).is_file():
        return beside / argument
    return argument


if __name__ == "__main__":
    main()
