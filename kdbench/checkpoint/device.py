"""The device that a model runs on."""

from kdbench.errors import InputError


def pick_device(device: str, key: str = "device") -> str:
    """The device of a name; `auto` is the first accelerator, or the CPU if there is none.

    Args:
        device: The name.
        key: The setting that names it, for the message.

    Raises:
        InputError: The device is not available.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{key}={device}: not available on this machine ({reason})") from None
    return device
