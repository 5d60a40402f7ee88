"""Which processor does the arithmetic, and what a person calls it."""

import torch

from lecdiff_core.errors import UserError


def choose_device(name: str) -> torch.device:
    """`auto` is the first GPU where there is one, else the CPU; otherwise any torch device name."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"{name!r} is not a device; use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("there is no CUDA device on this machine; use --device cpu or auto")
    return device


def device_label(device: torch.device) -> str:
    """What a person calls the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads != 1 else ''}"
