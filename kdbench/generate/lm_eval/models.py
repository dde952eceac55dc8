"""lm-eval's models: which there are, and what each can do of a protocol.

family                          weights    seed of a row            n-gram rule
transformers (hf, hf-auto, …)   model=     transformers.set_seed    yes
servers (local-completions, …)  a name     `seed` of the request    no
others (sglang, vllm, …)        model=     as seed_key= names it    no
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from kdbench.errors import InputError, nearest
from kdbench.protocol import Protocol

# What kdbench sets itself.
_OWN = {
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
# What the backend takes beside a model's own settings.
_OURS = ("seed_key",)


@dataclass(frozen=True)
class LMKind:
    """A model class of lm-eval.

    Attributes:
        name: in lm-eval.
        kind: the class.
        is_api: it asks a server by lm-eval's own client.
        is_hf: it is transformers.
        takes_messages: it takes a chat's messages and no text.
    """

    name: str
    kind: type[Any]
    is_api: bool
    is_hf: bool
    takes_messages: bool

    @property
    def is_served(self) -> bool:
        """Whether `model=` is a name, and no checkpoint."""
        return self.is_api or "pretrained" not in self.parameters

    @property
    def parameters(self) -> frozenset[str]:
        """Names that its constructor takes, those of its bases with them."""
        makers = [
            vars(one)["__init__"] for one in self.kind.__mro__[:-1] if "__init__" in vars(one)
        ]
        found = {name for maker in makers for name in inspect.signature(maker).parameters}
        return frozenset(found - {"self", "args", "kwargs"})


@cache
def find_kind(name: str) -> LMKind:
    """The model class that lm-eval knows by a name.

    Raises:
        InputError: no such name, or a package that it needs is not installed.
    """
    from lm_eval.api.registry import get_model
    from lm_eval.models import MODEL_MAPPING

    if not name:
        raise InputError("backend=lm_eval needs a model of lm-eval: backend=lm_eval:NAME, as in hf")
    try:
        kind = get_model(name)
    except ValueError:
        near = nearest(name, MODEL_MAPPING)
        raise InputError(f"backend=lm_eval:{name}: no model of lm-eval; {near}") from None
    except ImportError as error:
        raise InputError(f"backend=lm_eval:{name}: cannot be imported: {error}") from None
    bases = {one.__name__ for one in kind.__mro__}
    messages = "LocalChatCompletion" in bases
    return LMKind(name, kind, "TemplateAPI" in bases, "HFLM" in bases, messages)


def check_options(kind: LMKind, options: Mapping[str, Any]) -> None:
    """Check the names of a model's settings.

    Raises:
        InputError: one that kdbench sets, or that lm-eval's client would not heed.
    """
    for name in options:
        if name in _OWN:
            raise InputError(f"backend_options={name}=…: kdbench sets it; use {_OWN[name]}")
        if kind.is_api and name not in {*kind.parameters, *_OURS}:
            near = nearest(name, {*kind.parameters, *_OURS} - set(_OWN))
            raise InputError(
                f"backend_options={name}=…: lm_eval:{kind.name} does not know it; {near}"
            )


def check_protocol(kind: LMKind, protocol: Protocol, options: Mapping[str, Any]) -> None:
    """Check that a model can do what the protocol says.

    Raises:
        InputError: it cannot; the line names the key to change.
    """
    who = f"backend=lm_eval:{kind.name}"
    if protocol.no_repeat_ngram_size and not kind.is_hf:
        raise InputError(f"{who}: has no n-gram rule; pass no_repeat_ngram_size=0")
    if protocol.temperature > 0 and not (kind.is_api or kind.is_hf or "seed_key" in options):
        raise InputError(
            f"{who}: how it is seeded is not known; pass temperature=0, or name the key of its "
            "generation settings that takes a seed: backend_options=seed_key=NAME"
        )
    if kind.takes_messages and protocol.prompt != "chat":
        raise InputError(f"{who}: takes a chat's messages; pass protocol=chat")
    if not kind.is_served or options.get("tokenizer"):
        return
    if protocol.max_prompt_tokens is not None:
        raise InputError(
            f"{who}: without a tokenizer no prompt can be cut; pass "
            "backend_options=tokenizer=FOLDER, or max_prompt_tokens=none"
        )
    if kind.is_api and not kind.takes_messages:
        if protocol.prompt == "chat":
            raise InputError(
                f"{who}: a chat template needs backend_options=tokenizer=FOLDER; or use a model "
                "that takes messages, such as local-chat-completions"
            )
        if options.get("tokenizer_backend") != "none":
            raise InputError(
                f"{who}: pass backend_options=tokenizer=FOLDER, so that prompts are sent as "
                "tokens; or tokenizer_backend=none, and the server encodes them as it likes"
            )


def generation_settings(
    kind: LMKind, protocol: Protocol, until: list[str], seed: Mapping[str, int]
) -> dict[str, Any]:
    """The request's settings, as lm-eval's models take them.

    Args:
        kind: of the model.
        protocol: lengths, decoding.
        until: strings that end a response.
        seed: the key and the row's seed, empty for a model that is seeded otherwise.
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
