"""Prompts in the layouts of rows."""

from dataclasses import dataclass
from typing import Any

from kdbench.builders.workshop.questions import ModelQuestion, instruction
from kdbench.distillation.rows import TrainingRow
from kdbench.views.chat import Turn


@dataclass(frozen=True)
class AskedPrompt:
    """What a row asks.

    Attributes:
        text: The prompt; of an instruction with an input, the instruction.
        given: The input, if it is apart.
    """

    text: str
    given: str = ""

    @property
    def whole(self) -> str:
        """Both as one text."""
        return f"{self.text}\n\n{self.given}".strip()


def prompt_of(row: TrainingRow) -> AskedPrompt | None:
    """What a row asks; None for a plain text, and for a conversation of more than one question."""
    if row.is_text:
        return None
    if "instruction" in row.asked:
        return AskedPrompt(row.asked["instruction"], row.asked["input"])
    if isinstance(row.message, str):
        return AskedPrompt(row.message)
    *before, last = row.message
    if last.role != "user" or any(turn.role != "system" for turn in before):
        return None
    return AskedPrompt(last.content)


def question(row: TrainingRow, prompt: AskedPrompt, name: str) -> ModelQuestion:
    """The question of another prompt, asked as the row asks its own.

    Args:
        row: The row.
        prompt: The prompt.
        name: Id of the question.
    """
    if "instruction" in row.asked:
        return instruction(name, prompt.text, prompt.given)
    if isinstance(row.message, str):
        return ModelQuestion(name, prompt.whole, prompt.whole)
    return ModelQuestion(name, "", (*row.message[:-1], Turn("user", prompt.whole)))


def evolved_row(
    row: TrainingRow, prompt: AskedPrompt, answer: str, name: str, **lineage: Any
) -> dict[str, Any]:
    """A row of another prompt in the layout of a row, whose further columns stay.

    Args:
        row: The row.
        prompt: The prompt.
        answer: The response to it.
        name: Id of the new row.
        lineage: Columns that say where it comes from.
    """
    if "instruction" in row.asked:
        content: dict[str, Any] = {
            "instruction": prompt.text,
            "input": prompt.given,
            "output": [answer],
        }
    elif isinstance(row.message, str):
        content = {"prompt": prompt.whole, "response": [answer]}
    else:
        turns = [{"role": turn.role, "content": turn.content} for turn in row.message[:-1]]
        asked = {"role": "user", "content": prompt.whole}
        content = {"messages": [*turns, asked], "response": [answer]}
    return {"id": name, **content, **row.fields, **lineage}
