"""Names that no parameter of an estimator has."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from skcgcnn._parameter_lists import unknown_parameter


def refuse_unknown_names(cls: Any) -> Any:
    """Make the class of an estimator tell which parameter may be meant by an unknown name.

    Its ``__init__`` does so: of a ``__new__``, Python 3.11.2 would take the signature for that of
    each subclass.
    """
    init: Callable[..., None] = cls.__init__

    @wraps(init)
    def checked(self: Any, *args: Any, **params: Any) -> None:
        known = cls._get_param_names()
        for name in params:
            # A subclass may take what it likes.
            if name not in known and type(self) is cls:
                raise TypeError(unknown_parameter(name, cls.__name__, known))
        init(self, *args, **params)

    cls.__init__ = checked
    return cls
