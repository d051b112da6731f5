"""How parameters are declared, and what is read from the declarations.

It imports neither torch nor scikit-learn.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from inspect import cleandoc
from itertools import groupby
from typing import Any, Literal, NamedTuple, Self


class Number(NamedTuple):
    """A number between bounds, see `sklearn.utils._param_validation.Interval`."""

    kind: type
    low: float | None = None
    high: float | None = None
    closed: Literal["left", "right", "both", "neither"] = "left"


class Choice(tuple[str, ...]):
    """One of some words."""

    __slots__ = ()

    def __new__(cls, *words: str) -> Self:
        return super().__new__(cls, words)


class Registered(NamedTuple):
    """A name in a registry of parts: whoever adds a part adds a name."""

    registry: Literal["convolutions", "poolings", "losses"]


class Option(NamedTuple):
    """How the command has a parameter: as an option of its name, with dashes.

    Attributes
    ----------
    group : str
        Under which heading of the help.
    help : str
        What the help says.
    aliases : tuple of str
        Other names of the option.
    """

    group: str
    help: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parameter:
    """What is declared of a parameter, beside its default.

    Attributes
    ----------
    allowed : tuple
        What it may be: a `Number`, a `Choice`, `Registered`, a type (``object`` is anything: who
        uses it checks it), None, or a word of scikit-learn's, such as "random_state".
    kind : str
        Its type, as the docstrings have it.
    doc : str
        What it does.
    change : {"never", "free"} or None
        Whether it may change while a training goes on. A fitted estimator keeps the values of
        these; None is for what does not belong to the network.
    in_file : bool
        Whether a model file holds it; who loads a model decides on the others.
    option : Option or None
        How ``skcgcnn train`` has it; None where it has not.
    of_net : bool
        Whether `skcgcnn.nn.GraphNet` takes it, under the same name.
    """

    allowed: tuple[Any, ...]
    kind: str
    doc: str
    change: Literal["never", "free"] | None = None
    in_file: bool = True
    option: Option | None = None
    of_net: bool = False

    @property
    def most(self) -> int | None:
        """The largest whole number that it may be, where there is one."""
        bounds = (n.high for n in self.allowed if isinstance(n, Number) and n.kind is int)
        return next((int(high) for high in bounds if high is not None), None)


def param(default: Any, allowed: tuple[Any, ...], doc: str, *, kind: str = "", **more: Any) -> Any:
    """Return the field of a parameter; `kind` where what is allowed does not tell it in words."""
    parameter = Parameter(allowed, kind or _in_words(allowed), doc, **more)
    return field(default=default, metadata={"parameter": parameter})


def _in_words(allowed: tuple[Any, ...]) -> str:
    found = list[str]()
    for are_words, some in groupby(allowed, lambda each: isinstance(each, Choice)):
        if are_words:
            words = [f'"{word}"' for each in some for word in each]
            found.append(words[0] if len(words) == 1 else f"{{{', '.join(words)}}}")
        else:
            kinds = (each.kind if isinstance(each, Number) else each for each in some)
            found += [
                "str" if isinstance(k, Registered) else getattr(k, "__name__", "None")
                for k in kinds
            ]
    *first, last = found
    return f"{', '.join(first)} or {last}" if first else last


def declared(parameters: Any) -> dict[str, Parameter]:
    """Return what is declared of the parameters of an estimator.

    Parameters
    ----------
    parameters : dataclass
        `Parameters`, or an estimator or its class.
    """
    return {each.name: each.metadata["parameter"] for each in fields(parameters)}


def with_parameters(cls: type, nested: Any, name: str) -> type:
    """Put the parameters into the docstring of an estimator, in the place of ``<parameters>``.

    `nested` are those that the parameter of this name holds.
    """
    lines = "\n".join(_entries(cls, nested, name))
    # Without the indentation, which later versions of Python leave out themselves.
    cls.__doc__ = cleandoc(cls.__doc__ or "").replace("<parameters>", lines)
    return cls


def _entries(cls: Any, nested: Any, name: str) -> Iterator[str]:
    for each in fields(cls):
        parameter = each.metadata["parameter"]
        yield f"{each.name} : {parameter.kind}, default={_default(each)}"
        yield from (f"    {line.strip()}" for line in parameter.doc.splitlines())
        if each.name == name:
            for inner in fields(nested):
                parameter = inner.metadata["parameter"]
                yield ""
                yield f"    - ``{inner.name}`` : {parameter.kind}, default={_default(inner)}."
                yield from (f"      {line.strip()}" for line in parameter.doc.splitlines())


def _default(each: Any) -> str:
    return repr(each.default).replace("'", '"')
