import pytest

from skcgcnn import CGCNNRegressor
from skcgcnn.nn import GraphDataset


def test_the_network_that_predicts_is_in_evaluation_mode_whatever_happens(tiny, graphs, energies):
    est = CGCNNRegressor(**tiny | {"conv": "gated"}).fit(graphs, energies)
    batches = iter(est.net_.get_iterator(GraphDataset(graphs), training=True))

    def interrupted():
        yield next(batches)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        est.net_.module_.estimate_statistics(interrupted())
    assert not any(module.training for module in est.module_.modules())
