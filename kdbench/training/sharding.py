"""A student that is spread over processes: its weights by FSDP2 or ZeRO-3 of DeepSpeed.

Both gather a module's weights for its forward pass, in which all processes take part. Processes
that generate make different numbers of passes, and would wait for each other for ever. So weights
are made whole once for a whole generation or validation.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kdbench.errors import InputError


def turn_fsdp_on(accelerator: Any) -> None:
    """Turn FSDP on for processes on a CPU, where accelerate ignores it.

    Args:
        accelerator: Of the run; left as it is where accelerate has turned FSDP on, and where
            nobody has asked for it.
    """
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    state = accelerator.state
    asked = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    if not asked or state.distributed_type != DistributedType.MULTI_CPU:
        return
    plugin = FullyShardedDataParallelPlugin()
    if state.mixed_precision != "no":
        plugin.set_mixed_precision(state.mixed_precision)
    state.distributed_type, state.fsdp_plugin = DistributedType.FSDP, plugin
    PartialState().distributed_type = DistributedType.FSDP  # which every new state copies


def find_root(model: Any) -> None:
    """Run a model once as it is called, by which FSDP2 learns which module is the whole model.

    An adapter's model is sharded as one, and would else be called by its inner model first.

    Args:
        model: The model as it is called.
    """
    import torch

    if shards := _fsdp_modules(model):
        with torch.no_grad():
            model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=model.device))
        for module in shards:
            module.reshard()


def sharding_of(accelerator: Any) -> str | None:
    """What spreads the student over processes, such as `FSDP2`; None if it is whole on each."""
    from accelerate.utils import DistributedType

    if accelerator.distributed_type == DistributedType.FSDP:
        return "FSDP2"
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        return f"DeepSpeed ZeRO-{accelerator.state.deepspeed_plugin.zero_stage}"
    return None


@contextmanager
def gradients_held_back(accelerator: Any, model: Any) -> Iterator[None]:
    """Add up the gradients of a micro-batch that is not the step's last one.

    With FSDP2 and ZeRO each process keeps its share of them, so they are reduced at once: whole
    gradients would need the memory that sharding saves.

    Args:
        accelerator: Of the run.
        model: The model as it is called.
    """
    from accelerate.utils import DistributedType

    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        state = accelerator.gradient_state  # the engine takes its step in the last backward pass
        state._set_sync_gradients(False)
        try:
            yield
        finally:
            state._set_sync_gradients(True)
    elif accelerator.distributed_type == DistributedType.FSDP:
        yield
    else:
        with accelerator.no_sync(model):
            yield


@contextmanager
def whole_weights(accelerator: Any, model: Any) -> Iterator[None]:
    """Make all weights of a model whole on every process, so that passes need no other process.

    Every process must enter and leave together. Without sharding this does nothing.

    Args:
        accelerator: Of the run.
        model: The model as it is called.
    """
    if _fsdp_modules(model):
        with _unsharded(model, accelerator.state.fsdp_plugin.reshard_after_forward):
            yield
    elif _is_partitioned(model):
        with _gathered(model):
            yield
    else:
        yield


def _fsdp_modules(model: Any) -> list[Any]:
    from torch.distributed.fsdp import FSDPModule

    return [module for module in model.modules() if isinstance(module, FSDPModule)]


@contextmanager
def _unsharded(model: Any, layers_reshard: bool) -> Iterator[None]:
    shards = _fsdp_modules(model)
    for module in shards:
        module.unshard()
        module.set_reshard_after_forward(False, recurse=False)
    try:
        yield
    finally:
        for module in shards:
            module.set_reshard_after_forward(True, recurse=False)
            module.reshard()
            module.set_reshard_after_forward(layers_reshard, recurse=False)
        # The loss uses the head between forward and backward pass. A norm can share its group.
        for module in (model, model.get_output_embeddings()):
            if module in shards:
                module.set_reshard_after_forward(False, recurse=False)


@contextmanager
def _gathered(engine: Any) -> Iterator[None]:
    """ZeRO-3: gather all weights, and take the hooks away that would gather and drop them."""
    import deepspeed

    # As in TRL's unwrap_model_for_generation; DeepSpeed has no function for it.
    hooks = engine.optimizer.parameter_offload
    with deepspeed.zero.GatheredParameters(list(engine.parameters())):
        for parameter in engine.parameters():
            parameter.ds_active_sub_modules.clear()
        for hook in [*hooks.forward_hooks, *hooks.backward_hooks]:
            hook.remove()
        hooks.forward_hooks, hooks.backward_hooks = [], []
        try:
            yield
        finally:
            coordinator = hooks.get_param_coordinator()
            if not coordinator.is_invalid_trace():
                coordinator._invalidate_trace()
            hooks._register_deepspeed_module(hooks.module)


def whole_state(trainer: Any) -> dict[str, Any] | None:
    """All weights of a sharded student, on the CPU of the process that writes; called on all.

    Args:
        trainer: transformers' trainer, after it has wrapped the student.

    Returns:
        The weights by name, empty on other processes; None if the student is not sharded.
    """
    engine = trainer.model_wrapped
    if _fsdp_modules(engine):
        state: dict[str, Any] = trainer.accelerator.get_state_dict(engine)
        return state
    if not _is_partitioned(engine):
        return None
    with _gathered(engine):
        whole = trainer.model.state_dict() if trainer.args.should_save else {}
        return {name: tensor.detach().cpu().clone() for name, tensor in whole.items()}


def is_sharded(model: Any) -> bool:
    """Whether the weights of a model are spread over processes."""
    return bool(_fsdp_modules(model)) or _is_partitioned(model)


def refuse_sharded(model: Any, who_needs: str) -> None:
    """Refuse a student whose weights are spread, where something reads or moves them.

    Args:
        model: The student's model.
        who_needs: What for, such as `a bandit needs`.

    Raises:
        InputError: The weights are spread over processes.
    """
    if is_sharded(model):
        raise InputError(f"{who_needs} whole weights: leave out FSDP and DeepSpeed")


def size_of(parameter: Any) -> int:
    """The number of values of a whole parameter, of which a process may hold a part or a code."""
    if hasattr(parameter, "ds_numel"):
        return int(parameter.ds_numel)
    if hasattr(parameter, "quant_state"):  # two values of 4 bits in a byte
        return math.prod(parameter.quant_state.shape)
    return int(parameter.numel())


def plain_class(model: Any) -> Any:
    """The class of a model as it was before FSDP2 changed it."""
    from torch.distributed.fsdp import FSDPModule

    return next(kind for kind in type(model).__mro__ if not issubclass(kind, FSDPModule))


def _is_partitioned(model: Any) -> bool:
    """Whether ZeRO-3 has partitioned the weights."""
    return any(hasattr(parameter, "ds_id") for parameter in model.parameters())
