"""A model's thinking: the marks around it, and where in a response the answer begins.

Sources of the marks: the chat templates of the families, and vLLM's reasoning parsers, which name
one class after each family.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.views.chat import is_template

if TYPE_CHECKING:
    from kdbench.protocol import Protocol

_VARIABLES = ("enable_thinking", "reasoning_content")  # of chat templates with a thinking mode
_TAIL = 32  # tokens of a prompt that can hold the mark with which a template opens the thinking


@dataclass(frozen=True)
class Marks:
    """The texts around a model's thinking.

    Attributes:
        start: Text that begins the thinking.
        end: Text that ends it.
        lone_end: Whether `end` ends a thinking without `start` too: a template may have begun it.
    """

    start: str
    end: str
    lone_end: bool = True


KNOWN_MARKS = (
    Marks("<think>", "</think>"),  # Qwen3, DeepSeek-R1, SmolLM3, GLM, Nemotron, OLMo 3, Granite 3.3
    Marks("[THINK]", "[/THINK]"),  # Magistral
    Marks("<seed:think>", "</seed:think>"),  # Seed-OSS
    # gpt-oss: the thinking is a message in the channel `analysis`, the answer one in `final`.
    Marks("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    Marks("<|channel>thought", "<channel|>"),  # Gemma 4
    Marks("<|START_THINKING|>", "<|END_THINKING|>"),  # Cohere Command A
    Marks("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    Marks("◁think▷", "◁/think▷"),  # Kimi
    Marks("Here is my thought process:", "Here is my response:", lone_end=False),  # Granite 3.2
)
"""Marks of common families, the most common one first."""


@dataclass(frozen=True)
class ThinkingSplit:
    """Where the thinking of a text ends.

    Attributes:
        closed: Index at which the mark that ends the thinking begins; None if there is none.
        answer: Index at which the answer begins, the length of the text if the thinking never
            ends; None if there is no thinking.
        unclosed: Whether the thinking never ends.
    """

    closed: int | None = None
    answer: int | None = None
    unclosed: bool = False


def find_marks(tokenizer: Any, protocol: "Protocol") -> Marks | None:
    """Return the marks of a model: the protocol's, or the known ones that the tokenizer has.

    Args:
        tokenizer: Tokenizer of the model; its vocabulary and chat template are searched.
        protocol: Protocol whose `thinking_marks` and `chat_template` come first.

    Returns:
        The marks; None for a model that does not think.
    """
    if protocol.thinking_marks is not None:
        return Marks(*protocol.thinking_marks)
    template = _templates(tokenizer, protocol.chat_template)
    in_template = [marks for marks in KNOWN_MARKS if marks.end in template]
    if in_template:
        return in_template[0]
    return next((marks for marks in KNOWN_MARKS if _is_token(tokenizer, marks.end)), None)


def thinks(template: str) -> bool:
    """Return whether a chat template has a thinking mode: known marks, or a variable for it."""
    words = [*_VARIABLES, *(marks.end for marks in KNOWN_MARKS)]
    return any(word in template for word in words)


def _is_token(tokenizer: Any, text: str) -> bool:
    index = tokenizer.convert_tokens_to_ids(text)
    return index is not None and index != tokenizer.unk_token_id


def _templates(tokenizer: Any, chosen: str | None) -> str:
    """Return the text of the template in use, or of all that the tokenizer has."""
    if chosen is not None and is_template(chosen):
        return chosen
    stored = getattr(tokenizer, "chat_template", None) or ""
    if isinstance(stored, Mapping):
        return stored[chosen] if chosen in stored else "\n".join(stored.values())
    return str(stored)


def marks_in(text: str) -> Marks | None:
    """Return the known marks that a text of an unknown model has; None if it has none."""
    for marks in KNOWN_MARKS:
        if split_thinking(text, marks).answer is not None:
            return marks
    return None


def opens_thinking(tokenizer: Any, marks: Marks, prompt_ids: Sequence[int]) -> bool:
    """Return whether a prompt ends with the mark that begins the thinking."""
    tail = str(tokenizer.decode(prompt_ids[-_TAIL:], skip_special_tokens=False))
    return tail.rstrip().endswith(marks.start)


def split_thinking(text: str, marks: Marks, opened: bool = False) -> ThinkingSplit:
    """Find where the thinking of a response ends.

    As in lm-eval, the answer begins after the last mark that ends a thinking, and after the white
    space behind it.

    Args:
        text: The response, with the marks.
        marks: Marks of the model.
        opened: Whether the prompt has begun the thinking.
    """
    closed = text.rfind(marks.end)
    if not (marks.lone_end or opened or text.lstrip().startswith(marks.start)):
        closed = -1
    behind = closed + len(marks.end) if closed >= 0 else 0
    rest = text[behind:].lstrip()
    if rest.startswith(marks.start) or (opened and closed < 0):
        return ThinkingSplit(answer=len(text), unclosed=True)
    return ThinkingSplit(closed, len(text) - len(rest)) if closed >= 0 else ThinkingSplit()


def may_begin(text: str, marks: Marks) -> bool:
    """Return whether a text can go on to begin a thinking: it is blank, or a part of the mark."""
    return marks.start.startswith(text.strip())
