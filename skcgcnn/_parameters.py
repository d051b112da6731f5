"""The table of parameters: each is declared once, with all that depends on it.

From here come scikit-learn's constraints and the docstrings of the estimators, what a model file
may hold, and what may change while a training goes on. It imports neither torch nor scikit-learn,
so that the command line can show the defaults at once.
"""

from dataclasses import dataclass
from typing import Any, Literal

from skcgcnn._declared import (
    Choice,
    Number,
    Option,
    Registered,
    param,
)
from skcgcnn._recipes import AUTO, RECIPES

OnError = Literal["raise", "nan"]
# In Å. With a larger tolerance it would be another crystal.
MAX_MERGE_TOL = 0.1
# In Å, of the longest cell: a search goes no further.
MAX_RADIUS = 10_000
MAX_NEIGHBORS = 1_000
# What makes a network, whatever its crystals and targets are.
SIZES = ("conv", "pooling", "atom_fea_len", "n_conv", "h_fea_len", "n_h")

_AUTO = Choice(AUTO)


@dataclass(kw_only=True, eq=False, repr=False)
class NetParameters:
    """What `net_params` may hold, beside options that skorch names."""

    schedule: str = param(
        AUTO,
        (_AUTO, Choice("one_cycle", "constant")),
        """Course of the learning rate over a fit. "one_cycle" rises, then falls to nearly zero;
        `partial_fit`, which does not know its end, keeps it constant. Choose "constant" for
        callbacks that change it.""",
        change="free",
        of_net=True,
        option=Option("Training", "Course of the learning rate over the epochs."),
    )
    max_grad_norm: float | str | None = param(
        AUTO,
        (Number(float, 0, closed="neither"), _AUTO, None),
        """Gradients with a larger norm are scaled down to it; None leaves them as they are.""",
        change="free",
        of_net=True,
    )
    ema_decay: float | str = param(
        AUTO,
        (Number(float, 0, 1), _AUTO),
        """Decay per step of the exponential moving average of the weights used for prediction; 0
        predicts with the last weights.""",
        change="free",
    )
    max_batch_sites: int | None = param(
        None,
        (Number(int, 1), None),
        """Maximum number of sites per batch in training, for crystals of very different sizes.
        Larger batches are split; a crystal above the limit forms its own batch. It is for memory:
        batches of one or two crystals learn worse than a smaller `batch_size`.""",
        change="free",
        of_net=True,
    )
    conv_lr_factor: float = param(
        1.0,
        (Number(float, 0, closed="neither"),),
        """Learning rate of embedding and convolutions as a multiple of `lr`. Below 1 they stay
        closer to `init_from`. Decided when the network is made.""",
        change="never",
        option=Option("Start", "Learning rate of the convolutions as a multiple of --lr."),
    )
    element_embedding: bool | str = param(
        AUTO,
        (bool, _AUTO),
        """Whether the elements of the training crystals get learned features beside those of
        `atom_features` (200 kinds of site at most); "auto" is from 500 crystals on, and never with
        ``recipe="paper"``. With `init_from` it is as in that model, whatever is set.""",
        change="never",
    )
    heads: Literal["shared", "separate"] = param(
        "shared",
        (Choice("shared", "separate"),),
        """Whether several targets share the hidden layers after pooling, or each has its own.""",
        change="never",
    )
    precision: Literal["float32", "bfloat16", "float64"] = param(
        "float32",
        (Choice("float32", "bfloat16", "float64"),),
        """Type in which the network computes. "bfloat16" (autocast: the parameters stay float32) is
        meant for GPUs. "float64" makes predictions equal to 1e-12 whatever else is in the call.
        Predictions are float64 numbers in any case.""",
        change="never",
        of_net=True,
    )
    compile: bool = param(
        False,
        (bool,),
        """Whether torch compiles the network, for GPUs.""",
        change="never",
        of_net=True,
        in_file=False,
    )


