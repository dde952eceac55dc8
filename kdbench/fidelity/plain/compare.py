"""`kdbench kld`: a model and its teacher over plain text."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.checkpoint import (
    Checkpoint,
    check_quantisable,
    check_quantisation,
    check_readable,
    describe_weights,
    disk_bytes,
    find_checkpoint,
    load_checkpoint,
    load_tokenizer,
    loaded_bytes,
    loaded_parameters,
    pick_device,
    read_config,
)
from kdbench.config.kld import KldSettings
from kdbench.errors import InputError
from kdbench.fidelity.plain.chunks import chunks_of, read_text
from kdbench.fidelity.plain.figures import TextFigures, figures_of
from kdbench.fidelity.plain.scoring import score_chunk
from kdbench.fidelity.plain.stored import StoredChunks
from kdbench.system.progress import progress, slow_step
from kdbench.views import ModelView, shared_tokens

_VERSION = 1  # of what a stored value means


@dataclass(frozen=True)
class ComparedModel:
    """One of the two models.

    Attributes:
        name: Its name.
        quantisation: How its weights are quantised; None if they are not.
        parameters: Number of its parameters.
        weight_bytes: Bytes of its weights as they are measured; None if unknown.
    """

    name: str
    quantisation: str | None
    parameters: int
    weight_bytes: int | None

    @property
    def bits_per_weight(self) -> float | None:
        """Bits of a weight on average; None if unknown."""
        if not self.parameters or self.weight_bytes is None:
            return None
        return 8 * self.weight_bytes / self.parameters


@dataclass(frozen=True)
class TextComparison:
    """The outcome of `kld`.

    Attributes:
        model: The model.
        teacher: What it was compared with.
        text: File of the text.
        context: Number of tokens in a chunk.
        chunks: Number of chunks.
        measured: Number of chunks that this call measured.
        figures: The figures.
        out: File with the values of each chunk; None if they are not stored.
    """

    model: ComparedModel
    teacher: ComparedModel
    text: Path
    context: int
    chunks: int
    measured: int
    figures: TextFigures
    out: Path | None


@dataclass(frozen=True)
class TextMember:
    """A model that is found and not loaded.

    Attributes:
        key: Its setting.
        checkpoint: Its checkpoint.
        quantisation: How its weights are quantised when they are loaded.
    """

    key: str
    checkpoint: Checkpoint
    quantisation: Any

    @property
    def name(self) -> str:
        """Name of the checkpoint, and how it is quantised here."""
        suffix = "" if self.quantisation is None else f"-{self.quantisation}"
        return self.checkpoint.name + suffix


@dataclass(frozen=True)
class TextPair:
    """What is compared, known without weights.

    Attributes:
        settings: The settings.
        student: The model.
        teacher: Its teacher.
        device: Where they run.
        vocabulary: Number of tokens that they share.
        chunks: The text as tokens.
        stored: The values so far.
    """

    settings: KldSettings
    student: TextMember
    teacher: TextMember
    device: str
    vocabulary: int
    chunks: Sequence[tuple[int, ...]]
    stored: StoredChunks

    @property
    def missing(self) -> list[int]:
        """Indices of the chunks that are not measured."""
        return [row for row in range(len(self.chunks)) if row not in self.stored.values]


def find_pair(settings: KldSettings) -> TextPair:
    """Find both models and cut the text; no weights are loaded.

    Raises:
        InputError: A model, the text or a setting has a fault that the user can fix.
    """
    text, device = read_text(settings.text), pick_device(settings.device)
    student = _member(settings, "model", device)
    teacher = _member(settings, "teacher", device)
    tokenizers = [
        load_tokenizer(member.checkpoint, settings.trust_remote_code)
        for member in (student, teacher)
    ]
    shared = shared_tokens(*tokenizers)
    if shared.difference is not None:
        raise InputError(
            f"model={settings.model} and teacher={settings.teacher} have different tokenizers "
            f"({shared.difference}), so that their distributions over a text do not compare; use "
            "kdbench eval model=… teacher=…"
        )
    chunks = chunks_of(text, tokenizers[0], settings.context, settings.chunks, settings.text)
    if max(map(max, chunks)) >= shared.size:
        raise InputError(f"text={settings.text}: has tokens that the teacher does not know")
    for member in (student, teacher):
        of_model = member.checkpoint.base or member.checkpoint
        if of_model.gguf is None:  # else its configuration is in the file with its weights
            config = read_config(of_model.path)
            _check_positions(settings, member, config.get("max_position_embeddings"))
    tokens = hashlib.sha256(repr(chunks).encode()).hexdigest()
    identity: Mapping[str, Any] = {
        "version": _VERSION,
        "model": student.checkpoint.sha256,
        "quantization": settings.quantization,
        "teacher": teacher.checkpoint.sha256,
        "teacher_quantization": settings.teacher_quantization,
        "dtype": settings.dtype,
        "context": settings.context,
        "text": tokens,
    }
    stored = StoredChunks(settings.out, identity)
    return TextPair(settings, student, teacher, device, shared.size, chunks, stored)


def compare_on_text(settings: KldSettings) -> TextComparison:
    """Measure how far a model is from its teacher over plain text.

    Args:
        settings: The models and the text.

    Raises:
        InputError: A model, the text or a setting has a fault that the user can fix.
    """
    pair = find_pair(settings)
    missing, count = pair.missing, len(pair.chunks)
    loaded = [_loaded(pair, member) for member in (pair.student, pair.teacher)]
    (_, ours), (_, theirs) = loaded
    # A GGUF file's tokenizer can get a token beyond the head from transformers.
    heads = [model.get_output_embeddings().weight.shape[0] for model, _ in loaded]
    student, teacher = (ModelView(model, min(pair.vocabulary, *heads)) for model, _ in loaded)
    for view in (student, teacher):
        view.check()
    title = f"{pair.student.name} and {pair.teacher.name}"
    with (
        pair.stored.appending() as kept,
        progress(title, count, count - len(missing), "chunks", "comparing") as advance,
    ):
        for row in missing:
            kept.add(row, score_chunk(pair.chunks[row], student, teacher))
            advance()
    figures = figures_of([pair.stored.values[row] for row in range(count)])
    return TextComparison(
        ours, theirs, settings.text, settings.context, count, len(missing), figures, settings.out
    )


def _member(settings: KldSettings, key: str, device: str) -> TextMember:
    prefix = "" if key == "model" else "teacher_"
    checkpoint = find_checkpoint(
        getattr(settings, key),
        getattr(settings, f"{prefix}revision"),
        settings.unsafe_pickle,
        key,
        settings.trust_remote_code,
    )
    quantisation = getattr(settings, f"{prefix}quantization")
    if quantisation is not None:
        check_quantisation(f"{prefix}quantization")
        check_quantisable(checkpoint, f"{prefix}quantization")
    check_readable(checkpoint, device, key)
    return TextMember(key, checkpoint, quantisation)


def _loaded(pair: TextPair, member: TextMember) -> tuple[Any, ComparedModel]:
    settings, checkpoint = pair.settings, member.checkpoint
    with slow_step(f"loading {checkpoint.name}"):
        model, _ = load_checkpoint(
            checkpoint,
            settings.dtype,
            pair.device,
            settings.trust_remote_code,
            member.quantisation,
        )
    _check_positions(settings, member, getattr(model.config, "max_position_embeddings", None))
    size = disk_bytes(checkpoint) if member.quantisation is None else loaded_bytes(model)
    words = describe_weights(checkpoint, member.quantisation)
    return model, ComparedModel(member.name, words, loaded_parameters(model), size)


def _check_positions(settings: KldSettings, member: TextMember, positions: Any) -> None:
    if isinstance(positions, int) and settings.context > positions:
        raise InputError(
            f"context={settings.context}: {member.key}={member.checkpoint.name} has {positions} "
            "positions"
        )
