"""The constructor parameters that the estimators share, with their defaults.

It imports neither torch nor scikit-learn, so that the command line can show the defaults at once.
"""

from dataclasses import dataclass
from typing import Any, Literal

OnError = Literal["raise", "nan"]


@dataclass(kw_only=True, eq=False, repr=False)
class Parameters:
    """Constructor parameters; the docstrings of the estimators describe them."""

    atom_fea_len: int = 64
    n_conv: int = 3
    h_fea_len: int = 128
    n_h: int = 1
    dropout: float = 0.0
    radius: float = 8.0
    max_num_nbr: int = 12
    atom_features: Any = None
    neighbor_ties: Literal["invariant", "official"] = "invariant"
    symprec: float | None = 1e-5
    lr: float = 0.001
    max_epochs: int = 30
    batch_size: int = 64
    max_batch_sites: int | None = None
    optimizer: Any = "adamw"
    weight_decay: float | None = None
    loss: Literal["mse", "mae", "huber"] = "mse"
    ema_decay: float = 0.99
    callbacks: list[Any] | None = None
    device: Any = "auto"
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    compile: bool = False
    net_params: dict[str, Any] | None = None
    init_from: Any = None
    freeze: str | int = "none"
    conv_lr_factor: float = 1.0
    warm_start: bool = False
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    random_state: Any = None
    n_jobs: int | None = None
    on_error: OnError = "raise"
    verbose: int = 0
