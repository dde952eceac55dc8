"""The chat turns of a document with examples or a description, as lm-eval makes them."""

from collections.abc import Mapping
from typing import Any

from kdbench.views.chat import Description, Turn


def chat_turns(task: Any, row: Mapping[str, Any]) -> tuple[Turn | Description, ...]:
    """Return the turns for a chat template: lm-eval's, with each example as two turns.

    The description is a system turn, an example a turn of the user and one of the assistant, and
    `gen_prefix` the start of the answer.

    Args:
        task: lm-eval's task, whose next draw of examples stays the same.
        row: Row of the data set.

    Returns:
        The turns; none if the user's message is all that there is.
    """
    config = task.config
    shots, prefix = config.num_fewshot or 0, task.doc_to_prefix(row)
    if not (shots or config.description or prefix):
        return ()
    given: list[Mapping[str, str]] = []

    def take(messages: list[Mapping[str, str]], **_: Any) -> str:
        given.extend(messages)
        return ""

    draws = getattr(task.sampler, "rnd", None) if shots else None
    state = draws.getstate() if draws is not None else None
    task.fewshot_context(
        row,
        shots,
        apply_chat_template=True,
        fewshot_as_multiturn=True,
        chat_template=take,
        gen_prefix=prefix,
    )
    if draws is not None:
        draws.setstate(state)
    return tuple(_turn(message, config.fewshot_delimiter) for message in given)


def _turn(message: Mapping[str, str], delimiter: str) -> Turn | Description:
    role, content = message["role"], message["content"]
    return Description(role, content, delimiter) if role == "system" else Turn(role, content)
