"""What each node of a table needs of a machine: stated in the table's file, or derived."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.config import EvalSettings
from kdbench.config.build_keys import BuildSettings
from kdbench.config.resources import NodeResourceKeys, ResourceKeys
from kdbench.errors import InputError
from kdbench.filling.build_node import BuildNode
from kdbench.filling.graph import Graph
from kdbench.filling.nodes import EvaluateNode, Node, TrainNode
from kdbench.text import counted

# Options of engines that spread one model over several GPUs, as vLLM calls them.
_PARALLEL = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
_WEIGHTS = ("*.safetensors", "*.bin", "*.gguf")
_GIB = 1024**3
_LIBRARIES = 2 * _GIB  # of main memory, for Python, torch and the data
_COPIES_OF_TRAINING = 6  # of the student in float32: weights, gradients, two moments, a state


@dataclass(frozen=True)
class Resources:
    """What a node needs.

    Attributes:
        gpus: GPUs; a number below 1 is a share of one.
        needs_gpu: Whether it cannot do without them; otherwise it runs on the CPU where there are
            none.
        cpus: Processor cores; None if nothing states them.
        memory: Main memory in bytes, as the table's file states it; None if it does not.
        likely_memory: An estimate from the size of the models; None if that is not known.
        is_stated: Whether the table's file, or an option of the engine, states the GPUs.
        device: Device that the node's keys name: `auto`, `cuda`, `cuda:1`, `cpu`.
    """

    gpus: float = 0.0
    needs_gpu: bool = False
    cpus: int | None = None
    memory: int | None = None
    likely_memory: int | None = None
    is_stated: bool = False
    device: str = "auto"

    def gpus_of(self, has_gpus: bool) -> float:
        """The GPUs to ask for, of a machine or cluster that has some or none."""
        return self.gpus if has_gpus or self.needs_gpu else 0.0

    def text(self, has_gpus: bool | None = None) -> str:
        """The same for people: `2 GPUs, 4 CPUs, 24.0 GiB`; empty if nothing is needed.

        Args:
            has_gpus: Whether there are GPUs where it runs; None if that is not known yet.
        """
        parts = []
        gpus = self.gpus if has_gpus is None else self.gpus_of(has_gpus)
        if gpus:
            where = "" if has_gpus is not None or self.needs_gpu else " if there are any"
            parts.append(f"{gpu_count(gpus)}{where}")
        if self.cpus is not None:
            parts.append(counted(self.cpus, "CPU"))
        if self.memory is not None:
            parts.append(memory_size(self.memory))
        return ", ".join(parts)


def gpu_count(gpus: float) -> str:
    """A number of GPUs for people: `1 GPU`, `4 GPUs`, `0.5 GPU`."""
    return counted(int(gpus), "GPU") if gpus == int(gpus) else f"{gpus:.3g} GPU"


def memory_size(size: int) -> str:
    """A size of memory for people, in the unit of the schedulers."""
    return f"{size / _GIB:.1f} GiB"


class Needs:
    """What the nodes of a table need.

    Args:
        graph: The graph of the table.

    Raises:
        InputError: A training asks for several GPUs.
    """

    def __init__(self, graph: Graph):
        self._graph = graph
        rows = dict(_rows(graph))
        self._of = {key: self._needs(node, rows) for key, node in graph.nodes.items()}

    def of(self, node: Node) -> Resources:
        """What a node needs; nothing for one that is not of the table."""
        return self._of.get(node.key, Resources())

    def _needs(self, node: Node, rows: Mapping[str, NodeResourceKeys]) -> Resources:
        if isinstance(node, BuildNode):
            return self._build(node)
        if not isinstance(node, TrainNode | EvaluateNode):
            return Resources()
        part = node.kind
        table, row = self._graph.spec.resources, rows.get(node.label, NodeResourceKeys())
        keys = _over(getattr(table, part), getattr(row, part))
        if isinstance(node, TrainNode):
            return self._training(node, keys)
        return self._evaluation(node, keys)

    def _build(self, node: BuildNode) -> Resources:
        spec, settings, builder = self._graph.spec, node.recipe.settings, node.recipe.builder
        stated = ResourceKeys.model_validate(spec.data_sets[node.label].get("resources") or {})
        keys = _over(spec.resources.build, stated)
        models = [getattr(builder, key) for key in builder.models]
        gpus = _gpus_of_engine(settings)
        memory = self._memory_beside({model for model in models if model is not None})
        return _resources(keys, settings.device, gpus if any(models) else 0, gpus > 1, memory)

    def _training(self, node: TrainNode, keys: ResourceKeys) -> Resources:
        if keys.gpus is not None and keys.gpus > 1:
            raise InputError(
                f"resources: train: gpus: {keys.gpus:g}: fill trains on one GPU; train "
                f"{node.label} with torchrun and kdbench train, and give its folder as checkpoint:"
            )
        settings = node.recipe.settings
        sizes = [self._size(settings.teacher), self._size(settings.student)]
        memory = None
        if sizes[1] is not None:
            weights = 2 * (sizes[0] or 0) + _COPIES_OF_TRAINING * sizes[1]
            memory = _LIBRARIES + weights
        return _resources(keys, settings.device, 1, False, memory)

    def _evaluation(self, node: EvaluateNode, keys: ResourceKeys) -> Resources:
        settings, gpus = node.settings, _gpus_of_engine(node.settings)
        models = {settings.model, settings.teacher, settings.undistilled} - {None}
        memory = self._memory_beside(models)
        return _resources(keys, settings.device, gpus, gpus > 1, memory)

    def _memory_beside(self, models: Set[Any]) -> int | None:
        """Memory for two copies of the largest of some models; None if a size is not known."""
        sizes = [self._size(model) for model in models]
        known = [size for size in sizes if size is not None]
        return _LIBRARIES + 2 * max(known, default=0) if len(known) == len(sizes) else None

    def _size(self, model: Any) -> int | None:
        """Bytes of a model's weights, or of the student that it will be trained from."""
        if model is None:
            return None
        folder = Path(str(model))
        if folder.is_file():
            return folder.stat().st_size
        if folder.is_dir():
            files = [file for pattern in _WEIGHTS for file in folder.glob(pattern)]
            return sum(file.stat().st_size for file in files) or None
        for node in self._graph.nodes.values():
            if isinstance(node, TrainNode) and node.place == folder:
                return self._size(node.recipe.settings.student)
        return None


