"""The private parts of scikit-learn that this library uses, in one place for when they move."""

from sklearn.base import _clone_parametrized as clone_parametrized
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

__all__ = [
    "Documented",
    "HasMethods",
    "Interval",
    "StrOptions",
    "check_sample_weight",
    "clone_parametrized",
    "safe_indexing",
]


class Documented:
    """Links the HTML of an estimator, as notebooks show it, to its page in the documentation."""

    _doc_link_module = "skcgcnn"
    _doc_link_template = "https://skcgcnn.github.io/skcgcnn/generated/skcgcnn.{estimator_name}.html"
