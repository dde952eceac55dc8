"""The processes of a distributed run, from the variables that torchrun and accelerate set."""

import importlib.util
import os
from typing import Literal

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


Sharding = Literal["FSDP2", "DeepSpeed"]


def sharding() -> Sharding | None:
    """What spreads the student over the processes, as accelerate's launcher says; None is nothing.

    Raises:
        InputError: a variable has no meaning, or asks for what is not supported.
    """
    fsdp, deepspeed = _is_on("ACCELERATE_USE_FSDP"), _is_on("ACCELERATE_USE_DEEPSPEED")
    if fsdp and deepspeed:
        raise InputError(
            "ACCELERATE_USE_FSDP and ACCELERATE_USE_DEEPSPEED are both true; unset one of them"
        )
    if (fsdp or deepspeed) and local_number() is None:
        name = "ACCELERATE_USE_FSDP" if fsdp else "ACCELERATE_USE_DEEPSPEED"
        raise InputError(
            f"{name}=true: no launcher has started this process; use torchrun, with "
            "--nproc-per-node=1 for a single one"
        )
    if fsdp and os.environ.get("FSDP_VERSION", "1") != "2":
        raise InputError(
            "ACCELERATE_USE_FSDP=true: FSDP1 is not supported; pass --fsdp_version 2 to accelerate "
            "launch, or set FSDP_VERSION=2"
        )
    if deepspeed and importlib.util.find_spec("deepspeed") is None:
        raise InputError(
            "ACCELERATE_USE_DEEPSPEED=true: deepspeed is not installed: pip install deepspeed"
        )
    return "FSDP2" if fsdp else "DeepSpeed" if deepspeed else None


def _is_on(name: str) -> bool:
    """Whether a variable is true in the one way that accelerate understands."""
    value = os.environ.get(name, "").lower()
    if value not in ("", "0", "no", "false", "true"):
        raise InputError(f"{name}={os.environ[name]}: must be true or false")
    return value == "true"


def prepare_sharding() -> None:
    """Set what accelerate's launcher leaves open, before an accelerator is made."""
    if sharding() == "FSDP2":
        os.environ.setdefault("FSDP_AUTO_WRAP_POLICY", "TRANSFORMER_BASED_WRAP")
        # Each process reads whole checkpoints: teacher and companions are whole on each of them.
        os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"


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
    sharding()
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
