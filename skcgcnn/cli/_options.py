"""The parameters of the estimators as options of a command, from the table of parameters."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal

import typer

from skcgcnn._declared import Choice, Number, Parameter
from skcgcnn.cli._app import Ratio, is_typed
from skcgcnn.training import Rule, Settings, Task, default_of, option_of, run_parameters

DATA_HELP = (
    "A folder with id_prop.csv and CIFs, a store, or a bundled dataset: sample-regression, "
    "sample-classification, li_vacancy."
)
# Options of a run that are fields of `Settings`.
_OF_RUNS: dict[str, Any] = {
    "task": Annotated[Task, typer.Option(help="What to learn.")],
    "target": Annotated[
        list[str] | None,
        typer.Option(
            help="Column of numbers to learn; may be repeated.", show_default="the only one"
        ),
    ],
    "unit": Annotated[
        list[str] | None,
        typer.Option(
            help="Unit of the numbers, for the results; may be repeated, in the order of --target.",
            show_default="that of the table",
        ),
    ],
    "label": Annotated[
        str | None, typer.Option(help="Column of classes to learn.", show_default="the only one")
    ],
    "global_feature": Annotated[
        list[str] | None,
        typer.Option(
            help="Column of numbers beside the crystals, such as a temperature, from which to "
            "learn; may be repeated.",
            show_default="none",
        ),
    ],
    "features": Annotated[
        Literal["chgnet"] | None,
        typer.Option(
            help="Learn also from what this universal potential computes of each crystal: its "
            "energy, magnetic moments and features. Training is from scratch then; of "
            "perovskites the default left smaller errors. Needs skcgcnn[potentials].",
            show_default="none",
        ),
    ],
    **dict.fromkeys(("train_ratio", "val_ratio", "test_ratio"), Ratio),
    "split": Annotated[
        Rule,
        typer.Option(
            help="What stays in one part of the split, besides the same crystals: nearly the same "
            "ones (structure), or those of one composition, of the same elements, or of one "
            "prototype (anonymous formula and space group)."
        ),
    ],
}

# What scikit-learn calls so is an integer here.
_INTEGERS: dict[Any, Number] = {"random_state": Number(int, 0), "n_jobs": Number(int)}


def _is_number(allowed: Any) -> bool:
    return isinstance(allowed, Number) or allowed in ("random_state", "n_jobs")


class _Reader:
    """Reads what a parameter may be, as it is typed."""

    def __init__(self, name: str, allowed: tuple[Any, ...]) -> None:
        self.option = option_of(name)
        self.words = [word for each in allowed if isinstance(each, Choice) for word in each]
        self.numbers = [_INTEGERS.get(each, each) for each in allowed if _is_number(each)]
        self.is_free = any(
            each and not isinstance(each, Choice) and not _is_number(each) for each in allowed
        )

    @property
    def metavar(self) -> str:
        """What the help shows."""
        kinds = ["INTEGER" if each.kind is int else "FLOAT" for each in self.numbers]
        return "|".join([*self.words, *kinds]) if not self.is_free or kinds else "TEXT"

    def __call__(self, text: str) -> Any:
        """Return the word or number."""
        if text in self.words:
            return text
        for number in self.numbers:
            try:
                found = number.kind(text)
            except ValueError:
                continue
            if number.low is not None and found < number.low:
                raise typer.BadParameter(f"{self.option} {text}: is less than {number.low}")
            return found
        if self.is_free and not self.numbers:
            return text
        kinds = ["an integer" if each.kind is int else "a number" for each in self.numbers]
        expected = ", ".join([*self.words, *kinds])
        raise typer.BadParameter(f"{self.option} {text!r}: expected one of {expected}")


def with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a run, and one for every parameter of the estimators.

    It gets them as keyword arguments: parameters that are not typed as None.

    Parameters
    ----------
    command : callable
        Its arguments are the context, the data, options of its own, and ``**params``.
    """
    signature = inspect.signature(command)
    ctx, data, *own, _ = signature.parameters.values()
    own = [each.replace(kind=each.KEYWORD_ONLY) for each in own]
    usual = {each.name: each.default or None for each in fields(Settings)}
    params = {name: _annotation(name, each) for name, each in run_parameters().items()}
    of_runs, of_params = (
        [
            inspect.Parameter(n, ctx.KEYWORD_ONLY, default=usual.get(n), annotation=each)
            for n, each in options.items()
        ]
        for options in (_OF_RUNS, params)
    )
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[ctx, data, *of_runs, *own, *of_params]
    )
    command.__annotations__ = {**command.__annotations__, **_OF_RUNS, **params}
    return command


def typed_settings(
    ctx: typer.Context, params: Mapping[str, Any], *, goes_on: bool = False
) -> tuple[Settings, set[str], dict[str, Any]]:
    """Return what a command with these options asks for.

    Parameters
    ----------
    ctx : typer.Context
        Of a command whose options have the names of the fields of `Settings`, not all of them.
    params : mapping
        Those of `with_run_options`.
    goes_on : bool, default=False
        Whether a run goes on, which has the task of its checkpoint.

    Returns
    -------
    settings : Settings
    given : set of str
        The fields that were typed.
    machine : dict
        Device, and workers that read crystals.

    Raises
    ------
    ValueError
        If an option is not for the task.
    """
    given = {n: v for n, v in params.items() if v is not None and n not in _OF_RUNS}
    machine = {"device": given.pop("device", "auto"), "n_jobs": given.pop("n_jobs", None)}
    options = {f.name: ctx.params[f.name] for f in fields(Settings) if f.name in ctx.params}
    options["data"] = options["data"] or ""  # of a checkpoint
    for name in ("target", "unit", "global_feature"):
        options[name] = tuple(options[name] or ())
    settings = Settings(**options, params=given)
    for name, is_given in (
        ("label", settings.label is not None),
        ("cls_weight", "cls_weight" in given),
    ):
        wanted = "multi or classification" if name == "label" else "multi"
        if is_given and settings.task not in wanted and not goes_on:
            raise ValueError(
                f"{option_of(name)} needs --task {wanted}, but the task is {settings.task}"
            )
    return settings, {name for name in options if is_typed(ctx, name)}, machine


def _annotation(name: str, parameter: Parameter) -> Any:
    option, default = parameter.option, default_of(name)
    if option is None:
        raise ValueError(f"{name} has no option")
    read = _Reader(name, parameter.allowed)
    return Annotated[
        str | None,
        typer.Option(
            *(option_of(name), *option.aliases),
            help=option.help,
            show_default="none" if default is None else str(default),
            rich_help_panel=option.group,
            parser=read,
            metavar=read.metavar,
        ),
    ]
