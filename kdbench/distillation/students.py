"""Students that are made: a pruned teacher, or random weights."""

import json
import re
from pathlib import Path
from typing import Any

from kdbench.checkpoint import (
    Checkpoint,
    describe,
    find_checkpoint,
    load_checkpoint,
    load_tokenizer,
    one_line,
)
from kdbench.errors import InputError

_PRUNE = re.compile(r"prune:(?P<model>.+),layers=(?P<layers>\d+)")
_RANDOM = re.compile(r"random:(?P<config>.+)")


class Student:
    """What `student=` names: a checkpoint, `prune:MODEL,layers=N` or `random:CONFIG`.

    `prune` keeps the first and the last layers of a model and drops a block in the middle: far
    better to start from than every other layer. `random` takes an architecture from a config.json
    (or its folder) and its tokenizer from beside it, or else from the teacher.

    Args:
        spec: the word after `student=`; in `prune:teacher,…` the teacher's own checkpoint is meant.
        teacher: what `teacher=` names, if anything.
        seed: of random weights.

    Raises:
        InputError: no such checkpoint or configuration.
    """

    def __init__(self, spec: str, teacher: Checkpoint | None, seed: int, unsafe_pickle: bool):
        self.spec, self.seed = spec, seed
        self._layers: int | None = None
        self._config: Path | None = None
        if spec.startswith("prune:"):
            self.checkpoint = self._pruned(spec, teacher, unsafe_pickle)
        elif found := _RANDOM.fullmatch(spec):
            self.checkpoint = self._random(Path(found["config"]), teacher)
        else:
            self.checkpoint = find_checkpoint(spec, unsafe_pickle=unsafe_pickle, key="student")

    @property
    def identity(self) -> dict[str, Any]:
        """Name and hash, for the run card."""
        made = {} if self._layers is None else {"layers": self._layers}
        if self._config:
            made = {"config": json.loads(self._config.read_text("utf-8")), "seed": self.seed}
        name = self._config.parent.name if self._config else self.checkpoint.name
        return {"name": name, "sha256": self.checkpoint.sha256, **made}

    def load_tokenizer(self, trust_remote_code: bool = False) -> Any:
        """The student's tokenizer."""
        return load_tokenizer(self.checkpoint, trust_remote_code)

    def load(self, device: str, trust_remote_code: bool = False) -> Any:
        """The student before training, float32; equal at every call."""
        if self._config:
            return _with_random_weights(self._config, self.seed).to(device)
        model, _ = load_checkpoint(self.checkpoint, "float32", device, trust_remote_code)
        return model if self._layers is None else prune(model, self._layers)

    def _pruned(self, spec: str, teacher: Checkpoint | None, unsafe_pickle: bool) -> Checkpoint:
        found = _PRUNE.fullmatch(spec)
        if found is None:
            raise InputError(f"student={spec}: must be prune:MODEL,layers=N")
        self._layers = int(found["layers"])
        if found["model"] != "teacher":
            return find_checkpoint(found["model"], unsafe_pickle=unsafe_pickle, key="student")
        if teacher is None:
            raise InputError(f"student={spec}: there is no teacher=")
        return teacher

    def _random(self, config: Path, teacher: Checkpoint | None) -> Checkpoint:
        self._config = config / "config.json" if config.is_dir() else config
        if not self._config.is_file():
            raise InputError(f"student={self.spec}: no such config.json")
        if any(self._config.parent.glob("tokenizer*")):
            return describe(self._config.parent)
        if teacher is None:
            raise InputError(f"student={self.spec}: needs teacher= for its tokenizer")
        return teacher


def prune(model: Any, layers: int) -> Any:
    """A copy with the first and last layers of a model, `layers` in all, the middle dropped.

    Raises:
        InputError: not fewer layers than the model has, or an architecture whose layers are not
            found.
    """
    whole = model.config.num_hidden_layers
    if not 1 <= layers < whole:
        raise InputError(f"layers={layers}: the model has {whole}; give 1 to {whole - 1}")
    first = (layers + 1) // 2
    kept = [*range(first), *range(whole - (layers - first), whole)]
    prefix = _layers_prefix(model, whole)
    config = type(model.config).from_dict(_with_layers(model.config.to_dict(), kept))
    student = type(model)(config)
    place = {old: new for new, old in enumerate(kept)}
    weights = {}
    for name, weight in model.state_dict().items():
        if not name.startswith(prefix):
            weights[name] = weight
            continue
        index, _, rest = name.removeprefix(prefix).partition(".")
        if int(index) in place:
            weights[f"{prefix}{place[int(index)]}.{rest}"] = weight
    student.load_state_dict(weights)
    student.generation_config = model.generation_config
    return student.to(model.device, model.dtype).eval()


def _with_layers(config: dict[str, Any], kept: list[int]) -> dict[str, Any]:
    """The configuration of the kept layers; lists with an entry a layer are cut alike."""
    whole = config["num_hidden_layers"] if "num_hidden_layers" in config else config["n_layer"]
    cut = {
        key: [value[index] for index in kept]
        for key, value in config.items()
        if isinstance(value, list) and len(value) == whole
    }
    count = "num_hidden_layers" if "num_hidden_layers" in config else "n_layer"
    return {**config, **cut, count: len(kept)}


def _layers_prefix(model: Any, layers: int) -> str:
    import torch

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == layers:
            return f"{name}."
    raise InputError(f"{type(model).__name__}: its layers are not found; it cannot be pruned")


def _with_random_weights(config: Path, seed: int) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with one_line(config), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(config))
    return model.float().eval()


def turn_dropout_off(model: Any) -> None:
    """Set every dropout probability to 0, whether a module or a number holds it."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name, value in list(vars(module).items()):
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)
