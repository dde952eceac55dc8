"""The models of a training run: loaded, given an adapter, and checked against the data."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from kdbench.config import TrainSettings
from kdbench.distillation.ingredients import Ingredients
from kdbench.errors import InputError
from kdbench.training.triple import Triple
from kdbench.views.reading import Reader
from kdbench.views.rollout import Example
from kdbench.views.tokenizers import vocabulary_size


@dataclass(frozen=True)
class Models:
    """The models of a training run.

    Attributes:
        student: The student, with an adapter if the settings ask for one.
        teacher: The teacher; None if it is not needed in memory.
        vocabulary: Number of tokens that both have; the student's if the teacher has others.
        reader: How the teacher reads responses in its own tokens; None if they are the student's.
    """

    student: Any
    teacher: Any
    vocabulary: int
    reader: Reader | None = None


def load_models(ingredients: Ingredients, triple: Triple, examples: Sequence[Example]) -> Models:
    """Load student and teacher.

    Args:
        ingredients: The checkpoints, the tokenizer and the validation set.
        triple: The method in training.
        examples: The training examples, with the responses to learn from.

    Raises:
        InputError: the tokenizers differ, or a text is longer than a model's positions.
    """
    settings, teacher, tokenizer = ingredients.settings, None, ingredients.tokenizer
    vocabulary = vocabulary_size(tokenizer)
    needs_teacher, reader = triple.needs_teacher_model, None
    if needs_teacher:
        if ingredients.cache is None:
            teacher, _ = ingredients.teacher_model
        reader = ingredients.reader(triple)
        if reader is None:
            vocabulary = ingredients.shared_vocabulary
            check_tokens(tokenizer, vocabulary, [*examples, *ingredients.valid.examples])
    torch.manual_seed(settings.seed)  # of an adapter's weights
    student = ingredients.load_student(to_train=True)
    _check_head(student, tokenizer)
    student = _with_lora(student, settings)
    if settings.gradient_checkpointing:
        enable = getattr(student, "activation_checkpointing_enable", None)  # its newer name
        (enable or student.gradient_checkpointing_enable)({"use_reentrant": False})
    check_positions(student, "the student", [*examples, *ingredients.valid.examples], settings)
    if teacher is not None and reader is None:
        check_positions(teacher, "the teacher", examples, settings)
    return Models(student, teacher, vocabulary, reader)


def _check_head(student: Any, tokenizer: Any) -> None:
    tokens, size = vocabulary_size(tokenizer), student.get_input_embeddings().weight.shape[0]
    if size < tokens:
        raise InputError(
            f"the student's head has {size} tokens, its tokenizer {tokens}: they do not belong "
            "together"
        )


def check_tokens(tokenizer: Any, vocabulary: int, examples: Sequence[Example]) -> None:
    """Check that the teacher has all tokens of the examples and the end token.

    Raises:
        InputError: It does not.
    """
    if tokenizer.eos_token_id >= vocabulary:
        raise InputError(
            f"the teacher does not have the student's end token '{tokenizer.eos_token}': choose a "
            "token that both have by end_token="
        )
    for example in examples:
        largest = max(*example.prompt_ids, *example.context, *example.response_ids)
        if largest >= vocabulary:
            token = tokenizer.convert_ids_to_tokens(largest)
            raise InputError(
                f"row '{example.id}' holds the token '{token}', which only the student has"
            )


def _with_lora(model: Any, settings: TrainSettings) -> Any:
    if not settings.lora_rank:
        return model
    from peft import LoraConfig, get_peft_model

    largest = max((min(shape) for shape in _linear_shapes(model)), default=0)
    if settings.lora_rank > largest:
        raise InputError(
            f"lora_rank={settings.lora_rank}: larger than every linear layer of the student; give "
            f"{largest} at most"
        )
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated")
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to")  # peft sets it right
        return get_peft_model(model, config)


def _linear_shapes(model: Any) -> list[tuple[int, ...]]:
    from transformers.pytorch_utils import Conv1D

    kinds = (torch.nn.Linear, Conv1D)
    return [tuple(layer.weight.shape) for layer in model.modules() if isinstance(layer, kinds)]


def check_positions(
    model: Any, whose: str, examples: Sequence[Example], settings: TrainSettings
) -> None:
    """Check that a model has a position for every token of the examples and of their responses.

    Args:
        model: Model, or anything that has its `config`.
        whose: What it is, for the message.
        examples: The training examples.
        settings: The settings of the run.

    Raises:
        InputError: it does not.
    """
    positions = getattr(model.config, "max_position_embeddings", None)
    longest = max(len(example.context) + len(example.response_ids) for example in examples)
    sampled = max(len(example.prompt_ids) for example in examples) + settings.max_new_tokens
    if positions and max(longest, sampled) > positions:
        keys = "max_length=" if longest > positions else "max_new_tokens= or max_prompt_tokens="
        raise InputError(
            f"{max(longest, sampled)} tokens of prompt and response do not fit into {whose}'s "
            f"{positions} positions; lower {keys}"
        )
