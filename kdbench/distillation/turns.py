"""What a chat template writes after the prompt when the assistant answers."""

from typing import Any

from kdbench.distillation.rows import TrainingRow
from kdbench.errors import InputError, reason_of
from kdbench.protocol import Protocol
from kdbench.views.chat import find_template, turns_of, with_system


def answer_text(tokenizer: Any, form: Protocol, row: TrainingRow, prompt: str) -> str:
    """Return the assistant's turn as it follows the prompt that evaluation asks.

    Args:
        tokenizer: The student's tokenizer.
        form: The form of the prompts, with the chat template and its variables.
        row: The row, whose first reference is the answer.
        prompt: The prompt in the template, ready for the answer.

    Raises:
        InputError: The template fails, or a conversation with an answer does not begin with the
            prompt, so that the student would learn what it is never asked.
    """
    asked = turns_of(with_system(row.message, form.system))
    turns = [*asked, {"role": "assistant", "content": row.references[0]}]
    try:
        whole = str(
            tokenizer.apply_chat_template(
                turns,
                chat_template=find_template(tokenizer, form.chat_template, "the tokenizer"),
                tokenize=False,
                **form.chat_template_kwargs,
            )
        )
    except Exception as error:
        raise InputError(
            f"the chat template fails: {reason_of(error, 200)}; choose another with chat_template="
        ) from error
    if not whole.startswith(prompt):
        raise InputError(
            f"the chat template renders the question differently once it is "
            f"answered: it asks '…{prompt[-30:]}' and never writes that before an answer; pass "
            "chat_template=FILE or chat_template_kwargs= with which both agree"
        )
    return whole[len(prompt) :]