@dataclass(kw_only=True, eq=False, repr=False)
class Parameters:
    """Constructor parameters that the estimators share."""

    recipe: Literal["default", "paper"] = param(
        "default",
        (Choice(*RECIPES),),
        """What parameters with the value "auto" stand for: the choices of this library, or those of
        Xie & Grossman (2018) and their code; `skcgcnn.RECIPES` lists both.""",
        change="never",
        option=Option("Training", "What auto stands for; paper is the original's."),
    )
    conv: str = param(
        AUTO,
        (_AUTO, Registered("convolutions")),
        """Convolution, a name in `skcgcnn.nn.CONVOLUTIONS`: "gated" is that of the paper, which
        official weights need; "edge" updates the features of bonds too.""",
        change="never",
        option=Option("Network", "Convolution: edge, or gated, which is that of CGCNN."),
    )
    pooling: str = param(
        "mean",
        (Registered("poolings"),),
        """How a crystal's features come from its sites', a name in `skcgcnn.nn.POOLINGS`: "mean";
        for extensive targets "sum", of outputs by site; "attention", a mean with learned
        weights.""",
        change="never",
        option=Option("Network", "From sites to crystals: mean, sum or attention."),
    )
    atom_fea_len: int = param(
        64,
        (Number(int, 1, 100_000, "both"),),
        """Hidden features per site.""",
        change="never",
        option=Option("Network", "Hidden features per site."),
    )
    n_conv: int = param(
        3,
        (Number(int, 0, 100_000, "both"),),
        """Number of convolutions.""",
        change="never",
        option=Option("Network", "Number of convolutions."),
    )
    h_fea_len: int = param(
        128,
        (Number(int, 1, 100_000, "both"),),
        """Hidden features per crystal, after pooling.""",
        change="never",
        option=Option("Network", "Hidden features per crystal."),
    )
    n_h: int = param(
        1,
        (Number(int, 1, 100_000, "both"),),
        """Number of hidden layers after pooling.""",
        change="never",
        option=Option("Network", "Number of hidden layers after pooling."),
    )
    dropout: float | str = param(
        AUTO,
        (Number(float, 0, 1), _AUTO),
        """Dropout probability: of bond updates ("edge"), or pooled features ("gated").""",
        change="free",
        option=Option("Network", "Dropout probability."),
    )
    radius: float = param(
        8.0,
        (Number(float, 0, MAX_RADIUS, "right"),),
        """Initial cutoff of the neighbor search, and last center of the Gaussians, in Å. Sites with
        too few neighbors within it are searched further out.""",
        change="never",
        option=Option("Crystals", "Initial cutoff of the neighbor search, in Å."),
    )
    max_num_nbr: int = param(
        12,
        (Number(int, 1, MAX_NEIGHBORS, "both"),),
        """Neighbors per site.""",
        change="never",
        option=Option("Crystals", "Neighbors per site."),
    )
    atom_features: Any = param(
        None,
        (object,),
        """Features of the elements, see `CrystalGraphTransformer`.""",
        kind="None, path or mapping",
    )
    lr: float | str = param(
        AUTO,
        (Number(float, 0, closed="neither"), _AUTO),
        """Peak learning rate. The default recipe has 0.004, or 0.001 where `init_from` brings
        convolutions that are trained on.""",
        change="free",
        of_net=True,
        option=Option("Training", "Peak learning rate."),
    )
    max_epochs: int | str = param(
        AUTO,
        (Number(int, 1), _AUTO),
        """Number of passes over the training crystals; "auto" guarantees enough steps to few
        crystals.""",
        change="free",
        of_net=True,
        option=Option("Training", "Passes over the training crystals.", ("--epochs",)),
    )
    batch_size: int | str = param(
        AUTO,
        (Number(int, 1), _AUTO),
        """Maximum number of crystals per batch in training; "auto" depends on their number.""",
        change="free",
        of_net=True,
        option=Option("Training", "Maximum number of crystals per batch.", ("-b",)),
    )
    optimizer: Any = param(
        AUTO,
        (_AUTO, Choice("adamw", "adam", "sgd"), callable),
        """"sgd" has a momentum of 0.9. More options go through `net_params`, for example
        ``{"optimizer__amsgrad": True}``.""",
        kind='{"auto", "adamw", "adam", "sgd"} or torch optimizer class',
        change="never",
        option=Option("Training", "Optimizer: adamw, adam or sgd.", ("--optim",)),
    )
    weight_decay: float | str | None = param(
        AUTO,
        (Number(float, 0), _AUTO, None),
        """Weight decay of the optimizer; None is the default of the optimizer (0.01 for "adamw", 0
        for "adam" and "sgd"), and so is "auto" for others than AdamW. Biases do not decay, but with
        an optimizer class.""",
        change="free",
        option=Option("Training", "Weight decay of the optimizer."),
    )
    callbacks: list[Any] | None = param(
        None,
        (list, None),
        """They are used themselves, as skorch does. `clone`, and so a search, copies them, and
        each network of an ensemble gets copies.""",
        kind="list of skorch callbacks or None",
        change="free",
    )
    device: Any = param(
        "auto",
        (str, "device", "accelerator"),
        """"auto" is the GPU where torch sees one, else the CPU. With an Accelerator, each of its
        processes calls `fit` with the same data, and they share every batch; it needs
        ``skcgcnn[accelerate]``.""",
        kind="str, torch.device or accelerate.Accelerator",
        in_file=False,
        option=Option("Machine", "auto, cpu, cuda, ..."),
    )
    net_params: dict[str, Any] | None = param(
        None,
        (dict, None),
        """Details of the network and its training, by name; and options of the optimizer,
        callbacks and torch.compile as skorch names them (``optimizer__...``, ``callbacks__...``,
        ``compile__...``). The names are:""",
        change="never",
    )
    n_estimators: int = param(
        1,
        (Number(int, 1),),
        """Number of networks that predict together; `n_jobs` are fitted at a time. Of numbers, each
        leaves out a tenth of the crystals, of few more, to calibrate the standard deviations.""",
        option=Option("Training", "Networks that predict together, with standard deviations."),
    )
    init_from: Any = param(
        "auto",
        (object,),
        """Model to start from: a fitted estimator, a file (see `skcgcnn.load`), or the name of a
        pretrained model, such as "chgnet-distilled". Its embedding and convolutions are copied, and
        the parts of its head that fit; targets are scaled anew. Sizes of the network that are not
        set are those of the model. None is from scratch. "auto" is "chgnet-distilled" where recipe,
        graphs and sizes are the usual ones, and None elsewhere, and for more than 120 crystals
        that this model hardly tells apart. With `warm_start`, for the first fit only.""",
        kind="estimator, path, str or None",
        option=Option(
            "Start", "Model to start from: auto, none, a file, or a pretrained model's name."
        ),
    )
    freeze: str | int = param(
        "none",
        (Choice("none", "convs"), Number(int, 0)),
        """Layers of `init_from` that training leaves as they are, to the bit: none, the embedding
        and all convolutions, or that many layers from the input (1 is the embedding alone).""",
        option=Option("Start", "Layers of --init-from that stay: none, convs or a number."),
    )
    warm_start: bool = param(
        False,
        (bool,),
        """Whether `fit` continues from the last fit.""",
    )
    early_stopping: bool = param(
        False,
        (bool,),
        """Whether to hold out crystals, stop when their loss no longer falls, and keep the weights
        of the best epoch.""",
        change="free",
    )
    validation_fraction: float = param(
        0.1,
        (Number(float, 0, 1, "neither"),),
        """Share of the crystals held out for early stopping.""",
    )
    n_iter_no_change: int | str = param(
        AUTO,
        (Number(int, 1), _AUTO),
        """Epochs without a lower validation loss before training stops; "auto" is a third of
        `max_epochs`, and 10 at least: errors fall for the last time when the learning rate does.
        Fits that start from the general model are short, and "auto" lets them go to their end.
        Where `early_stopping` would hold out fewer than 20 crystals, whose loss does not tell which
        epoch is best, "auto" holds out none, with a warning.""",
        change="free",
    )
    random_state: Any = param(
        None,
        ("random_state",),
        """Decides the initial weights, batches, dropout and validation split. An int makes a fit
        repeatable to the bit on the CPU; torch's own random state stays as it was.""",
        kind="int, RandomState instance or None",
        option=Option("Training", "Seed of the split, initial weights and batches.", ("--seed",)),
    )
    n_jobs: int | None = param(
        None,
        ("n_jobs",),
        """Number of workers that read crystals.""",
        kind="int or None",
        in_file=False,
        option=Option("Machine", "Workers that read crystals.", ("-j",)),
    )
    on_error: OnError = param(
        "raise",
        (Choice("raise", "nan"),),
        """What to do with crystals that cannot be read, see `CrystalGraphTransformer`. With "nan"
        they are left out of a fit and their prediction is NaN.""",
        option=Option("Crystals", "Stop at unreadable crystals, or continue without them."),
    )
    verbose: int = param(
        0,
        ("verbose",),
        """1 shows one line of progress, plain lines in log files; 2 lists all remarks about files,
        not only the first, and prints skorch's table of the epochs.""",
        kind="int",
        in_file=False,
    )


