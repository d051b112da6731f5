"""Fit a regressor on paths of CIF files, test it, and keep it.

Takes about half a minute.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import joblib
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split

from skcgcnn import CGCNNRegressor
from skcgcnn.datasets import load_sample_regression

cifs, energies = load_sample_regression(return_X_y=True)
train, test, y_train, y_test = train_test_split(cifs, energies, test_size=0.2, random_state=0)

est = CGCNNRegressor(max_epochs=60, batch_size=32, random_state=0).fit(train, y_train)
error = mean_absolute_error(y_test, est.predict(test))
print(f"{len(train)} crystals trained, {len(test)} tested")
print(f"mean absolute error {error:.3f} eV/atom; R² {est.score(test, y_test):.3f}")

with TemporaryDirectory() as folder:
    file = Path(folder) / "model.joblib"
    joblib.dump(est, file)
    print(f"{file.stat().st_size / 1e6:.1f} MB saved; again: {joblib.load(file).predict(test[:3])}")
