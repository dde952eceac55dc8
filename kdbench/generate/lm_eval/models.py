"""lm-eval's models, and what each family can follow of a protocol.

family                          model= is     seed of a row             n-gram rule
transformers (hf, hf-auto, …)   a checkpoint  transformers.set_seed     yes
servers (local-completions, …)  a name        `seed` of the request     no
others (sglang, vllm, …)        a checkpoint  the key in seed_key=      no
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from kdbench.errors import InputError, nearest
from kdbench.protocol import Protocol

# Settings that kdbench sets, with the key or option that decides each.
_SET_BY_KDBENCH = {
    "model": "model=",
    "pretrained": "model=",
    "dtype": "dtype=",
    "device": "device=",
    "batch_size": "batch_size=",
    "trust_remote_code": "trust_remote_code=",
    "add_bos_token": "add_bos=",
    "seed": "seeds=",
    "max_gen_toks": "max_new_tokens=",
    "tokenized_requests": "tokenizer=FOLDER in backend_options=",
    "truncate": "max_prompt_tokens=",
    "truncation": "max_prompt_tokens=",
}
# Options that the backend takes in addition to those of the model.
_EXTRA_OPTIONS = ("seed_key",)


@dataclass(frozen=True)
class LMKind:
    """A model class of lm-eval.

    Attributes:
        name: Name in lm-eval.
        kind: The class.
        is_api: Whether it queries a server with lm-eval's client.
        is_hf: Whether it runs transformers.
        takes_messages: Whether it takes chat messages instead of text.
    """

    name: str
    kind: type[Any]
    is_api: bool
    is_hf: bool
    takes_messages: bool

    @property
    def is_served(self) -> bool:
        """Whether `model=` is a name instead of a checkpoint."""
        return self.is_api or "pretrained" not in self.parameters

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the parameters of its constructor and those of its base classes."""
        names = {
            name
            for base in self.kind.__mro__[:-1]
            if "__init__" in vars(base)
            for name in inspect.signature(vars(base)["__init__"]).parameters
        }
        return frozenset(names - {"self", "args", "kwargs"})


@cache
def find_kind(name: str) -> LMKind:
    """Return the model class that lm-eval knows by a name.

    Raises:
        InputError: lm-eval has no such model, or a package that it needs is not installed.
    """
    from lm_eval.api.registry import get_model
    from lm_eval.models import MODEL_MAPPING

    if not name:
        raise InputError(
            "backend=lm_eval needs a model of lm-eval: backend=lm_eval:NAME, such as lm_eval:hf"
        )
    try:
        kind = get_model(name)
    except ValueError:
        near = nearest(name, MODEL_MAPPING)
        raise InputError(f"backend=lm_eval:{name}: lm-eval has no such model; {near}") from None
    except ImportError as error:
        raise InputError(f"backend=lm_eval:{name}: cannot be imported: {error}") from None
    bases = {base.__name__ for base in kind.__mro__}
    messages = "LocalChatCompletion" in bases
    return LMKind(name, kind, "TemplateAPI" in bases, "HFLM" in bases, messages)


def check_options(kind: LMKind, options: Mapping[str, Any]) -> None:
    """Check the names of a model's options.

    Raises:
        InputError: kdbench sets one of them, or lm-eval's client would ignore one.
    """
    known = {*kind.parameters, *_EXTRA_OPTIONS}
    for name in options:
        if name in _SET_BY_KDBENCH:
            use = _SET_BY_KDBENCH[name]
            raise InputError(f"backend_options={name}=…: kdbench sets it; use {use}")
        if kind.is_api and name not in known:
            near = nearest(name, known - set(_SET_BY_KDBENCH))
            raise InputError(
                f"backend_options={name}=…: lm_eval:{kind.name} has no such option; {near}"
            )


def check_protocol(kind: LMKind, protocol: Protocol, options: Mapping[str, Any]) -> None:
    """Check that a model can follow the protocol.

    Raises:
        InputError: The model cannot; the message names the key to change.
    """
    who = f"backend=lm_eval:{kind.name}"
    if protocol.no_repeat_ngram_size and not kind.is_hf:
        raise InputError(f"{who}: the model has no n-gram rule; pass no_repeat_ngram_size=0")
    if protocol.temperature > 0 and not (kind.is_api or kind.is_hf or "seed_key" in options):
        raise InputError(
            f"{who}: kdbench does not know how to seed this model; pass temperature=0, or name "
            "the generation setting that takes a seed: backend_options=seed_key=NAME"
        )
    if kind.takes_messages and protocol.prompt != "chat":
        raise InputError(f"{who}: the model takes chat messages; pass protocol=chat")
    served = kind.is_served and not options.get("tokenizer")
    if protocol.chat_template is not None and (kind.takes_messages or served):
        raise InputError(f"{who}: the server has a chat template of its own; omit chat_template=")
    if protocol.chat_template_kwargs and (kind.takes_messages or served):
        raise InputError(
            f"{who}: the server renders its chat template; omit chat_template_kwargs=, and set the "
            "variables where the server starts"
        )
    if not served:
        return
    if protocol.max_prompt_tokens is not None:
        raise InputError(
            f"{who}: prompts cannot be cut without a tokenizer; pass "
            "backend_options=tokenizer=FOLDER or max_prompt_tokens=none"
        )
    if kind.is_api and not kind.takes_messages:
        if protocol.prompt == "chat":
            raise InputError(
                f"{who}: a chat template needs backend_options=tokenizer=FOLDER; you can also use "
                "a model that takes messages, such as local-chat-completions"
            )
        if options.get("tokenizer_backend") != "none":
            raise InputError(
                f"{who}: pass backend_options=tokenizer=FOLDER to send prompts as tokens, or "
                "tokenizer_backend=none to let the server encode them"
            )


def generation_settings(
    kind: LMKind, protocol: Protocol, until: list[str], seed: Mapping[str, int]
) -> dict[str, Any]:
    """Return the settings of a request, as lm-eval's models take them.

    Args:
        kind: Model class.
        protocol: Protocol with the length and decoding settings.
        until: Strings that end a response.
        seed: Name of the setting and the row's seed; empty if the request carries no seed.
    """
    settings: dict[str, Any] = {
        "until": list(until),
        "max_gen_toks": protocol.max_new_tokens,
        "do_sample": protocol.temperature > 0,
        "temperature": protocol.temperature,
    }
    if protocol.temperature > 0:
        settings |= {"top_p": protocol.top_p, **seed}
        if kind.is_hf or protocol.top_k:  # transformers' own default is 50
            settings["top_k"] = protocol.top_k
    if kind.is_hf:
        settings["no_repeat_ngram_size"] = protocol.no_repeat_ngram_size
    return settings


def forget_generation_settings(model: Any) -> None:
    """Remove a checkpoint's own generation settings but its special tokens.

    `model.generate` would apply them, such as a repetition penalty, on top of the protocol.

    Args:
        model: transformers model.
    """
    from transformers import GenerationConfig

    settings = model.generation_config
    names = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
    model.generation_config = GenerationConfig(
        **{name: getattr(settings, name, None) for name in names}
    )
