"""Keys of `kdbench train` for the form and the lengths of prompts and responses."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from kdbench.config.kinds import MarkPair, OptionMap, Settings
from kdbench.config.protocol import ProtocolKeys

TrainFormat = Literal["alpaca", "chat", "text"]
"""Formats in which a student learns, each of which a protocol asks in."""
TrainTurns = Literal["last", "all"]


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "chat_template": ProtocolKeys._template_text,
    "chat_template_kwargs": ProtocolKeys._storable_variables,
    "system": ProtocolKeys._system_text,
}


class PromptKeys(Settings, group="Prompts and lengths"):
    """How prompts look, and how long prompts and responses may be."""

    train_format: TrainFormat = Field(
        "alpaca",
        description="Format of prompts and responses: alpaca (the template of the papers), chat "
        "(the tokenizer's chat template) or text (as they are)",
    )
    train_turns: TrainTurns = Field(
        "last",
        description="Turns of the assistant that are learned from a conversation: the last, or "
        "all, each as an example of its own",
    )
    chat_template: str | None = Field(
        None,
        description="Chat template for train_format=chat: a file, or the name of one of the "
        "tokenizer's (default: the tokenizer's default)",
    )
    chat_template_kwargs: OptionMap = Field(
        {}, description="Variables of the chat template, as in enable_thinking=false"
    )
    system: str | None = Field(
        None, description="System turn of the prompts for train_format=chat: a text, or @FILE"
    )
    thinking: Literal["strip", "keep"] = Field(
        "strip",
        description="Whether validation scores the thinking: strip leaves it out of the answer, "
        "keep does not; training learns the whole response",
    )
    thinking_marks: MarkPair | None = Field(
        None,
        description="Marks around the thinking, as in <think>,</think> (default: those that the "
        "tokenizer and the chat template are known to have)",
    )
    add_bos: bool = Field(False, description="Whether the BOS token precedes the prompt")
    end_token: str | None = Field(
        None, description="Token that ends a response (default: the student's end token)"
    )
    max_prompt_tokens: int = Field(256, ge=1, description="Prompt length limit, in tokens")
    long_prompts: Literal["drop", "cut"] = Field(
        "drop", description="Treatment of examples whose prompt is longer"
    )
    max_length: int = Field(
        512, ge=2, description="Length limit of prompt and response together, in tokens"
    )
    max_new_tokens: int = Field(
        256, ge=1, description="Length limit of a generated response, in tokens"
    )

    @field_validator("train_format", mode="before")
    @classmethod
    def _earlier_name(cls, value: object) -> object:
        """`task` is what earlier versions called `alpaca`."""
        return "alpaca" if value == "task" else value

    @field_validator("chat_template", "system", "chat_template_kwargs")
    @classmethod
    def _as_in_evaluation(cls, value: Any, info: ValidationInfo) -> Any:
        """Check a key that `kdbench eval` has too, and read its file."""
        return _CHECKS[str(info.field_name)](value)
