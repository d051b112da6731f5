"""The constructor parameters that the estimators share, with their defaults.

It imports neither torch nor scikit-learn, so that the command line can show the defaults at once.
"""

from dataclasses import dataclass
from typing import Any, Literal

from skcgcnn._recipes import AUTO

OnError = Literal["raise", "nan"]


@dataclass(kw_only=True, eq=False, repr=False)
class Parameters:
    """Constructor parameters; the docstrings of the estimators describe them."""

    recipe: Literal["default", "paper"] = "default"
    conv: str = AUTO
    pooling: Literal["mean", "sum", "attention"] = "mean"
    reference: bool | str = AUTO
    element_embedding: bool | str = AUTO
    atom_fea_len: int = 64
    n_conv: int = 3
    h_fea_len: int = 128
    n_h: int = 1
    heads: Literal["shared", "separate"] = "shared"
    dropout: float | str = AUTO
    radius: float = 8.0
    max_num_nbr: int = 12
    atom_features: Any = None
    neighbor_ties: Literal["invariant", "official"] = "invariant"
    merge_tol: float | None = 1e-5
    lr: float | str = AUTO
    schedule: str = AUTO
    max_epochs: int | str = AUTO
    batch_size: int | str = AUTO
    max_batch_sites: int | None = None
    optimizer: Any = AUTO
    weight_decay: float | str | None = AUTO
    max_grad_norm: float | str | None = AUTO
    loss: str = AUTO
    ema_decay: float | str = AUTO
    callbacks: list[Any] | None = None
    device: Any = "auto"
    accelerator: Any = None
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    compile: bool = False
    net_params: dict[str, Any] | None = None
    n_estimators: int = 1
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
