"""The parameters of the estimators as options of a command, from the table of parameters."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Annotated, Any

import typer

from skcgcnn._declared import Choice, Number, Parameter
from skcgcnn.cli._app import is_typed
from skcgcnn.training import Settings, default_of, option_of, run_parameters

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


def with_estimator_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for every parameter of the estimators that has one.

    It gets those that are typed as keyword arguments, the others as None.

    Parameters
    ----------
    command : callable
        With ``**params`` at its end.

    Returns
    -------
    callable
    """
    signature = inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    annotations = {name: _annotation(name, each) for name, each in run_parameters().items()}
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in annotations.items()
    ]
    command.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    command.__annotations__ = {**command.__annotations__, **annotations}
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
        Those of `with_estimator_options`.
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
    given = {name: value for name, value in params.items() if value is not None}
    machine = {"device": given.pop("device", "auto"), "n_jobs": given.pop("n_jobs", None)}
    options = {f.name: ctx.params[f.name] for f in fields(Settings) if f.name in ctx.params}
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
    return settings, {"data", *(name for name in options if is_typed(ctx, name))}, machine


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
