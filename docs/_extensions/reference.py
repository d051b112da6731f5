"""Pages of classes: their own methods, and parameters in groups."""

from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

# Parameters of estimators with which a group begins, in the order of the signature.
GROUPS = {
    "recipe": "Network",
    "radius": "Graphs",
    "lr": "Training",
    "device": "Where and how it is computed",
    "n_estimators": "Ensembles, and starting from a model",
    "early_stopping": "Validation",
    "random_state": "General",
    "class_weight": "Classes",
    "cls_weight": "Several tasks",
}
# What classes inherit from scikit-learn and is worth showing.
INHERITED = {"score", "fit_transform"}
# Methods that people look up.
WANTED = [
    "CGCNNRegressor.fit",
    "CGCNNRegressor.predict",
    "CGCNNRegressor.predict_uncertainty",
    "CGCNNRegressor.score",
    "CGCNNRegressor.save",
    "CGCNNRegressor.calibrate",
    "CGCNNRegressor.from_pretrained",
    "CGCNNClassifier.predict_proba",
    "CGCNNMultiTask.partial_fit",
    "CrystalGraphTransformer.transform",
]


def skip(app: Sphinx, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what classes inherit from other libraries."""
    function = getattr(obj, "fn", obj)  # of scikit-learn's `available_if`
    module = getattr(function, "__module__", None) or ""
    return None if module.startswith("skcgcnn") or name in INHERITED else True


def group(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Put headings into the long list of an estimator's parameters, as numpydoc has written it."""
    starts = {line.split("**")[1]: i for i, line in enumerate(lines) if line.startswith("    **")}
    if "recipe" not in starts:
        return
    for first, title in reversed(GROUPS.items()):
        if first in starts:
            lines[starts[first] : starts[first]] = [f"    .. rubric:: {title}", ""]


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of methods that have no entry."""
    if "api" not in env.found_docs:
        return
    described = env.domaindata["py"]["objects"]
    for name in WANTED:
        if f"skcgcnn.{name}" not in described:
            logging.getLogger(__name__).warning("the API does not show skcgcnn.%s", name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", group, priority=900)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True}
