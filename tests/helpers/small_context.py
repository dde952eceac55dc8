"""A run's context of tiny random models, for parts of methods."""

from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from kdbench.protocol import Protocol
from kdbench.training import Context, StepOutcome
from kdbench.training.step import Learned, StepWork
from kdbench.views.rollout import Example, Rollout, of_dataset
from kdbench.views.view import ModelView

V = 11
EXAMPLES = [
    Example("a", (3, 4), (5, 6, 2), ("one",), fields={"hint": "x y"}),
    Example("b", (3,), (7, 2), ("two",), fields={"hint": "z"}),
    Example("c", (9, 8, 7), (4, 4, 4, 2), ("three",), fields={"hint": ""}),
]


def tiny_llama(seed: int, positions: int = 64) -> Any:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=V,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        initializer_range=0.5,
    )
    return LlamaForCausalLM(config).eval()


class Letters:
    """A tokenizer of the letters a to k."""

    eos_token_id, bos_token_id = 2, 1

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) - ord("a") for letter in text]}

    def decode(self, ids: Any, **_: Any) -> str:
        return "".join(chr(ord("a") + token) for token in ids)

    def get_vocab(self) -> dict[str, int]:
        return {chr(ord("a") + token): token for token in range(V)}


@dataclass
class Tiny:
    """The models of a context."""

    student: Any
    teacher: Any
    context: Context


def tiny_context(
    student: Any = None, sum_over_processes: Any = torch.clone, **changes: Any
) -> Tiny:
    student, teacher = student or tiny_llama(1), tiny_llama(2).requires_grad_(False)
    start = deepcopy(student)
    views = {"student": ModelView(student, V), "teacher": ModelView(teacher, V)}
    values: dict[str, Any] = {
        "student": student,
        "teacher": teacher,
        "views": views,
        "vocabulary": V,
        "tokenizer": Letters(),
        "train": EXAMPLES,
        "valid": EXAMPLES[:1],
        "parts": {},
        "sampling": Protocol("training", max_prompt_tokens=None, max_new_tokens=5),
        "statistics": {},
        "device": "cpu",
        "max_grad_norm": 1.0,
        "micro_batch_size": 2,
        "chunk_tokens": None,
        "student_at_start": lambda: deepcopy(start),
        "optimizer_for": lambda model: torch.optim.AdamW(model.parameters(), lr=1e-2),
        "autocast": nullcontext,
        "sum_over_processes": sum_over_processes,
        "note": lambda name, value: None,
        "gradients": None,
    }
    return Tiny(student, teacher, Context(**{**values, **changes}))


def outcome(number: int, rollouts: list[Rollout] | None = None) -> StepOutcome:
    rows = [of_dataset(example) for example in EXAMPLES] if rollouts is None else rollouts
    zero = torch.zeros(())
    work = StepWork(rows, (), sum(len(row.response_ids) for row in rows), 1)
    return StepOutcome(number, EXAMPLES, work, Learned(zero, zero, {}, {}), 1e-2)
