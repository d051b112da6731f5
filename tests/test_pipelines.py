"""Embeddings of crystals in pipelines of scikit-learn, beside other features and other packages."""

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler

from skcgcnn import CGCNNRegressor


@pytest.fixture(scope="module")
def fitted(graphs, energies):
    return CGCNNRegressor(max_epochs=5, h_fea_len=16, random_state=0).fit(graphs, energies)


def forest():
    return RandomForestRegressor(20, random_state=0)


def test_a_forest_on_the_embeddings_of_a_fitted_network(fitted, cifs, energies):
    pipeline = make_pipeline(FrozenEstimator(fitted), forest()).fit(cifs, energies)
    assert pipeline.score(cifs, energies) > 0.7
    names = pipeline[:-1].get_feature_names_out()
    assert names.tolist() == [f"cgcnnregressor{i}" for i in range(16)]
    # The network is as it was: only the forest is fitted.
    np.testing.assert_array_equal(pipeline[0].predict(cifs), fitted.predict(cifs))


def test_a_network_that_is_fitted_with_the_pipeline(tiny, cifs, energies):
    pipeline = make_pipeline(CGCNNRegressor(**tiny), forest()).fit(cifs, energies)
    assert pipeline.predict(cifs[:3]).shape == (3,)
    assert pipeline[-1].n_features_in_ == tiny["h_fea_len"]


def test_beside_numeric_columns(fitted, cifs, energies):
    temperature = np.linspace(300, 900, len(cifs))
    table = pd.DataFrame({"crystal": cifs, "temperature": temperature})
    y = energies + temperature / 100
    columns = ColumnTransformer(
        [
            ("network", FrozenEstimator(fitted), "crystal"),
            ("numbers", StandardScaler(), ["temperature"]),
        ]
    )
    pipeline = make_pipeline(columns, forest()).fit(table, y)
    assert columns.fit_transform(table, y).shape == (24, 17)
    names = pipeline[:-1].get_feature_names_out()
    assert names[0] == "network__cgcnnregressor0"
    assert names[-1] == "numbers__temperature"
    importances = dict(zip(names, pipeline[-1].feature_importances_, strict=True))
    assert importances["numbers__temperature"] > 0.3
    assert pipeline.score(table, y) > 0.8


def test_beside_features_of_matminer(fitted, cifs, energies):
    featurizers = pytest.importorskip("matminer.featurizers.structure", exc_type=ImportError)
    structures = [Structure.from_file(path) for path in cifs]
    union = FeatureUnion(
        [("network", FrozenEstimator(fitted)), ("matminer", featurizers.DensityFeatures())]
    )
    features = np.asarray(union.fit_transform(structures, energies), dtype=float)
    assert features.shape == (24, 16 + 3)
    np.testing.assert_allclose(features[:, :16], fitted.transform(cifs), rtol=1e-5, atol=1e-5)
    pipeline = make_pipeline(union, forest()).fit(structures, energies)
    assert pipeline.score(structures, energies) > 0.7


def test_a_map_by_umap(fitted, cifs):
    umap = pytest.importorskip("umap")
    reducer = umap.UMAP(n_neighbors=5, random_state=0, n_jobs=1)
    flat = make_pipeline(FrozenEstimator(fitted), reducer).fit_transform(cifs)
    assert flat.shape == (24, 2)
    assert np.isfinite(flat).all()
