"""Where a student comes from: a checkpoint, a pruned model, or random weights."""

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kdbench.checkpoint import (
    Checkpoint,
    Quantisation,
    check_checkpoint,
    check_quantisable,
    check_sizes,
    describe,
    find_checkpoint,
    load_checkpoint,
    load_tokenizer,
    one_line,
    read_object,
)
from kdbench.config import CACHE, is_on_server
from kdbench.distillation.layer_search import LayerSearch, SearchMetric, search_layers
from kdbench.distillation.processes import process_number
from kdbench.distillation.pruning import check_prunable, prune
from kdbench.errors import InputError
from kdbench.system.console import report_progress
from kdbench.system.progress import slow_step
from kdbench.views.rollout import Example

_PRUNE = re.compile(r"prune:(?P<model>.+),layers=(?P<layers>\d+)")
_SEARCH = re.compile(
    r"search:(?P<model>.+?),layers=(?P<layers>\d+)(?:,metric=(?P<metric>kl|relation))?"
)
_RANDOM = re.compile(r"random:(?P<config>.+)")


def check_student(spec: str, teacher: str | None, unsafe_pickle: bool = False) -> None:
    """Check what `student=` names, without hashing a checkpoint or asking the Hub.

    Args:
        spec: The value of `student=`.
        teacher: The value of `teacher=`; None if it is not given.
        unsafe_pickle: Whether to read pickle weights.

    Raises:
        InputError: the checkpoint or configuration does not exist, or is incomplete.
    """
    model = spec
    if random := _RANDOM.fullmatch(spec):
        if not _config_file(random["config"]).is_file():
            raise InputError(f"student={spec}: no such config.json")
        return
    if spec.startswith(("prune:", "search:")):
        model = _matched(spec)["model"]
        if model == "teacher" and teacher is None:
            raise InputError(f"student={spec}: teacher= is missing")
        if model == "teacher" and str(teacher).startswith(CACHE):
            raise InputError(
                f"student={spec}: a cache has no weights; name the teacher's checkpoint"
            )
        if model == "teacher" and is_on_server(teacher):
            raise InputError(
                f"student={spec}: a server gives no weights; name the teacher's checkpoint"
            )
        model = str(teacher) if model == "teacher" else model
    check_checkpoint(model, None, unsafe_pickle, "student")


def _matched(spec: str) -> re.Match[str]:
    """The parts of `prune:MODEL,layers=N` or `search:MODEL,layers=N,metric=…`."""
    if spec.startswith("search:"):
        match = _SEARCH.fullmatch(spec)
        form = "search:MODEL,layers=N,metric=kl|relation"
    else:
        match, form = _PRUNE.fullmatch(spec), "prune:MODEL,layers=N"
    if match is None:
        raise InputError(f"student={spec}: must be {form}")
    return match


def _config_file(path: str) -> Path:
    """The config.json that `random:` names, by itself or by its folder."""
    config = Path(path)
    return config / "config.json" if config.is_dir() else config


