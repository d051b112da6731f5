"""Other processes: joblib's backends, and forks after torch has used its threads."""

import subprocess
import sys

import joblib
import numpy as np
import pytest
from pymatgen.core import Structure

from skcgcnn import CrystalGraphTransformer

FORK = """
import multiprocessing, sys
import numpy as np, torch
from skcgcnn import CGCNNRegressor
from skcgcnn.datasets import load_sample_regression
torch.set_num_threads(2)
cifs, energies = (values[:60] for values in load_sample_regression(return_X_y=True))
est = CGCNNRegressor(max_epochs=1, random_state=0, device="cpu").fit(cifs, energies)
(torch.rand(2000, 2000) @ torch.rand(2000, 2000)).sum()

def child(queue):
    est.fit(cifs, energies)
    queue.put((torch.get_num_threads(), float(est.predict(cifs[:1])[0])))

context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=child, args=(queue,))
process.start()
print(*queue.get(timeout=60))
process.join()
"""


@pytest.mark.slow
def test_a_fork_after_torch_s_threads_ran_does_not_hang():
    printed = subprocess.run(
        [sys.executable, "-c", FORK], timeout=120, check=True, capture_output=True, text=True
    ).stdout
    n_threads, value = printed.split()
    assert n_threads == "1"
    assert np.isfinite(float(value))


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing", "sequential"])
def test_backends_of_joblib_give_the_same_graphs(cifs, graphs, backend):
    with joblib.parallel_config(backend=backend, n_jobs=2):
        found = CrystalGraphTransformer().transform(cifs)
    np.testing.assert_array_equal(found.neighbors, graphs.neighbors)
    np.testing.assert_array_equal(found.kind_features, graphs.kind_features)


def test_the_number_of_workers_does_not_change_the_graphs(cifs, graphs):
    for n_jobs in (1, 2, 3):
        found = CrystalGraphTransformer(n_jobs=n_jobs).transform(cifs)
        for name in ("site_kinds", "site_counts", "kind_features", "neighbors", "distances"):
            np.testing.assert_array_equal(getattr(found, name), getattr(graphs, name))


def test_structures_and_atoms_give_the_same_graphs(cifs, graphs):
    structures = [Structure.from_file(path) for path in cifs]
    atoms = [structure.to_ase_atoms() for structure in structures]
    for X in (structures, atoms):
        found = CrystalGraphTransformer().transform(X)
        for name in ("site_kinds", "site_counts", "kind_features", "neighbors", "distances"):
            np.testing.assert_array_equal(getattr(found, name), getattr(graphs, name))
