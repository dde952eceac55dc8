"""The models of a training run: loaded, given an adapter, and checked against the data."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from kdbench.config import TrainSettings
from kdbench.distillation.ingredients import Ingredients
from kdbench.errors import InputError
from kdbench.views.rollout import Example
from kdbench.views.tokenizers import check_same_tokens


def load_models(
    ingredients: Ingredients, needs_teacher: bool, examples: Sequence[Example]
) -> tuple[Any, Any]:
    """Load student and teacher.

    Args:
        ingredients: The checkpoints, the tokenizer and the validation set.
        needs_teacher: Whether the teacher must be in memory.
        examples: The training examples, with the responses to learn from.

    Returns:
        The student, with an adapter if the settings ask for one, and the teacher or None.

    Raises:
        InputError: the tokenizers differ, or a text is longer than a model's positions.
    """
    settings, teacher = ingredients.settings, None
    if needs_teacher:
        teacher, tokenizer = ingredients.teacher_model
        check_same_tokens(ingredients.tokenizer, tokenizer, settings.method)
    torch.manual_seed(settings.seed)  # of an adapter's weights
    student = _with_lora(ingredients.load_student(), settings)
    if settings.gradient_checkpointing:
        enable = getattr(student, "activation_checkpointing_enable", None)  # its newer name
        (enable or student.gradient_checkpointing_enable)({"use_reentrant": False})
    _check_positions(student, "the student", [*examples, *ingredients.valid.examples], settings)
    if teacher is not None:
        _check_positions(teacher, "the teacher", examples, settings)
    return student, teacher


def _with_lora(model: Any, settings: TrainSettings) -> Any:
    if not settings.lora_rank:
        return model
    from peft import LoraConfig, get_peft_model

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


def _check_positions(
    model: Any, whose: str, examples: Sequence[Example], settings: TrainSettings
) -> None:
    positions = getattr(model.config, "max_position_embeddings", None)
    longest = max(len(example.prompt_ids) + len(example.response_ids) for example in examples)
    sampled = max(len(example.prompt_ids) for example in examples) + settings.max_new_tokens
    if positions and max(longest, sampled) > positions:
        keys = "max_length=" if longest > positions else "max_new_tokens= or max_prompt_tokens="
        raise InputError(
            f"{max(longest, sampled)} tokens of prompt and response do not fit into {whose}'s "
            f"{positions} positions; lower {keys}"
        )
