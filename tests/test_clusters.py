"""Reading and searching on Dask and Ray: the graphs and the results of one process."""

import joblib
import numpy as np
import pytest
from comparison import contents
from sklearn.model_selection import GridSearchCV
from typer.testing import CliRunner

from skcgcnn import CGCNNMultiTask, CrystalGraphs, CrystalGraphTransformer
from skcgcnn.cli import app
from skcgcnn.datasets import SAMPLE_FOLDER
from skcgcnn.stores import featurize, open_store

pytestmark = pytest.mark.slow

GRID = {"cls_weight": [0.1, 0.5, 1.0]}
# Threads add numbers in an order of their own.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def dask_cluster():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, env=ONE_THREAD
        ) as cluster,
        distributed.Client(cluster),
    ):
        yield "dask"


@pytest.fixture(scope="module")
def ray_cluster():
    ray = pytest.importorskip("ray")
    from ray.util.joblib import register_ray

    register_ray()
    with pytest.MonkeyPatch.context() as patch:
        # Workers of Ray are nice, and hardly run beside another busy process.
        patch.setenv("RAY_worker_niceness", "0")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            runtime_env={"env_vars": ONE_THREAD},
        )
    yield "ray"
    ray.shutdown()


@pytest.fixture(params=["dask_cluster", "ray_cluster"])
def backend(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def pickled(monkeypatch):
    """List the sizes of the graphs that leave this process."""
    sizes = []
    state = CrystalGraphs.__getstate__

    def listed(graphs):
        sizes.append(graphs.__sizeof__())
        return state(graphs)

    monkeypatch.setattr(CrystalGraphs, "__getstate__", listed)
    return sizes


def test_workers_make_the_same_graphs(backend, cifs, nacl):
    X = [*cifs, nacl]
    expected = CrystalGraphTransformer().transform(X)
    with joblib.parallel_config(backend=backend):
        found = CrystalGraphTransformer(n_jobs=-1).transform(X)
    for name, value in expected.to_dict().items():
        np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)


def test_a_search_finds_the_same(backend, tiny, graphs, Y, pickled):
    expected = GridSearchCV(CGCNNMultiTask(**tiny), GRID, cv=3).fit(graphs, Y)
    pickled.clear()
    with joblib.parallel_config(backend=backend):
        found = GridSearchCV(CGCNNMultiTask(**tiny), GRID, cv=3, n_jobs=-1).fit(graphs, Y)
    scores = "mean_test_score"
    np.testing.assert_allclose(found.cv_results_[scores], expected.cv_results_[scores], atol=1e-6)
    assert found.best_params_ == expected.best_params_
    if backend == "dask":
        # Nine fits; the graphs leave once, for each of the two workers at most.
        assert sum(pickled) <= 2 * graphs.__sizeof__()


def test_optuna_finds_the_same(backend, tiny, graphs, Y):
    optuna = pytest.importorskip("optuna")
    OptunaSearchCV = pytest.importorskip("optuna_integration").OptunaSearchCV

    def search():
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=0)
        )
        space = {"cls_weight": optuna.distributions.FloatDistribution(0.1, 1.0)}
        est = CGCNNMultiTask(**tiny)
        return OptunaSearchCV(est, space, cv=3, n_trials=3, study=study, random_state=0)

    expected = search().fit(graphs, Y)
    with joblib.parallel_config(backend=backend):
        found = search().fit(graphs, Y)
    scores = [[trial.value for trial in one.trials_] for one in (found, expected)]
    np.testing.assert_allclose(*scores, atol=1e-6)
    assert found.best_params_ == expected.best_params_


def test_a_search_on_paths(backend, tiny, cifs, Y):
    expected = GridSearchCV(CGCNNMultiTask(**tiny), GRID, cv=3).fit(cifs, Y)
    with joblib.parallel_config(backend=backend):
        found = GridSearchCV(CGCNNMultiTask(**tiny), GRID, cv=3, n_jobs=-1).fit(cifs, Y)
    scores = "mean_test_score"
    np.testing.assert_allclose(found.cv_results_[scores], expected.cv_results_[scores], atol=1e-6)


def test_a_store_is_the_same(backend, tmp_path):
    featurize(SAMPLE_FOLDER, tmp_path / "one")
    with joblib.parallel_config(backend=backend):
        featurize(SAMPLE_FOLDER, tmp_path / "two", transformer=CrystalGraphTransformer(n_jobs=2))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_command_on_dask(dask_cluster, tmp_path):
    from distributed import get_client

    address = get_client().scheduler.address
    options = ("-o", tmp_path / "store", "--backend", "dask", "--scheduler", address, "-q")
    args = [str(arg) for arg in ("featurize", SAMPLE_FOLDER, *options)]
    result = CliRunner().invoke(app, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert len(open_store(tmp_path / "store")) == 254
