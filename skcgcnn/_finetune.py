"""Begin from the weights of another model, and keep some of them as they are."""

from os import PathLike
from typing import Any, NamedTuple

import torch
from sklearn.exceptions import NotFittedError
from torch import Tensor

from skcgcnn._persistence import Persistent
from skcgcnn.modelfile import read_model_file, tasks_of
from skcgcnn.nn import GAUSSIAN_STEP, AveragedNet, CrystalGraphConvNet, Task
from skcgcnn.pretrained import PRETRAINED, find_model

__all__ = [
    "SourceModel",
    "architecture",
    "conv_groups",
    "n_frozen_layers",
    "read_source",
    "set_conv_lr",
    "take_over",
]

_SHARED = ("atom_fea_len", "n_conv", "h_fea_len", "n_h", "radius", "max_num_nbr", "atom_features")


class SourceModel(NamedTuple):
    """A model to begin from.

    Attributes
    ----------
    name : str
        For messages.
    weights : dict of Tensor
        Of its network.
    tasks : list of Task
        Its targets.
    params : dict
        Its parameters.
    """

    name: str
    weights: dict[str, Tensor]
    tasks: list[Task]
    params: dict[str, Any]


def read_source(init_from: Any) -> SourceModel:
    """Read what the parameter `init_from` names.

    Parameters
    ----------
    init_from : fitted estimator, path, or name of an official model
        The model to begin from.

    Returns
    -------
    SourceModel

    Raises
    ------
    NotFittedError
        If it is an estimator that is not fitted.
    TypeError
        If it is none of these.
    DataError
        If there is no such file, or it is no model.
    """
    if isinstance(init_from, Persistent):
        kind = type(init_from).__name__
        if not hasattr(init_from, "net_"):
            raise NotFittedError(f"init_from is a {kind} that is not fitted; fit it first")
        return SourceModel(
            f"init_from={kind}",
            init_from.module_.state_dict(),
            tasks_of(dict(vars(init_from))),
            init_from.get_params(deep=False),
        )
    if not isinstance(init_from, (str, PathLike)):
        raise TypeError(
            f"init_from is a {type(init_from).__name__}; expected a fitted estimator of skcgcnn, a "
            f"path, or one of {', '.join(PRETRAINED)}"
        )
    path, _ = find_model(init_from)
    file = read_model_file(path)
    return SourceModel(
        f"init_from={str(init_from)!r}", file.weights, tasks_of(file.fitted), file.params
    )


def architecture(init_from: Any) -> dict[str, Any]:
    """Return the parameters that an estimator must share with a model to begin from it.

    Parameters
    ----------
    init_from : fitted estimator, path, or name of an official model
        The model.

    Returns
    -------
    dict
        For the constructor of any of the three estimators: the sizes of the network, the
        head's too, so that it is taken over where it fits.

    Raises
    ------
    NotFittedError
        If it is an estimator that is not fitted.
    TypeError
        If it is none of these.
    DataError
        If there is no such file, or it is no model.

    Examples
    --------
    >>> from skcgcnn import CGCNNClassifier, CGCNNMultiTask
    >>> from skcgcnn.datasets import load_sample_classification
    >>> cifs, is_metal = load_sample_classification(return_X_y=True)
    >>> model = CGCNNClassifier(n_conv=1, max_epochs=1).fit(cifs, is_metal)
    >>> CGCNNMultiTask(**architecture(model), init_from=model).n_conv
    1
    """
    params = read_source(init_from).params
    # A file need not name what has its default value.
    return {name: params[name] for name in _SHARED if name in params}


def _shape(weights: dict[str, Tensor]) -> dict[str, Any]:
    width, n_features = weights["embedding.weight"].shape
    shape: dict[str, Any] = {
        "atom_fea_len": width,
        "n_conv": sum(name.endswith("fc_full.weight") for name in weights),
        "the number of atom_features": n_features,
    }
    if shape["n_conv"]:
        n_gaussians = weights["convs.0.fc_full.weight"].shape[1] - 2 * width
        shape["radius"] = round((n_gaussians - 1) * GAUSSIAN_STEP, 6)
    return shape


