"""The processes of a distributed run, from the variables that torchrun sets."""

import os

from kdbench.errors import InputError


def process_count() -> int:
    """The number of processes of the run."""
    return _whole_number("WORLD_SIZE", 1, 1)


def process_number() -> int:
    """The number of this process in the run, from 0."""
    return _whole_number("RANK", 0, 0)


def local_number() -> int | None:
    """The number of this process on its machine; None in a run of one process."""
    return _whole_number("LOCAL_RANK", 0, 0) if "LOCAL_RANK" in os.environ else None


def check_processes() -> None:
    """Check the variables of torchrun and accelerate before anything is loaded.

    Raises:
        InputError: a variable has no meaning, is missing, or asks for what is not supported.
    """
    count, number = process_count(), process_number()
    local_number()
    if number >= count:
        raise InputError(f"RANK={number}: must be below WORLD_SIZE={count}; start with torchrun")
    _check_master(count)
    if os.environ.get("ACCELERATE_DYNAMO_BACKEND", "no").lower() not in ("", "no"):
        raise InputError(
            f"ACCELERATE_DYNAMO_BACKEND={os.environ['ACCELERATE_DYNAMO_BACKEND']}: compiling is "
            "not supported; unset it"
        )


def _check_master(count: int) -> None:
    """Check the address at which the processes of a run meet.

    Raises:
        InputError: The run has several processes or comes from torchrun, and has no such address.
    """
    if count == 1 and "LOCAL_RANK" not in os.environ:
        return
    given = f"WORLD_SIZE={count}" if count > 1 else f"LOCAL_RANK={os.environ['LOCAL_RANK']}"
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        if not os.environ.get(name):
            raise InputError(f"{given}: {name} is not set; start several processes with torchrun")
    _whole_number("MASTER_PORT", 0, 1)


def _whole_number(name: str, default: int, least: int) -> int:
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and least <= int(text) < 2**16):
        raise InputError(f"{name}={text}: must be a whole number, as torchrun sets it")
    return int(text)