def resources_of_evaluation(settings: EvalSettings) -> Resources:
    """What an evaluation needs if nothing is stated.

    Args:
        settings: What it measures, and how.
    """
    gpus = _gpus_of_engine(settings)
    return _resources(ResourceKeys(), settings.device, gpus, gpus > 1, None)


def _gpus_of_engine(settings: EvalSettings | BuildSettings) -> int:
    """The GPUs over which the engine of an evaluation or a builder spreads its model."""
    gpus = 1
    for name in _PARALLEL:
        value = settings.backend_options.get(name, 1)
        gpus *= value if isinstance(value, int) and value > 0 else 1
    return gpus


def _resources(
    keys: ResourceKeys, device: str, gpus: float, is_stated: bool, memory: int | None
) -> Resources:
    """The keys, and what the rest follows from."""
    kind = device.partition(":")[0]
    if keys.gpus is not None:
        gpus, needs_gpu, is_stated = keys.gpus, keys.gpus > 0, True
    elif kind in ("auto", "cuda"):
        needs_gpu = kind == "cuda"
    else:
        gpus, needs_gpu, is_stated = 0, False, False
    return Resources(gpus, needs_gpu, keys.cpus, keys.memory, memory, is_stated, device)


def _over(table: ResourceKeys, row: ResourceKeys) -> ResourceKeys:
    """The keys of the table, and those of the row over them."""
    given = row.model_dump(include=row.model_fields_set)
    return table.model_copy(update=given)


def _rows(graph: Graph) -> "list[tuple[str, NodeResourceKeys]]":
    """The resources of each model of the rows, by its label."""
    spec = graph.spec
    seeds = spec.train_seeds if isinstance(spec.train_seeds, int) else len(spec.train_seeds)
    entries = [entry for entry in spec.rows for _ in range(1 if entry.train is None else seeds)]
    named = [(model.label, entry) for model, entry in zip(graph.rows, entries, strict=True)]
    named.append((graph.teacher.label, spec.teacher))
    if spec.student is not None and spec.student.train is not None:
        student = next(n for n in graph.nodes.values() if n.label not in dict(named))
        named.append((student.label, spec.student))
    return [(label, entry.resources) for label, entry in named]
