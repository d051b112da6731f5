"""Warnings that point to the line of the user, not to one of this library."""

import sys
import warnings


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, as of the nearest line outside of this library, scikit-learn, skorch and joblib.

    Parameters
    ----------
    message : str
        What to say.
    category : type of Warning, default=UserWarning
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_inside(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _is_inside(module: str) -> bool:
    return module.partition(".")[0] in {"skcgcnn", "sklearn", "skorch", "joblib"}
