"""The private parts of scikit-learn that this library uses, in one place for when they move."""

from numbers import Integral
from os import PathLike, fspath
from typing import Any

from sklearn.base import _clone_parametrized as clone_parametrized
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import check_memory

__all__ = [
    "N_JOBS",
    "Documented",
    "HasMethods",
    "Interval",
    "StrOptions",
    "as_memory",
    "check_sample_weight",
    "clone_parametrized",
    "crystal_tags",
    "safe_indexing",
    "validate_parameter_constraints",
]

# What the parameter `n_jobs` may be.
N_JOBS: list[Any] = [
    None,
    Interval(Integral, 1, None, closed="left"),
    Interval(Integral, None, -1, closed="right"),
]


def as_memory(memory: Any) -> Any:
    """Return the cache that the parameter `memory` names; None where there is none."""
    folder = fspath(memory) if isinstance(memory, PathLike) else memory
    return None if folder is None else check_memory(folder)


def crystal_tags(tags: Any) -> Any:
    """Return scikit-learn's tags of an estimator that takes crystals."""
    tags.input_tags.string = True
    tags.input_tags.one_d_array = True
    tags.input_tags.two_d_array = False
    tags.requires_fit = False
    return tags


class Documented:
    """Links the HTML of an estimator, as notebooks show it, to its page in the documentation."""

    _doc_link_module = "skcgcnn"
    _doc_link_template = "https://skcgcnn.github.io/skcgcnn/generated/skcgcnn.{estimator_name}.html"