class StudentSource:
    """What `student=` names: a checkpoint, `prune:`, `search:` or `random:`.

    `prune` keeps the first and the last layers of a model and drops a block in the middle, a far
    better start than every other layer. `search` keeps those that `layer_search` finds. `random`
    takes the architecture from a config.json (or its folder), and the tokenizer from the same
    folder or else from the teacher.

    Args:
        spec: The value of `student=`; in `prune:teacher,…` the model is that of `teacher=`.
        teacher: The checkpoint of `teacher=`; None if it is not given.
        seed: Seed of the random weights.
        unsafe_pickle: Whether to read pickle weights, which may run code.
        trust_remote_code: Whether Python code that comes with a checkpoint may run.

    Attributes:
        examples: The training examples, on which `search` ranks layers.
        search: What it found, once the student was loaded.

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
        self.examples: Sequence[Example] = ()
        self.search: LayerSearch | None = None
        self._layers: int | None = None
        self._metric: SearchMetric | None = None
        self._config: Path | None = None
        if spec.startswith(("prune:", "search:")):
            self.checkpoint = self._pruned(spec, teacher, find)
        elif random := _RANDOM.fullmatch(spec):
            self.checkpoint = self._random(_config_file(random["config"]), teacher)
        else:
            self.checkpoint = find(spec)

    @property
    def identity(self) -> dict[str, Any]:
        """Name, hash, and how it was made if it was; for the run card."""
        origin: dict[str, Any] = {} if self._layers is None else {"layers": self._layers}
        if self._metric is not None:
            origin["search"] = self._metric
        if self._config:
            origin = {"config": json.loads(self._config.read_text("utf-8")), "seed": self.seed}
        name = self._config.parent.name if self._config else self.checkpoint.name
        return {"name": name, "sha256": self.checkpoint.sha256, **origin}

    @property
    def config_file(self) -> Path | None:
        """The configuration that gets random weights; None for other students."""
        return self._config

    def load_tokenizer(self, trust_remote_code: bool = False) -> Any:
        """Load the student's tokenizer."""
        return load_tokenizer(self.checkpoint, trust_remote_code)

    def load(
        self,
        device: str,
        trust_remote_code: bool = False,
        quantisation: Quantisation | None = None,
    ) -> Any:
        """Load the student before training in float32; each call returns an equal copy.

        Args:
            device: Where it goes.
            trust_remote_code: Whether Python code that comes with a checkpoint may run.
            quantisation: How its linear layers are quantised; None leaves them.
        """
        if self._config:
            return _with_random_weights(self._config, self.seed).to(device)
        with slow_step(f"loading {self.checkpoint.name}"):
            model, _ = load_checkpoint(
                self.checkpoint, "float32", device, trust_remote_code, quantisation
            )
        if self._layers is None:
            return model
        if self._metric is None:
            return prune(model, self._layers)
        if self.search is None:
            self.search = search_layers(model, self._layers, self._metric, self.examples, self.seed)
            if process_number() == 0:
                report_progress(f"note: student={self.spec}: {self.search}")
        return prune(model, self.search.layers)

    def config(self, trust_remote_code: bool = False) -> Any:
        """Load only the configuration of the language model."""
        from transformers import AutoConfig

        path = self._config or self.checkpoint.path
        file = None if self._config else self.checkpoint.gguf
        options = {"gguf_file": file} if file else {}
        with one_line(path):
            return AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code, **options)

    @property
    def end_tokens(self) -> frozenset[int]:
        """The ids that end a response according to its generation_config.json."""
        file = self.checkpoint.path / "generation_config.json"
        named = read_object(file).get("eos_token_id") if file.is_file() else None
        return frozenset({*named} if isinstance(named, list) else {named}) - {None}

    @property
    def has_router_loss(self) -> bool:
        """Whether its configuration names the weight of a router loss."""
        file = self._config or self.checkpoint.path / "config.json"
        return file.is_file() and '"router_aux_loss_coef"' in file.read_text("utf-8", "replace")

    def check(self, trust_remote_code: bool = False, quantised: bool = False) -> None:
        """Check what the configuration shows, before weights are loaded and a teacher works.

        Args:
            trust_remote_code: Whether Python code that comes with a checkpoint may run.
            quantised: Whether the weights are to be quantised.

        Raises:
            InputError: the weights are quantised or cannot be, or the layers cannot be dropped.
        """
        if quantised:
            if self._config is not None or self._layers is not None:
                raise InputError(
                    f"student_quantization=: student={self.spec} is made before it is trained; "
                    "train it without, and pass the folder of that checkpoint"
                )
            check_quantisable(self.checkpoint, "student_quantization")
        if self._config is not None:
            return
        config = self.config(trust_remote_code)
        if getattr(config, "quantization_config", None) and not self.checkpoint.gguf:
            raise InputError(
                f"student={self.spec}: its weights are quantised, and cannot be trained; pass the "
                "checkpoint that they were made from, with lora_rank= to save memory"
            )
        if self._layers is not None:
            check_prunable(config, self._layers, trust_remote_code)

    def _pruned(
        self, spec: str, teacher: Checkpoint | None, find: Callable[[str], Checkpoint]
    ) -> Checkpoint:
        match = _matched(spec)
        self._layers = int(match["layers"])
        if spec.startswith("search:"):
            self._metric = "relation" if match["metric"] == "relation" else "kl"
        if match["model"] != "teacher":
            return find(match["model"])
        if teacher is None:
            raise InputError(f"student={spec}: teacher= is missing")
        return teacher

    def _random(self, config: Path, teacher: Checkpoint | None) -> Checkpoint:
        self._config = config
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
