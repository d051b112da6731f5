"""Elements that a model was not trained on."""

import pickle
import warnings

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from sklearn.model_selection import GridSearchCV, cross_val_predict

import skcgcnn
from skcgcnn import CGCNNRegressor
from skcgcnn.exceptions import UnseenElementsWarning


def crystal(*species):
    places = [[0.5 * i, 0.5 * i, 0.5 * i] for i in range(len(species))]
    return Structure(Lattice.cubic(4.0), species, places)


@pytest.fixture
def fitted(tiny):
    X = [crystal("Na", "Cl"), crystal("K", "Br"), crystal({"Ni": 0.5, "Co": 0.5}, "O")]
    return CGCNNRegressor(**tiny).fit(X, [0.0, 1.0, 2.0])


def test_one_warning_names_them(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    X = [crystal("Na", "Cl"), crystal("Xe", "Cl"), crystal("Xe", "U")]
    for est in (fitted, skcgcnn.load(tmp_path / "model"), pickle.loads(pickle.dumps(fitted))):
        with pytest.warns(UnseenElementsWarning, match="contains Xe, U:") as caught:
            assert np.isfinite(est.predict(X)).all()
        assert len(caught) == 1


def test_no_warning_for_what_was_seen(fitted, graphs, energies, tiny):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Ni and Co were on mixed sites only.
        fitted.predict([crystal("Na", "Br"), crystal("Ni", "O"), crystal("Co", "O")])
        # The kinds of a slice are those of the whole.
        est = CGCNNRegressor(**tiny, init_from=None).fit(graphs[:12], energies[:12])
        est.predict(graphs[:12])
    with pytest.warns(
        UnseenElementsWarning, match="no training crystal of CGCNNRegressor contains"
    ):
        est.predict(graphs[12:])


def test_tables_of_ones_own(tiny, fitted):
    table = {z: [float(z), 1.0] for z in range(1, 101)}
    est = CGCNNRegressor(**tiny, atom_features=table).fit([crystal("Na", "Cl")], [0.0])
    with pytest.warns(UnseenElementsWarning, match="contains K:"):
        est.predict([crystal("K", "Cl")])


def test_official_models_do_not_know(reference):
    file = reference / "pre-trained" / "band-gap.pth.tar"
    est = skcgcnn.load(file)
    assert est.elements_ is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.predict([crystal("Xe", "U")])


def test_elements_of_later_fits_and_of_the_model_to_start_from(tiny, tmp_path):
    salts, more = [crystal("Na", "Cl"), crystal("K", "Cl")], [crystal("Cs", "Br")]
    est = CGCNNRegressor(**tiny).partial_fit(salts, [0.0, 1.0]).partial_fit(more, [2.0])
    begun = CGCNNRegressor(**tiny, init_from=est).fit([crystal("Rb", "I")], [0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.predict([*salts, *more])
        begun.predict([*salts, *more])
    with pytest.warns(UnseenElementsWarning, match="contains Xe:"):
        begun.predict([crystal("Xe", "I")])


def test_a_score_says_nothing_and_a_search_says_it_once(tiny, fitted):
    X, y = [crystal(name, "Cl") for name in ("Li", "Na", "K", "Rb", "Cs", "Ag")], np.arange(6.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.score(X, y)
        scratch = CGCNNRegressor(**tiny, init_from=None)
        grid = GridSearchCV(scratch, {"lr": [0.1, 0.01]}, cv=3).fit(X, y)
        assert np.isfinite(grid.best_score_)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        cross_val_predict(scratch, X, y, cv=3)
    assert [each.category for each in caught] == [UnseenElementsWarning]


def test_elements_that_only_the_general_model_knows_are_told(cifs, energies):
    est = CGCNNRegressor(max_epochs=1, random_state=0).fit(cifs[:5], energies[:5])
    assert est.fitted_params_["init_from"] == "chgnet-distilled"
    own = {site.specie.Z for cif in cifs[:5] for site in Structure.from_file(cif)}
    assert own <= set(est.elements_)
    assert len(est.elements_) < 20
    new = Structure(Lattice.cubic(4.0), ["Xe", "Os"], [[0, 0, 0], [0.5] * 3])
    with pytest.warns(UnseenElementsWarning, match="contains Xe, Os|contains Os, Xe"):
        est.predict([new])
