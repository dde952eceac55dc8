"""Whether models, gradients, optimiser and texts fit into the memory."""

from collections.abc import Iterator, Mapping

from kdbench.checkpoint import pick_device
from kdbench.doctor.check import check
from kdbench.doctor.eval_patient import EvalPatient
from kdbench.doctor.finding import CannotRunError, Finding
from kdbench.doctor.patient import Patient
from kdbench.doctor.sizes import amount, architecture, available_memory
from kdbench.doctor.train_patient import TrainPatient
from kdbench.text import aligned

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
# Activations of a layer: 34 bytes for each token and unit of width at two bytes a number, without
# the attention matrix, which is not kept (Korthikanti et al. 2022, arXiv 2205.05198, eq. 1).
_ACTIVATION = 17
_LOGIT_COPIES = 6  # float32 tensors of (chunk, V): logits, log-probabilities and their gradients
_PROCESS = 650e6  # Python, torch and transformers with a data set, before a model is loaded
# A training of 99 million parameters used 4.2 GB where the estimate is 3.6 GB.
_CLOSE = 0.8


@check("memory", "tokens")
def memory(patient: Patient) -> Iterator[Finding]:
    """An estimate of the memory that the work needs, against what is free."""
    if not patient.members:
        return
    device, of_models = _needs(patient)
    needs = {"Python and libraries": _PROCESS, **of_models}
    total, free = sum(needs.values()), available_memory(device)
    patient.facts["memory"] = {"device": device, "bytes": dict(needs), "free": free}
    rows = [*needs.items(), ("together", total), *([] if free is None else [("free", free)])]
    listed = aligned([(f"  {what}", amount(size)) for what, size in rows], left={0})
    patient.sections["memory"] = [f"memory on {device}, estimated", *listed]
    if free is None:
        raise CannotRunError("the free memory of this machine is not known")
    if total <= _CLOSE * free:
        return
    fix = "model= with fewer parameters, dtype=bfloat16, or batch_size="
    if patient.of == "train":
        fix = (
            "micro_batch_size=, gradient_checkpointing=true, lora_rank=, teacher_dtype=bfloat16 "
            "or max_length="
        )
    parts = ", ".join(f"{what} {amount(size)}" for what, size in needs.items())
    yield Finding(
        "error" if total > free else "warning",
        f"about {amount(total)} of memory are needed on {device}, and {amount(free)} are free "
        f"({parts})",
        "the run would be killed or swap, perhaps only at its longest row",
        fix,
    )


def _needs(patient: Patient) -> tuple[str, Mapping[str, float]]:
    if isinstance(patient, TrainPatient):
        return _of_training(patient)
    assert isinstance(patient, EvalPatient)  # noqa: S101 - for the type checker
    return _of_evaluation(patient)


def _of_evaluation(patient: EvalPatient) -> tuple[str, Mapping[str, float]]:
    settings, needs = patient.settings, {}
    rows = settings.batch_size if isinstance(settings.batch_size, int) else 1
    length = (patient.protocol.max_prompt_tokens or 512) + patient.protocol.max_new_tokens
    caches = 0
    for member in patient.members:
        sizes = architecture(member)
        stored = str(member.config.dtype or "float32").removeprefix("torch.")
        width = _BYTES.get(stored if settings.dtype == "auto" else settings.dtype, 4)
        needs[f"weights of the {member.role}"] = float(width * sizes.parameters)
        caches = max(caches, rows * (2 * length * sizes.cached * width + 24 * sizes.vocabulary))
    needs["cache of keys and values"] = float(caches)
    return pick_device(settings.device), needs


def _of_training(patient: TrainPatient) -> tuple[str, Mapping[str, float]]:
    settings = patient.settings
    device = pick_device(settings.device)
    precision = settings.precision
    if precision == "auto":
        precision = "float32" if device == "cpu" else "bfloat16"
    sizes = architecture(patient.members[0], settings.student)
    trained = sizes.parameters
    if settings.lora_rank:  # two thin matrices for each of about seven linear maps in a layer
        trained = 14 * settings.lora_rank * sizes.hidden * sizes.layers
    width = _BYTES[precision]
    tokens = min(settings.micro_batch_size or 8, settings.batch_size) * settings.max_length
    kept = 2 if settings.gradient_checkpointing else _ACTIVATION * sizes.layers
    copy = width * sizes.parameters if width < 4 else 0  # autocast's casts of the weights
    needs = {
        "weights of the student": 4.0 * sizes.parameters + copy,
        "gradients": 4.0 * trained,
        "AdamW's two moments": 8.0 * trained,
        "activations": float(width * tokens * sizes.hidden * max(kept, _ACTIVATION)),
        "logits of a chunk": _LOGIT_COPIES * 4.0 * _chunk(patient, sizes.vocabulary, device),
    }
    teacher = patient.member("teacher")
    if teacher is not None and patient.method.needs_teacher:
        dtype = settings.teacher_dtype
        width = _BYTES[precision if dtype == "auto" else dtype]
        needs["weights of the teacher"] = float(width * architecture(teacher).parameters)
    return device, needs


def _chunk(patient: TrainPatient, vocabulary: int, device: str) -> int:
    """Numbers in a chunk of logits."""
    from kdbench.views.view import chunk_length

    kind = device.partition(":")[0]
    return (patient.settings.chunk_tokens or chunk_length(vocabulary, kind)) * vocabulary
