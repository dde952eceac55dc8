"""A protocol is how a number becomes comparable: prompt form, lengths, decoding, seeds.

`minillm` is the one of the MiniLLM and DistiLLM papers, read from their evaluation code: prompts
without BOS, cut on the right at 256 tokens (the tail "### Response:" of a longer one is lost, as
there); 256 new tokens; plain sampling at temperature 1; no repeated 6-gram, a default of their
argument parser that no script sets; seeds 10 to 50. DistiLLM differs in `add_bos` alone: it encodes
prompts with the tokenizer's special tokens.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from kdbench.errors import InputError, nearest


@dataclass(frozen=True)
class Protocol:
    """All that decides which text a checkpoint answers to a document.

    Attributes:
        name: base name and overrides, such as `minillm+max_new_tokens=64`.
        prompt: `task` takes the task's prompt, `chat` the tokenizer's chat template.
        max_prompt_tokens: longer prompts are cut on the right; None is no cut.
        max_new_tokens: responses end here with finish `length`.
        temperature: 0 is greedy.
        top_p: nucleus mass, 1 is off.
        top_k: number of tokens kept, 0 is off.
        no_repeat_ngram_size: no n-gram of prompt and response repeats; 0 is off.
        add_bos: encode prompts with the tokenizer's special tokens.
        seeds: one response a document for each.
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

    @property
    def samples_plainly(self) -> bool:
        """Whether tokens are drawn from the model's own distribution."""
        return self.temperature == 1 and self.top_p == 1 and self.top_k == 0

    def override(self, fields: Mapping[str, Any]) -> "Protocol":
        """The same protocol with some fields changed; the changes become part of the name.

        Raises:
            InputError: seeds that repeat, no seed, or several seeds of greedy decoding.
        """
        # Six decimals, as results are stored.
        fields = {key: round(v, 6) if isinstance(v, float) else v for key, v in fields.items()}
        fields = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
        changed = {k: v for k, v in sorted(fields.items()) if v != getattr(self, k)}
        name = "+".join([self.name, *(f"{key}={_word(value)}" for key, value in changed.items())])
        protocol = replace(self, name=name, **changed)
        if not protocol.seeds or len(set(protocol.seeds)) < len(protocol.seeds):
            raise InputError(f"seeds={_word(protocol.seeds)}: give each seed once, one at least")
        if protocol.temperature == 0 and len(protocol.seeds) > 1:
            raise InputError("temperature=0 is greedy, where all seeds are equal: give one seed")
        return protocol

    def as_dict(self) -> dict[str, Any]:
        """All fields, JSON-ready; part of every fingerprint."""
        return {**asdict(self), "seeds": list(self.seeds)}


PROTOCOLS = {
    "minillm": Protocol("minillm"),
    "greedy": Protocol("greedy", temperature=0.0, no_repeat_ngram_size=0, seeds=(0,)),
    "chat": Protocol("chat", prompt="chat", max_prompt_tokens=None, no_repeat_ngram_size=0),
}


def get_protocol(name: str, overrides: Mapping[str, Any] | None = None) -> Protocol:
    """A named protocol with overrides.

    Raises:
        InputError: the name is unknown, or the overrides do not fit together.
    """
    if name not in PROTOCOLS:
        raise InputError(f"unknown protocol '{name}': {nearest(name, PROTOCOLS)}")
    return PROTOCOLS[name].override(overrides or {})


def postprocess(text: str) -> str:
    """What the papers' scripts do to a decoded response before it is scored.

    Cut at a literal `<|endoftext|>`, turn `<n>` into a newline, strip. No other stop string.
    """
    return text.split("<|endoftext|>", 1)[0].replace("<n>", "\n").strip()


def _word(value: object) -> str:
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