@dataclass(kw_only=True, eq=False, repr=False)
class NumberParameters(Parameters):
    """Constructor parameters of the estimators that predict numbers."""

    loss: str = param(
        AUTO,
        (_AUTO, Registered("losses")),
        """Error of a scaled number in the loss, a name in `skcgcnn.tasks.LOSSES`: "mse", the
        square; "mae", the absolute error; "huber", which is less sensitive to outliers; or
        "gaussian_nll", the negative log likelihood of a normal distribution, whose variance is
        learned too.""",
        change="free",
        option=Option("Training", "Loss of numbers: mse, mae, huber or gaussian_nll."),
    )
    composition_baseline: bool | str = param(
        AUTO,
        (bool, _AUTO),
        """Whether numbers are first fitted by a ridge regression on the composition, so that the
        network learns what is left. With `init_from` it is as in that model.""",
        change="never",
    )


@dataclass(kw_only=True, eq=False, repr=False)
class ClassifierParameters(Parameters):
    """Constructor parameters of `CGCNNClassifier`."""

    class_weight: Any = param(
        None,
        (dict, Choice("balanced"), None),
        """Weights of the classes in the loss, as in scikit-learn.""",
    )


@dataclass(kw_only=True, eq=False, repr=False)
class MultiTaskParameters(NumberParameters):
    """Constructor parameters of `CGCNNMultiTask`."""

    cls_weight: float | str = param(
        0.1,
        (Number(float, 0), _AUTO),
        """Weight of the classification loss; "auto" learns the balance of the two kinds of task.
        With the default, neither hurts the other on the data of ``benchmarks/multitask.py``.""",
        change="free",
        option=Option("Training", "Weight of the classification loss (--task multi)."),
    )
    tasks: tuple[str, ...] = param(
        ("regression", "classification"),
        (tuple, list),
        """Kind of every column of y, a name in `skcgcnn.tasks.TASKS`: "regression" or
        "classification". Of several tasks of one kind, the mean loss is taken.""",
        kind="tuple of str",
        change="never",
    )
