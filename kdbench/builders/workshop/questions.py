"""What is asked of models, what they answer, and rows of a data set made of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kdbench.distillation.rows import TrainingRow
from kdbench.errors import InputError
from kdbench.system.bundled import load_module
from kdbench.views.chat import ChatMessage


@dataclass(frozen=True)
class ModelQuestion:
    """What a model is asked.

    Attributes:
        id: Unique among the questions of one call of `Workshop.sample`. The noise of the sampling
            depends on it.
        prompt: Text that is asked without a chat template.
        message: What the user says, or the conversation, for a chat template.
    """

    id: str
    prompt: str
    message: ChatMessage


@dataclass(frozen=True)
class ModelResponse:
    """What a model answered.

    Attributes:
        text: The response, without the thinking if the protocol strips it.
        finish: Whether it ended by itself or at the length limit; None if unknown.
        tokens: Number of its tokens; None if unknown.
    """

    text: str
    finish: Literal["stop", "length"] | None
    tokens: int | None

    @property
    def ended(self) -> bool:
        """Whether it is known not to be cut."""
        return self.finish == "stop"


def question_of(row: TrainingRow) -> ModelQuestion:
    """The question that a row asks.

    Raises:
        InputError: The row is a plain text, which asks nothing.
    """
    if row.is_text:
        raise InputError(
            f"row '{row.id}': a plain text asks nothing; the builder needs rows with an "
            "instruction, a prompt or messages"
        )
    return ModelQuestion(row.id, row.prompt, row.message)


def instruction(name: str, text: str, given: str = "") -> ModelQuestion:
    """A question in the form of the instruction-following tasks.

    Args:
        name: Its id.
        text: The instruction.
        given: The input that the instruction is about.
    """
    prompt = load_module("tasks/instruction.py").doc_to_text({"instruction": text, "input": given})
    return ModelQuestion(name, str(prompt), f"{text}\n\n{given}".strip())


def kept(row: TrainingRow, **fields: Any) -> dict[str, Any]:
    """A row as it was, with all of its columns, and more of them.

    Args:
        row: The row.
        fields: Further columns.
    """
    if row.is_text:
        return {"id": row.id, **row.asked, **row.fields, **fields}
    return answered(row, *row.references, **row.pair, **fields)


def answered(
    row: TrainingRow, *responses: str, name: str | None = None, **fields: Any
) -> dict[str, Any]:
    """A row with other responses; its other columns stay.

    Args:
        row: The row that asks.
        responses: The references; the first one is learned.
        name: Id of the new row (default: that of the row).
        fields: Further columns.
    """
    learned: Mapping[str, Any] = {
        "output" if "instruction" in row.asked else "response": list(responses)
    }
    return {"id": name or row.id, **row.asked, **learned, **row.fields, **fields}


Question, Response = ModelQuestion, ModelResponse  # the names that other builders import
