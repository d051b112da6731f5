"""Public names that are imported when they are first used, so that an import does not wait."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package.

    Parameters
    ----------
    package : str
        Name of the package.
    modules : mapping of str to str
        Module of the package in which each name stands.

    Returns
    -------
    callable
        Raises ImportError from what goes wrong inside of a dependency.
    """

    def getattribute(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            module = import_module(f"{package}.{modules[name]}")
        except AttributeError as error:  # of which Python makes "cannot import name"
            raise ImportError(f"{package}.{name} cannot be imported: {error}") from error
        return getattr(module, name)

    return getattribute


@contextmanager
def needed(what: str, install: str) -> Iterator[None]:
    """Say what to install where a package is missing, which not everybody needs."""
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{what}: pip install '{install}'") from error
