"""Keys of the protocol: how a checkpoint is asked, and what of its response is the answer."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from kdbench.config.kinds import AtLeastOne, MarkPair, OptionMap, Seeds, Settings

_LARGEST_TEXT = 1_000_000  # bytes


class ProtocolKeys(Settings, group="Protocol"):
    """The protocol, and the fields of it that can be overridden."""

    protocol: str = Field(
        "minillm", description="Named protocol: minillm, greedy or chat; see kdbench protocols"
    )
    max_prompt_tokens: AtLeastOne | None = Field(
        None,
        description="Prompt length limit, in tokens; longer prompts are cut, none for no cut "
        "(default: the protocol's, as for the keys below)",
    )
    max_new_tokens: AtLeastOne | None = Field(None, description="Response length limit, in tokens")
    temperature: float | None = Field(
        None, ge=0, le=1e6, description="Sampling temperature; 0 is greedy decoding"
    )
    top_p: float | None = Field(
        None, gt=0, le=1, description="Probability mass of nucleus sampling; 1 turns it off"
    )
    top_k: int | None = Field(
        None, ge=0, description="Number of most likely tokens to sample from; 0 turns it off"
    )
    no_repeat_ngram_size: int | None = Field(
        None,
        ge=0,
        description="Length of n-grams that may not repeat, in tokens; 0 turns the rule off",
    )
    add_bos: bool | None = Field(None, description="Whether the BOS token precedes the prompt")
    seeds: Seeds | None = Field(None, description="Sampling seeds, as in 10,20,30 or 1-16")
    chat_template: str | None = Field(
        None,
        description="Chat template for protocol=chat: a file, or the name of one of the "
        "tokenizer's (default: the tokenizer's default)",
    )
    chat_template_kwargs: OptionMap | None = Field(
        None, description="Variables of the chat template, as in enable_thinking=false"
    )
    system: str | None = Field(
        None, description="System turn of the prompts for protocol=chat: a text, or @FILE"
    )
    thinking: Literal["strip", "keep"] | None = Field(
        None,
        description="Whether the thinking, up to the model's end-of-thinking mark, is scored: "
        "strip leaves it out of the answer (the default), keep scores the whole response",
    )
    thinking_marks: MarkPair | None = Field(
        None,
        description="Marks around the thinking, as in <think>,</think> (default: those that the "
        "tokenizer and the chat template are known to have)",
    )

    @field_validator("chat_template_kwargs")
    @classmethod
    def _storable_variables(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        """Refuse what a result cannot store, such as a date."""
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError("must be text, a number, true, false or a list of these") from None
        return value

    @field_validator("system")
    @classmethod
    def _system_text(cls, value: str | None) -> str | None:
        """Return the text, or that of the file behind an @."""
        if value is not None and value.startswith("@") and "\n" not in value:
            value = _text_of_file(Path(value[1:]), "a system turn")
        if value is not None and not value.strip():
            raise ValueError("is empty; leave it out")
        return value

    @field_validator("chat_template")
    @classmethod
    def _template_text(cls, value: str | None) -> str | None:
        """Return the text of a file, or the name of a template."""
        if value is None or "\n" in value or "{" in value or not Path(value).is_file():
            return value
        text = _text_of_file(Path(value), "a chat template")
        if "{" not in text:
            raise ValueError(f"{value}: has no {{{{…}}}} or {{%…%}}, so no chat template")
        return text

    def protocol_overrides(self) -> dict[str, Any]:
        """The protocol's fields that were given, by name."""
        keys = (set(ProtocolKeys.model_fields) - {"protocol"}) & self.model_fields_set
        given = {key: getattr(self, key) for key in keys}
        # None leaves a field to the protocol, except where it is a value: no cut.
        return {k: v for k, v in given.items() if v is not None or k == "max_prompt_tokens"}


def _text_of_file(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_TEXT + 1)
    except OSError as error:
        raise ValueError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    if len(content) > _LARGEST_TEXT:
        raise ValueError(f"{path}: larger than 1 MB, so not {what}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8 text") from None
