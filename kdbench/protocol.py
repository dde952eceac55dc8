"""Protocols: the prompt form, lengths, decoding and seeds that make results comparable.

`minillm` is the protocol of the MiniLLM and DistiLLM papers, as read from their evaluation code.
Prompts have no BOS token and are cut on the right at 256 tokens, which removes the "### Response:"
at the end of a longer prompt, as it does there. Responses have up to 256 tokens, sampled at
temperature 1 with seeds 10 to 50. No 6-gram repeats, which is a default of their argument parser
that no script sets. DistiLLM differs only in `add_bos`: it encodes prompts with the tokenizer's
special tokens.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from typing import Any, Literal

from kdbench.errors import InputError, nearest

_LONG = 150  # letters of seeds in a protocol's name
_LONGEST_IN_NAME = 80  # characters of a text
# Later fields, with the values that every earlier result has.
_LEFT_OUT: Mapping[str, Any] = {
    "chat_template": None,
    "system": None,
    "chat_template_kwargs": {},
    "thinking": "strip",
    "thinking_marks": None,
}


@dataclass(frozen=True)
class Protocol:
    """Everything that determines a checkpoint's response to a document.

    Attributes:
        name: Base name and overrides, such as `minillm+max_new_tokens=64`.
        prompt: Form of the prompt: `task` is the task's own, `chat` the tokenizer's chat template.
        max_prompt_tokens: Length at which prompts are cut on the right, in tokens; None for no cut.
        max_new_tokens: Length at which responses end, in tokens, with finish `length`.
        temperature: Sampling temperature; 0 is greedy decoding.
        top_p: Probability mass of nucleus sampling; 1 turns it off.
        top_k: Number of most likely tokens to sample from; 0 turns it off.
        no_repeat_ngram_size: Length of n-grams that may not repeat in prompt and response, in
            tokens; 0 turns the rule off.
        add_bos: Whether prompts keep what the tokenizer puts before a text, such as BOS.
        seeds: Sampling seeds; each gives one response per document.
        chat_template: Name of one of the tokenizer's chat templates, or the text of a template;
            None for the tokenizer's default.
        system: Text of the system turn of chat prompts; None for none.
        chat_template_kwargs: Variables of the chat template, such as `enable_thinking`.
        thinking: `strip` if the answer begins after the model's thinking, `keep` if the thinking is
            part of the answer.
        thinking_marks: Texts that begin and end the thinking; None for those that the tokenizer
            and its chat template are known to have.
    """

    name: str
    prompt: Literal["task", "chat"] = "task"
    max_prompt_tokens: int | None = 256
    max_new_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    no_repeat_ngram_size: int = 6
    add_bos: bool = False
    seeds: tuple[int, ...] = (10, 20, 30, 40, 50)
    chat_template: str | None = None
    system: str | None = None
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    thinking: Literal["strip", "keep"] = "strip"
    thinking_marks: tuple[str, str] | None = None

    @property
    def samples_plainly(self) -> bool:
        """Whether tokens are sampled from the model's unmodified distribution."""
        return self.temperature == 1 and self.top_p == 1 and self.top_k == 0

    def override(self, fields: Mapping[str, Any]) -> "Protocol":
        """A copy with some fields changed; the changes become part of its name.

        Raises:
            InputError: Repeated seeds, no seed, sampling fields with greedy decoding, or fields of
                chat prompts without chat prompts.
        """
        # Results are stored with six decimals.
        fields = {key: _rounded(value) for key, value in fields.items()}
        fields = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
        changed = {k: v for k, v in sorted(fields.items()) if v != getattr(self, k)}
        name = "+".join([self.name, *(f"{key}={_plain(value)}" for key, value in changed.items())])
        protocol = replace(self, name=name, **changed)
        if not protocol.seeds or len(set(protocol.seeds)) < len(protocol.seeds):
            raise InputError(f"seeds={_plain(protocol.seeds)}: seeds must be unique and non-empty")
        if protocol.temperature == 0 and len(protocol.seeds) > 1:
            raise InputError(
                "temperature=0 is greedy decoding, where all seeds give the same text: give one "
                "seed, as in seeds=0"
            )
        for key in ("top_p", "top_k"):
            if protocol.temperature == 0 and key in changed:
                raise InputError(f"{key}= has no effect with temperature=0, greedy decoding")
        for key in ("chat_template", "chat_template_kwargs", "system"):
            if key in changed and protocol.prompt != "chat":
                raise InputError(f"{key}= has no effect without protocol=chat")
        return protocol

    def as_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON; part of every fingerprint."""
        fields = {**asdict(self), "seeds": list(self.seeds)}
        if self.thinking_marks is not None:
            fields["thinking_marks"] = list(self.thinking_marks)
        # Defaults are left out: the fingerprint of every earlier result. Earlier results of chat
        # prompts scored the thinking as part of the answer, so there the value is always named.
        for key, default in _LEFT_OUT.items():
            if fields[key] == default and not (key == "thinking" and self.prompt == "chat"):
                del fields[key]
        return fields


PROTOCOLS = {
    "minillm": Protocol("minillm"),
    "greedy": Protocol("greedy", temperature=0.0, no_repeat_ngram_size=0, seeds=(0,)),
    "chat": Protocol("chat", prompt="chat", max_prompt_tokens=None, no_repeat_ngram_size=0),
}


def get_protocol(name: str, overrides: Mapping[str, Any] | None = None) -> Protocol:
    """The protocol of a name, with overrides.

    Raises:
        InputError: The name is unknown, or the overrides contradict each other.
    """
    if name not in PROTOCOLS:
        raise InputError(f"unknown protocol '{name}': {nearest(name, PROTOCOLS)}")
    return PROTOCOLS[name].override(overrides or {})


def postprocess(text: str) -> str:
    """A decoded response as the papers' scripts score it.

    The text is cut at a literal `<|endoftext|>`, `<n>` becomes a newline, and surrounding white
    space is stripped. There are no other stop strings.
    """
    return text.split("<|endoftext|>", 1)[0].replace("<n>", "\n").strip()


def _plain(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        value = ",".join(f"{key}={_json(value[key])}" for key in sorted(value))
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    is_long = isinstance(value, str) and len(text) > _LONGEST_IN_NAME
    if isinstance(value, tuple) and len(text) > _LONG and all(type(v) is int for v in value):
        text = ",".join(_ranges(value))  # a name of all seeds could not name a folder
        is_long = len(text) > _LONG
    # The text of a chat template or of a system turn is too long for a name.
    short = text.isprintable() and "{" not in text and not is_long
    return text if short else sha256(text.encode()).hexdigest()[:12]


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 6) if isinstance(value, float) else value


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _ranges(seeds: tuple[int, ...]) -> list[str]:
    """Seeds in order, in which `1-16` is each from 1 to 16."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][1] + 1:
            runs[-1][1] = seed
        else:
            runs.append([seed, seed])
    return [f"{first}-{last}" if last > first else str(first) for first, last in runs]
