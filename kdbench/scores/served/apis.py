"""The three APIs that give log-probabilities of a prompt: what is sent, and where the reply has it.

vLLM 0.32 was asked itself; the format of SGLang is that of its `/generate` (v0.5), and `openai` is
the completion API with `echo` and `logprobs`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

ApiName = Literal["vllm", "sglang", "openai"]
IdOf = Callable[[str], int]
"""Returns the id of a token that a server gave as text; raises LookupError if it is not known."""

_TOKEN_ID = re.compile(r"token_id:(\d+)")


class Position(NamedTuple):
    """What a server says about a position of a text.

    Attributes:
        token: Id of the token that is there; None if the server gives its text alone.
        log_p: Its log-probability.
        likeliest: Ids and log-probabilities of the likeliest tokens, in the server's order.
        text: The token as the server decodes it; None if it does not.
    """

    token: int | None
    log_p: Any
    likeliest: Sequence[tuple[int, Any]]
    text: str | None = None


@dataclass(frozen=True)
class Api:
    """How an API is asked.

    Attributes:
        path: Where requests go.
        body: The request for a model, token ids, first scored position and number of tokens.
        read: The positions from the first scored one on, from the reply and token ids. A reply of
            another form raises LookupError, TypeError, ValueError or AttributeError.
    """

    path: str
    body: Callable[[str, Sequence[int], int, int], dict[str, Any]]
    read: Callable[[Any, Sequence[int], int, IdOf], list[Position]]


def _vllm_body(model: str, ids: Sequence[int], start: int, top_k: int) -> dict[str, Any]:  # noqa: ARG001
    return {"model": model, "prompt": list(ids), "max_tokens": 1, "prompt_logprobs": top_k}


def _vllm_read(reply: Any, ids: Sequence[int], start: int, id_of: IdOf) -> list[Position]:  # noqa: ARG001
    listed = reply["choices"][0]["prompt_logprobs"]
    if listed is None:
        raise LookupError("no prompt_logprobs; give teacher_api= if the server is not vLLM")
    _check_length(listed, ids)
    return [_vllm_position(at, ids[start + n]) for n, at in enumerate(listed[start:])]


def _vllm_position(at: Mapping[str, Any], token: int) -> Position:
    """Read a position; the text's own token is listed even if it is not among the likeliest."""
    entries = sorted(at.items(), key=lambda item: int(item[1]["rank"]))
    scores = [(int(key), entry["logprob"]) for key, entry in entries]
    own = at.get(str(token))
    if own is None:
        return Position(None, None, scores)
    text = own.get("decoded_token")
    return Position(token, own["logprob"], scores, text if isinstance(text, str) else None)


def _sglang_body(model: str, ids: Sequence[int], start: int, top_k: int) -> dict[str, Any]:  # noqa: ARG001
    return {
        "input_ids": list(ids),
        "sampling_params": {"max_new_tokens": 1, "temperature": 0},
        "return_logprob": True,
        "logprob_start_len": start - 1,
        "top_logprobs_num": top_k,
    }


def _sglang_read(reply: Any, ids: Sequence[int], start: int, id_of: IdOf) -> list[Position]:  # noqa: ARG001
    facts, count = reply["meta_info"], len(ids) - start
    own, top = facts["input_token_logprobs"], facts["input_top_logprobs"]
    if len(own) < count or len(top) != len(own):
        raise ValueError(f"{len(own)} positions for {len(ids)} tokens")
    return [
        Position(int(token), log_p, [(int(key), value) for value, key, *_ in listed])
        for (log_p, token, *_), listed in zip(own[-count:], top[-count:], strict=True)
    ]


def _openai_body(model: str, ids: Sequence[int], start: int, top_k: int) -> dict[str, Any]:  # noqa: ARG001
    return {
        "model": model,
        "prompt": list(ids),
        "max_tokens": 1,
        "echo": True,
        "logprobs": top_k,
        "return_tokens_as_token_ids": True,  # known to vLLM; others give texts
    }


def _openai_read(reply: Any, ids: Sequence[int], start: int, id_of: IdOf) -> list[Position]:
    scores = reply["choices"][0]["logprobs"]
    if not scores or not scores.get("token_logprobs"):
        raise LookupError("no log-probabilities of the prompt")
    tokens, own, top = scores["tokens"], scores["token_logprobs"], scores["top_logprobs"]
    if len(own) < len(ids):  # llama.cpp's server gives those of generated tokens alone
        raise LookupError(
            f"log-probabilities of {len(own)} of {len(ids)} tokens of the prompt: the server does "
            "not do echo with logprobs"
        )
    return [
        Position(
            _id(tokens[n], id_of),
            own[n],
            sorted(((_id(key, id_of), value) for key, value in top[n].items()), key=_descending),
        )
        for n in range(start, len(ids))
    ]


def _descending(item: tuple[int, Any]) -> float:
    return -float(item[1])


def _id(token: str, id_of: IdOf) -> int:
    match = _TOKEN_ID.fullmatch(token)
    return int(match[1]) if match else id_of(token)


def _check_length(listed: Sequence[Any], ids: Sequence[int]) -> None:
    if len(listed) != len(ids):
        raise ValueError(f"{len(listed)} positions for {len(ids)} tokens")


APIS: Mapping[ApiName, Api] = {
    "vllm": Api("completions", _vllm_body, _vllm_read),
    "sglang": Api("/generate", _sglang_body, _sglang_read),
    "openai": Api("completions", _openai_body, _openai_read),
}


def api_of(owner: str | None) -> ApiName:
    """The API of a server, by the owner that it lists for its models."""
    known: Mapping[str | None, ApiName] = {"vllm": "vllm", "sglang": "sglang"}
    return known.get(owner, "openai")
