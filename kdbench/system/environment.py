"""Versions, machine and commit of a run. They are recorded but never compared."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from kdbench.text import counted

_PACKAGES = ("torch", "transformers", "tokenizers", "lm_eval", "rouge_score", "rapidfuzz", "numpy")

_READ_ONLY = ("--no-optional-locks",)  # else `git status` writes the user's index


def environment() -> dict[str, Any]:
    """Python, platform, package versions and GPUs."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "gpus": gpus,
        "threads": torch.get_num_threads(),
    }


def device_name(device: str) -> str:
    """The name of a device: that of the GPU, or the processor and its number of threads."""
    import torch

    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    if device != "cpu":
        return device
    threads = torch.get_num_threads()
    return f"{_processor()} ({counted(threads, 'thread')})"


def _processor() -> str:
    info = Path("/proc/cpuinfo")  # Linux; elsewhere Python knows
    lines = info.read_text("utf-8", "replace").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine() or "CPU")


def git_state() -> dict[str, Any] | None:
    """The working folder's commit, and whether files were changed; None outside a checkout."""
    commit = _git("rev-parse", "HEAD")
    return (
        None
        if commit is None
        else {"commit": commit, "dirty": bool(_git(*_READ_ONLY, "status", "-s"))}
    )


def git_user() -> str | None:
    """The name of the git user in this folder; None without git or a name."""
    return _git("config", "user.name") or None


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except OSError:  # git is not installed
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
