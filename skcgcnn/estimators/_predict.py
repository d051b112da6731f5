"""Predictions of every target, as other folders and programs ask for them."""

from collections.abc import Iterator
from typing import Any

from sklearn.pipeline import Pipeline

from skcgcnn.estimators._outputs import output_chunks
from skcgcnn.tasks import Prediction, decode


def predict_targets(estimator: Any, X: Any) -> list[Prediction]:
    """Predict every target of an estimator, in one pass of its network.

    Parameters
    ----------
    estimator : fitted CGCNNRegressor, CGCNNClassifier or CGCNNMultiTask
        The model, or a Pipeline that ends in one.
    X : sequence of crystals, or CrystalGraphs
        See the estimator's `predict`.

    Returns
    -------
    list of Prediction
        One for every column of y: values, and for classes their probabilities.

    Examples
    --------
    >>> from skcgcnn import CGCNNClassifier
    >>> from skcgcnn.datasets import load_sample_classification
    >>> cifs, is_metal = load_sample_classification(return_X_y=True)
    >>> est = CGCNNClassifier(max_epochs=1, random_state=0).fit(cifs, is_metal)
    >>> (prediction,) = predict_targets(est, cifs[:3])
    >>> prediction.target.kind, prediction.values.shape, prediction.proba.shape
    ('classification', (3,), (3, 2))
    """
    if isinstance(estimator, Pipeline):
        if len(estimator) > 1:
            X = estimator[:-1].transform(X)
        estimator = estimator[-1]
    predictions: list[Prediction] = estimator._predict_targets(X)
    return predictions


def predict_target_chunks(estimator: Any, X: Any) -> Iterator[list[Prediction]]:
    """Predict every target of an estimator, some crystals at a time.

    Parameters
    ----------
    estimator : fitted CGCNNRegressor, CGCNNClassifier or CGCNNMultiTask
        The model.
    X : sequence of crystals, or CrystalGraphs
        More of them than fit into memory, where they are paths, or graphs in a file.

    Yields
    ------
    list of Prediction
        See `predict_targets`; for consecutive crystals.
    """
    for outputs in output_chunks(estimator, X):
        yield decode(outputs, estimator.targets_)
