"""Where a teacher is: on the student's device or another one, whole, quantised or offloaded."""

from typing import TYPE_CHECKING, Any

from kdbench.checkpoint import (
    Checkpoint,
    check_quantisable,
    check_quantisation,
    check_readable,
    load_checkpoint,
    pick_device,
    quantised_format,
)
from kdbench.config import TrainSettings
from kdbench.distillation.processes import process_count
from kdbench.errors import InputError
from kdbench.system.progress import slow_step

if TYPE_CHECKING:
    import torch


def teacher_device(settings: TrainSettings, student_device: str) -> str:
    """The device of this process's teacher.

    Args:
        settings: The settings of the run.
        student_device: The device of this process's student.

    Raises:
        InputError: it is not available, several processes would share it, or there is no GPU for
            which to offload.
    """
    asked = settings.teacher_device
    if settings.teacher_offload and student_device == "cpu" and asked is None:
        raise InputError(
            "teacher_offload=true: the teacher runs on a CPU, whose memory it has; leave it out"
        )
    if asked is None:
        return student_device
    if process_count() > 1 and asked != "cpu":
        raise InputError(
            f"teacher_device={asked}: the teachers of {process_count()} processes would share it; "
            "leave it out, so that each is on the device of its student"
        )
    return pick_device(asked, "teacher_device")


def check_teacher(settings: TrainSettings, teacher: Checkpoint | None, device: str) -> None:
    """Check that the teacher's weights can be quantised, or read if they are already.

    Args:
        settings: The settings of the run.
        teacher: The teacher; None if there is none.
        device: Result of `teacher_device`.

    Raises:
        InputError: they cannot.
    """
    if teacher is None:
        return
    if settings.teacher_quantization is not None:
        check_quantisation("teacher_quantization")
        check_quantisable(teacher, "teacher_quantization")
    if quantised_format(teacher) in (None, "gguf"):
        return
    check_readable(teacher, device, "teacher")
    if settings.teacher_offload:
        raise InputError(
            f"teacher_offload=true: the weights in {teacher.path} are quantised, and are not moved "
            "between devices; leave it out"
        )


def load_teacher(
    checkpoint: Checkpoint, settings: TrainSettings, dtype: str, device: str
) -> tuple[Any, Any]:
    """Load the teacher's model, frozen, and its tokenizer.

    Args:
        checkpoint: The teacher's.
        settings: The settings of the run.
        dtype: Number format of the weights.
        device: Result of `teacher_device`.
    """
    import torch

    offload = settings.teacher_offload
    with slow_step(f"loading {checkpoint.name}"):
        model, tokenizer = load_checkpoint(
            checkpoint,
            dtype,
            "cpu" if offload else device,
            settings.trust_remote_code,
            settings.teacher_quantization,
        )
    model.requires_grad_(False)
    if offload:
        offload_layers(model.to(getattr(torch, dtype)), device)
    return model, tokenizer


def offload_layers(model: Any, device: "torch.device | str") -> None:
    """Keep the layers of a frozen model in main memory; each moves to the device for its pass.

    Embeddings, last norm and head are on the device all the time: the loss uses the head once for
    every chunk of positions.

    Args:
        model: On the CPU.
        device: Where it runs.

    Raises:
        InputError: transformers does not say which modules are the layers.
    """
    from accelerate import cpu_offload

    kinds = set(getattr(model, "_no_split_modules", None) or ())
    layers = [module for module in model.modules() if type(module).__name__ in kinds]
    if not layers:
        raise InputError(
            f"teacher_offload=true: {type(model).__name__} does not name its layers; try "
            "teacher_quantization= or teacher_device="
        )
    _move_rest(model, set(layers), device)
    for layer in layers:
        cpu_offload(layer, execution_device=device)


def _move_rest(module: Any, layers: set[Any], device: "torch.device | str") -> None:
    """Move all tensors that are not of the layers; tied ones stay tied."""
    if module in layers:
        return
    for parameter in module.parameters(recurse=False):
        parameter.data = parameter.data.to(device)
    for name, buffer in module.named_buffers(recurse=False):
        module._buffers[name] = buffer.to(device)
    for child in module.children():
        _move_rest(child, layers, device)
