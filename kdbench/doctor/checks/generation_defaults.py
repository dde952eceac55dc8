"""Settings in `generation_config.json` that other tools apply and kdbench leaves out."""

from collections.abc import Iterator, Mapping
from typing import Any

from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.patient import Patient
from kdbench.protocol import Protocol

# Settings that change a model's distribution, with the values with which they change nothing.
_CHANGE: Mapping[str, tuple[Any, ...]] = {
    "bad_words_ids": (None, []),
    "begin_suppress_tokens": (None, []),
    "encoder_repetition_penalty": (None, 1),
    "epsilon_cutoff": (None, 0),
    "eta_cutoff": (None, 0),
    "exponential_decay_length_penalty": (None,),
    "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,),
    "guidance_scale": (None, 1),
    "min_length": (None, 0),
    "min_new_tokens": (None, 0),
    "min_p": (None, 0),
    "num_beams": (None, 1),
    "repetition_penalty": (None, 1),
    "sequence_bias": (None, {}),
    "stop_strings": (None, []),
    "suppress_tokens": (None, []),
    "top_h": (None,),
    "typical_p": (None, 1),
}
_DECODING = ("temperature", "top_p", "top_k", "no_repeat_ngram_size")
_LIBRARY = {"temperature": 1, "top_p": 1, "top_k": 50, "no_repeat_ngram_size": 0}


@check("generation_defaults", "files", of=("eval",))
def generation_defaults(patient: Patient) -> Iterator[Finding]:
    """Generation settings of a checkpoint that the protocol does not follow."""
    for member in patient.members:
        settings = member.generation_settings
        changing = {
            key: settings[key]
            for key, neutral in _CHANGE.items()
            if key in settings and settings[key] not in neutral
        }
        if changing:
            yield Finding(
                "warning",
                f"{member.whose}: generation_config.json sets {_listed(changing)}",
                "kdbench leaves these out with every backend, but generate(), lm-eval and engines "
                "apply them, so their texts and yours do not compare; an OpenAI-compatible server "
                "applies them unless told not to",
                "delete them from generation_config.json, or start a server with "
                "--generation-config vllm",
            )
        if other := _other_decoding(settings, patient.protocol):
            yield Finding(
                "note",
                f"{member.whose}: generation_config.json asks for {_listed(other)}, and the "
                f"protocol {patient.protocol.name} for "
                f"{_listed({key: getattr(patient.protocol, key) for key in other})}",
                "the checkpoint's author decodes it in another way than this evaluation does",
                f"pass {_listed(other, ' ')} to measure it as its author uses it",
            )


def _other_decoding(settings: Mapping[str, Any], protocol: Protocol) -> dict[str, Any]:
    """The settings of decoding, other than the library's defaults, that the protocol changes."""
    return {
        key: settings[key]
        for key in _DECODING
        if settings.get(key) is not None
        and settings[key] not in (_LIBRARY[key], getattr(protocol, key))
        and (protocol.temperature > 0 or key == "no_repeat_ngram_size")
    }


def _listed(values: Mapping[str, Any], separator: str = ", ") -> str:
    return separator.join(f"{key}={_short(value)}" for key, value in values.items())


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
