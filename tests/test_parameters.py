"""The table of parameters: what a fit takes, a model file may hold, and no more."""

import pytest

import skcgcnn
from skcgcnn import CGCNNRegressor
from skcgcnn._declared import declared
from skcgcnn._parameter_lists import all_declared
from skcgcnn._parameters import MAX_RADIUS, MultiTaskParameters
from skcgcnn.crystals import MAX_LENGTH
from skcgcnn.training import run_parameters

NOT_TYPED = {
    "atom_features", "callbacks", "compile", "composition_baseline", "early_stopping",
    "element_embedding", "ema_decay", "heads", "max_batch_sites", "max_grad_norm",
    "n_iter_no_change", "net_params", "precision", "tasks", "validation_fraction", "verbose",
    "warm_start",
}  # fmt: skip


def test_all_parameters_but_these_are_options_of_the_command():
    assert set(all_declared(MultiTaskParameters)) - set(run_parameters()) == NOT_TYPED


def test_a_model_with_the_largest_radius_is_saved_and_loaded(cifs, energies, tiny, tmp_path):
    # That of model files.
    assert MAX_RADIUS == MAX_LENGTH
    params = {**tiny, "max_epochs": 1}
    est = CGCNNRegressor(**params, radius=MAX_RADIUS).fit(cifs[:4], energies[:4])
    est.save(tmp_path / "model.safetensors")
    assert skcgcnn.load(tmp_path / "model.safetensors").radius == MAX_RADIUS


@pytest.mark.parametrize("name", [n for n, p in declared(CGCNNRegressor).items() if p.most])
def test_sizes_above_those_of_model_files_are_refused(name, cifs, energies, tiny):
    most = declared(CGCNNRegressor)[name].most
    with pytest.raises(ValueError, match=f"The '{name}' parameter"):
        CGCNNRegressor(**{**tiny, name: most + 1}).fit(cifs, energies)


@pytest.mark.parametrize("radius", [10_001, 1e6, float("inf")])
def test_a_radius_above_the_bound_is_refused_before_anything_is_made(radius, cifs, energies, tiny):
    with pytest.raises(ValueError, match="The 'radius' parameter"):
        CGCNNRegressor(**tiny, radius=radius).fit(cifs, energies)