def take_over(module: AveragedNet, tasks: list[Task], source: SourceModel) -> None:
    """Give a network the weights of another model where they fit.

    Embedding and convolutions are taken over, and must fit. The hidden layers of the head are
    taken over if they are of the same size, and then the outputs of every task that the other
    model has too, of the same kind and number of classes; the rest of the head stays new.

    Parameters
    ----------
    module : AveragedNet
        Not trained yet; changed in place.
    tasks : list of Task
        Its targets.
    source : SourceModel
        Where the weights come from.

    Raises
    ------
    ValueError
        If the convolutions do not fit; it names the parameters.
    """
    net = module.trained
    _check_fit(net, source)
    own = net.state_dict()
    parts = ["embedding.", "convs."]
    if _head_shape(own) == _head_shape(source.weights):
        parts += ["conv_to_fc.", "fcs."]
        _take_outputs(net, tasks, source)
    with torch.no_grad():
        for name, tensor in own.items():
            # Files from before torch 0.4.1 do not count batches.
            if name.startswith(tuple(parts)) and name in source.weights:
                tensor.copy_(source.weights[name])
    module.average.load_state_dict(net.state_dict())


def n_frozen_layers(freeze: str | int, n_conv: int, *, begun: bool) -> int:
    """Return how many layers stay as they are, counted from the input.

    Parameters
    ----------
    freeze : {"none", "convs"} or int
        The parameter of the estimators.
    n_conv : int
        Number of convolutions.
    begun : bool
        Whether there are weights worth keeping: of another model, or of an earlier fit.

    Returns
    -------
    int
        0 for none, 1 for the embedding, 1 + i for i convolutions as well.

    Raises
    ------
    ValueError
        If there are fewer layers, or they would keep random weights.
    """
    if not begun and freeze not in ("none", 0):
        raise ValueError(
            f"freeze={freeze!r} without init_from would keep random weights; pass the model to "
            "begin from as init_from"
        )
    if isinstance(freeze, str):
        return {"none": 0, "convs": 1 + n_conv}[freeze]
    if freeze > 1 + n_conv:
        raise ValueError(
            f"freeze={freeze}, but with n_conv={n_conv} there are {1 + n_conv} layers to freeze: "
            "the embedding and the convolutions"
        )
    return freeze


def conv_groups(lr: float, factor: float) -> list[tuple[str, dict[str, float]]]:
    """Return skorch's parameter groups for a learning rate of their own.

    Parameters
    ----------
    lr : float
        Learning rate of the head.
    factor : float
        Learning rate of embedding and convolutions as a share of it.

    Returns
    -------
    list of (str, dict)
        Pattern of names and options of the optimizer.
    """
    return [(f"trained.{part}.*", {"lr": lr * factor}) for part in ("embedding", "convs")]


def set_conv_lr(optimizer: torch.optim.Optimizer, lr: float, factor: float) -> None:
    """Change the learning rates of `conv_groups`, if the optimizer was made with them.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Its last group is the head.
    lr, factor : float
        As for `conv_groups`.
    """
    for group in optimizer.param_groups[:-1] if factor != 1 else []:
        group["lr"] = lr * factor


def _check_fit(net: CrystalGraphConvNet, source: SourceModel) -> None:
    own, other = _shape(net.state_dict()), _shape(source.weights)
    wrong = [
        f"{name} is {other[name]} there and {value} here"
        for name, value in own.items()
        if other.get(name, value) != value
    ]
    if wrong:
        raise ValueError(
            f"{source.name} does not fit: {'; '.join(wrong)}. Pass the same values, for example "
            "with **skcgcnn.checkpoints.architecture(init_from)"
        )


def _head_shape(weights: dict[str, Tensor]) -> dict[str, torch.Size]:
    hidden = ("conv_to_fc.", "fcs.")
    return {name: tensor.shape for name, tensor in weights.items() if name.startswith(hidden)}


def _take_outputs(net: CrystalGraphConvNet, tasks: list[Task], source: SourceModel) -> None:
    free = list(zip(source.tasks, _rows(source.tasks), strict=True))
    with torch.no_grad():
        for task, rows in zip(tasks, _rows(tasks), strict=True):
            match = next((entry for entry in free if entry[0] == task), None)
            if match is not None:
                free.remove(match)
                net.fc_out.weight[rows] = source.weights["fc_out.weight"][match[1]].to(
                    net.fc_out.weight
                )
                net.fc_out.bias[rows] = source.weights["fc_out.bias"][match[1]].to(net.fc_out.bias)


def _rows(tasks: list[Task]) -> list[slice]:
    """Return the outputs of every task."""
    ends = torch.cumsum(torch.tensor([task.n_outputs for task in tasks]), 0).tolist()
    return [slice(end - task.n_outputs, end) for task, end in zip(tasks, ends, strict=True)]
