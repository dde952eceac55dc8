"""Where a student comes from: a checkpoint, a pruned model, or random weights."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from kdbench.checkpoint import (
    Checkpoint,
    check_sizes,
    describe,
    find_checkpoint,
    load_checkpoint,
    load_tokenizer,
    one_line,
    read_object,
)
from kdbench.errors import InputError

_PRUNE = re.compile(r"prune:(?P<model>.+),layers=(?P<layers>\d+)")
_RANDOM = re.compile(r"random:(?P<config>.+)")


class StudentSource:
    """What `student=` names: a checkpoint, `prune:MODEL,layers=N` or `random:CONFIG`.

    `prune` keeps the first and the last layers of a model and drops a block in the middle, a far
    better start than every other layer. `random` takes the architecture from a config.json (or its
    folder), and the tokenizer from the same folder or else from the teacher.

    Args:
        spec: The value of `student=`; in `prune:teacher,…` the model is that of `teacher=`.
        teacher: The checkpoint of `teacher=`; None if it is not given.
        seed: Seed of the random weights.
        unsafe_pickle: Whether to read pickle weights, which may run code.
        trust_remote_code: Whether Python code that comes with a checkpoint may run.

    Raises:
        InputError: the checkpoint or configuration does not exist.
    """

    def __init__(
        self,
        spec: str,
        teacher: Checkpoint | None,
        seed: int,
        unsafe_pickle: bool = False,
        trust_remote_code: bool = False,
    ):
        self.spec, self.seed = spec, seed
        find = partial(
            find_checkpoint,
            unsafe_pickle=unsafe_pickle,
            key="student",
            trust_remote_code=trust_remote_code,
        )
        self._layers: int | None = None
        self._config: Path | None = None
        if spec.startswith("prune:"):
            self.checkpoint = self._pruned(spec, teacher, find)
        elif random := _RANDOM.fullmatch(spec):
            self.checkpoint = self._random(Path(random["config"]), teacher)
        else:
            self.checkpoint = find(spec)

    @property
    def identity(self) -> dict[str, Any]:
        """Name, hash, and how it was made if it was; for the run card."""
        origin = {} if self._layers is None else {"layers": self._layers}
        if self._config:
            origin = {"config": json.loads(self._config.read_text("utf-8")), "seed": self.seed}
        name = self._config.parent.name if self._config else self.checkpoint.name
        return {"name": name, "sha256": self.checkpoint.sha256, **origin}

    def load_tokenizer(self, trust_remote_code: bool = False) -> Any:
        """Load the student's tokenizer."""
        return load_tokenizer(self.checkpoint, trust_remote_code)

    def load(self, device: str, trust_remote_code: bool = False) -> Any:
        """Load the student before training in float32; each call returns an equal copy."""
        if self._config:
            return _with_random_weights(self._config, self.seed).to(device)
        model, _ = load_checkpoint(self.checkpoint, "float32", device, trust_remote_code)
        return model if self._layers is None else prune(model, self._layers)

    def _pruned(
        self, spec: str, teacher: Checkpoint | None, find: Callable[[str], Checkpoint]
    ) -> Checkpoint:
        match = _PRUNE.fullmatch(spec)
        if match is None:
            raise InputError(f"student={spec}: must be prune:MODEL,layers=N")
        self._layers = int(match["layers"])
        if match["model"] != "teacher":
            return find(match["model"])
        if teacher is None:
            raise InputError(f"student={spec}: teacher= is missing")
        return teacher

    def _random(self, config: Path, teacher: Checkpoint | None) -> Checkpoint:
        self._config = config / "config.json" if config.is_dir() else config
        if not self._config.is_file():
            raise InputError(f"student={self.spec}: no such config.json")
        check_sizes(read_object(self._config), self._config)
        if any(self._config.parent.glob("tokenizer*")):
            return describe(self._config.parent)
        if teacher is None:
            raise InputError(
                f"student={self.spec}: no tokenizer in its folder; pass teacher= to use its"
            )
        return teacher


def prune(model: Any, layers: int) -> Any:
    """Copy a model without a block of layers in the middle.

    Args:
        model: The model to copy.
        layers: Number of layers to keep: the first half, rounded up, and the last.

    Raises:
        InputError: there is nothing to drop, or the layers of this architecture are not found.
    """
    total = model.config.num_hidden_layers
    if not 1 <= layers < total:
        raise InputError(f"layers={layers}: the model has {total}; give 1 to {total - 1}")
    first = (layers + 1) // 2
    kept = [*range(first), *range(total - (layers - first), total)]
    prefix = _layers_prefix(model, total)
    config = type(model.config).from_dict(_with_layers(model.config.to_dict(), kept))
    student = type(model)(config)
    new_index = {old: new for new, old in enumerate(kept)}
    weights = {}
    for name, weight in model.state_dict().items():
        if not name.startswith(prefix):
            weights[name] = weight
            continue
        index, _, rest = name.removeprefix(prefix).partition(".")
        if int(index) in new_index:
            weights[f"{prefix}{new_index[int(index)]}.{rest}"] = weight
    student.load_state_dict(weights)
    student.generation_config = model.generation_config
    return student.to(model.device, model.dtype).eval()


def _with_layers(config: dict[str, Any], kept: list[int]) -> dict[str, Any]:
    """The configuration of the kept layers; lists with an entry per layer are cut as well."""
    count = "num_hidden_layers" if "num_hidden_layers" in config else "n_layer"
    cut = {
        key: [value[index] for index in kept]
        for key, value in config.items()
        if isinstance(value, list) and len(value) == config[count]
    }
    return {**config, **cut, count: len(kept)}


def _layers_prefix(model: Any, layers: int) -> str:
    import torch

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == layers:
            return f"{name}."
    raise InputError(f"{type(model).__name__}: cannot be pruned: its layers were not found")


def _with_random_weights(config: Path, seed: int) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with one_line(config), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(config))
    return model.float().eval()


def turn_dropout_off(model: Any) -> None:
    """Set every dropout probability of a model to 0, in modules and in plain attributes."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name, value in list(vars(module).items()):
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)
