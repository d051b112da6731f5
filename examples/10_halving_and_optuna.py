"""Search well: few epochs for many settings, more for the good ones; and Optuna, with pruning.

The graphs are made once, before the searches. Optuna needs ``pip install 'skcgcnn[optuna]'``.
"""

import warnings

import numpy as np
from scipy.stats import loguniform
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingRandomSearchCV

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.datasets import load_sample_regression

warnings.simplefilter("ignore")  # elements that a fold does not train on

cifs, energies = load_sample_regression(return_X_y=True)
graphs = CrystalGraphTransformer().transform(cifs)
est = CGCNNRegressor(atom_fea_len=32, n_conv=2, batch_size=32, random_state=0)

# Successive halving: 8 settings with 3 epochs, the better 4 with 6, the better 2 with 12.
space = {"lr": loguniform(1e-3, 3e-2), "weight_decay": loguniform(1e-3, 0.3)}
halving = HalvingRandomSearchCV(
    est,
    space,
    resource="max_epochs",
    n_candidates=8,
    min_resources=3,
    max_resources=12,
    factor=2,
    cv=2,
    scoring="neg_mean_absolute_error",
    random_state=0,
).fit(graphs, energies)
print(
    "halving:",
    [(n, int(r)) for n, r in zip(halving.n_candidates_, halving.n_resources_, strict=True)],
)
print(f"  best lr {halving.best_params_['lr']:.4f}, MAE {-halving.best_score_:.3f} eV/atom")

try:
    import optuna
    from optuna_integration import OptunaSearchCV
except ImportError:
    print("skipped: pip install 'skcgcnn[optuna]'")
    raise SystemExit from None

# Optuna: each trial trains epoch by epoch (`partial_fit`, so at a constant learning rate), and is
# given up where its score lags behind the median of those before.
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(
    direction="maximize",
    sampler=optuna.samplers.TPESampler(seed=0),
    pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=2),
)
search = OptunaSearchCV(
    est,
    {
        "lr": optuna.distributions.FloatDistribution(1e-3, 3e-2, log=True),
        "weight_decay": optuna.distributions.FloatDistribution(1e-3, 0.3, log=True),
    },
    cv=2,
    enable_pruning=True,
    max_iter=6,
    n_trials=8,
    scoring="neg_mean_absolute_error",
    random_state=0,
    refit=True,
    study=study,
).fit(graphs, energies)
pruned = sum(trial.state.name == "PRUNED" for trial in search.trials_)
print(f"optuna: {len(search.trials_)} trials, {pruned} of them given up early")
print(f"  best lr {search.best_params_['lr']:.4f}, MAE {-search.best_score_:.3f} eV/atom")
print("predictions of the best:", np.round(search.predict(graphs[:3]), 2))
