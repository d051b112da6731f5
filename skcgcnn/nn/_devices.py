"""Where a network runs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from skcgcnn._warnings import warn_caller


def accelerator_of(device: Any) -> Any:
    """Return the processes that a parameter stands for; None where it is a device."""
    is_one = hasattr(device, "prepare") and not isinstance(device, type)
    return device if is_one else None


def lasting_device(device: Any) -> Any:
    """Return a device that is there later and in other processes too: processes end some time."""
    return device if accelerator_of(device) is None else "auto"


def choose_device(device: Any, *, fall_back: bool = False) -> Any:
    """Return the torch device for a parameter, and check that it is there.

    With `fall_back`, a model that was on a GPU goes to the CPU where there is none.
    """
    if (accelerator := accelerator_of(device)) is not None:
        return accelerator.device
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device={device!r} is an unknown torch device") from error
    available: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "xpu": torch.xpu.is_available,
        "meta": lambda: False,  # it holds no numbers
    }
    if kind not in available or available[kind]():
        return device
    if fall_back:
        warn_caller(
            f"the model was on {device!r}, but torch sees no such device: it goes to the CPU"
        )
        return "cpu"
    raise ValueError(f"device={device!r}, but torch sees no such device; use 'auto' or 'cpu'")


def made_on_cpu() -> AbstractContextManager[Any]:
    """Return a context in which torch makes tensors on the CPU, whatever its default device is.

    A mode of torch loses Ctrl-C that comes while torch pauses it, at each tensor that is made. Few
    need one: mostly the CPU is the default.
    """
    return nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")
