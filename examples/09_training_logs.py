"""Send the course of a fit to TensorBoard, Weights & Biases or MLflow.

The estimators train with skorch, whose loggers are callbacks. Name one on the command line:

    python examples/09_training_logs.py tensorboard    # then: tensorboard --logdir runs
    python examples/09_training_logs.py wandb          # offline: no account is needed
    python examples/09_training_logs.py mlflow         # logs the fitted model too

Without a name it uses Python's own logging. Each needs its package, of the same name.
"""

import logging
import os
import sys
from typing import Any

from skcgcnn import CGCNNRegressor
from skcgcnn.datasets import load_sample_regression

cifs, energies = load_sample_regression(return_X_y=True)


def fit(*callbacks: Any) -> CGCNNRegressor:
    """Fit with callbacks, and with validation crystals, so that there are two curves."""
    est = CGCNNRegressor(
        max_epochs=10, early_stopping=True, callbacks=list(callbacks), random_state=0
    )
    return est.fit(cifs, energies)


def with_logging() -> None:
    """Print what the logger "skcgcnn" is told of every epoch."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("skcgcnn").setLevel(logging.INFO)
    fit()


def with_tensorboard() -> None:
    """Write event files."""
    from skorch.callbacks import TensorBoard
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter("runs") as writer:
        fit(TensorBoard(writer))
    print("curves in runs/: tensorboard --logdir runs")


def with_wandb() -> None:
    """Write a run that `wandb sync` can upload later."""
    import wandb
    from skorch.callbacks import WandbLogger

    with wandb.init(project="skcgcnn", mode=os.environ.get("WANDB_MODE", "offline")) as run:
        # It would save the weights of every best epoch by torch's pickle.
        fit(WandbLogger(run, save_model=False))


def with_mlflow() -> None:
    """Log curves and the fitted estimator, and load it again."""
    import mlflow
    from skorch.callbacks import MlflowLogger

    with mlflow.start_run() as run:
        est = fit(MlflowLogger())
        # Crystals are paths or Structures, not a table: MLflow cannot infer a signature from them.
        # Estimators pickle by cloudpickle as by pickle.
        logged = mlflow.sklearn.log_model(
            est, name="model", serialization_format="cloudpickle", pip_requirements=["skcgcnn"]
        )
    again = mlflow.sklearn.load_model(logged.model_uri)
    print(f"run {run.info.run_id}: {again.predict(cifs[:2])}")


LOGGERS = {"tensorboard": with_tensorboard, "wandb": with_wandb, "mlflow": with_mlflow}
name = sys.argv[1] if len(sys.argv) > 1 else None
if name not in {None, *LOGGERS}:
    sys.exit(f"unknown logger {name}; expected one of {', '.join(LOGGERS)}")
try:
    LOGGERS.get(name, with_logging)()
except ImportError as error:
    sys.exit(f"{error.name} is missing: pip install {name}")
