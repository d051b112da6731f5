"""Each of the three estimators in turn, with its targets."""

import pytest

from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor

ESTIMATORS = [CGCNNRegressor, CGCNNClassifier, CGCNNMultiTask]


@pytest.fixture(params=ESTIMATORS, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


@pytest.fixture
def y(cls, energies, labels, Y):
    return {CGCNNRegressor: energies, CGCNNClassifier: labels, CGCNNMultiTask: Y}[cls]


@pytest.fixture
def est(cls, tiny):
    return cls(**tiny)
