"""How a builder asks models."""

from typing import Any

from kdbench.config.build_keys import BuildSettings
from kdbench.errors import InputError
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


def refuse_greedy(settings: BuildSettings, key: str, value: object) -> None:
    """Check that several responses to a prompt can differ.

    Args:
        settings: The settings of the build.
        key: The builder's key that asks for several.
        value: Its value.

    Raises:
        InputError: The protocol decodes greedily.
    """
    if protocol_of(settings).temperature == 0:
        raise InputError(
            f"{key}={value}: temperature=0 is greedy decoding, where all responses to a prompt are "
            "equal; raise temperature="
        )
