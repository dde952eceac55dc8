"""How a teacher with another tokenizer is asked: its own encoding of each prompt."""

from dataclasses import replace
from typing import Any

from kdbench.checkpoint import Checkpoint
from kdbench.config import TrainSettings
from kdbench.distillation.data import DataSet
from kdbench.distillation.encoder import Encoder
from kdbench.distillation.prompts import prompt_form
from kdbench.errors import InputError
from kdbench.generate.prompts import check_template, encode_prompt
from kdbench.generate.unloaded import UnloadedCheckpoint
from kdbench.system.console import note_once
from kdbench.views.reading import Reader
from kdbench.views.tokenizers import shared_tokens


def make_reader(
    teacher: Checkpoint, tokenizer: Any, encoder: Encoder, train: DataSet, settings: TrainSettings
) -> Reader:
    """Encode the prompts of the training set as the teacher is asked.

    In a chat, the teacher is asked in its own template, or in that of `chat_template=` if it has
    none.

    Args:
        teacher: The teacher's checkpoint.
        tokenizer: Its tokenizer.
        encoder: How rows become the student's examples.
        train: The training set.
        settings: The settings of the run.

    Raises:
        InputError: The teacher has no chat template, or no place for a prompt and one token.
    """
    limit = settings.max_prompt_tokens if settings.long_prompts == "cut" else None
    form = replace(prompt_form(settings), max_prompt_tokens=limit)
    if form.prompt == "chat":
        if tokenizer.chat_template:
            form = replace(form, chat_template=None)
        elif settings.chat_template is None:
            raise InputError(
                f"teacher={settings.teacher}: its tokenizer has no chat template; use "
                "train_format=alpaca, or pass chat_template=FILE"
            )
        check_template(tokenizer, form, teacher.path)
    config = UnloadedCheckpoint(teacher, settings.trust_remote_code).config
    positions = getattr(config, "max_position_embeddings", None)
    prompts = {
        row.id: encode_prompt(tokenizer, form, row.prompt, row.message).ids
        for row in train.rows
        if not row.is_text
    }
    longest = max(prompts, key=lambda name: len(prompts[name]), default=None)
    if longest is not None and positions and len(prompts[longest]) >= positions:
        raise InputError(
            f"row '{longest}': a prompt of {len(prompts[longest])} tokens of the teacher's does "
            f"not fit into its {positions} positions; lower max_prompt_tokens= or leave it out"
        )
    reader = Reader(encoder.tokenizer, tokenizer, prompts, encoder.end_ids, positions)
    difference = shared_tokens(encoder.tokenizer, tokenizer).difference or "other end tokens"
    note_once(
        f"note: the teacher has a tokenizer of its own ({difference}); "
        f"{len(reader.classes.teacher_ids)} of its {len(tokenizer.get_vocab())} tokens are also "
        "the student's by their text"
    )
    return reader
