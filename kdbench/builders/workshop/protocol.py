"""How a builder asks models."""

from typing import Any

from kdbench.config.build import BuildSettings
from kdbench.protocol import Protocol, get_protocol

# A protocol of evaluation follows papers, which cut prompts and forbid repetition.
_WHOLE: dict[str, Any] = {"max_prompt_tokens": None, "no_repeat_ngram_size": 0}


def protocol_of(settings: BuildSettings) -> Protocol:
    """The protocol, with whole prompts and no rule against repetition unless these are given.

    Raises:
        InputError: The protocol is unknown, or its fields contradict each other.
    """
    fields = {**_WHOLE, "seeds": (settings.seed,), **settings.protocol_overrides()}
    return get_protocol(settings.protocol, fields)
