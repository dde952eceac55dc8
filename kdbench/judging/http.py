"""One chat completion of a judge's server, and what its reply means."""

from collections.abc import Mapping
from typing import Any

from kdbench.errors import reason_of
from kdbench.judging.reply import Reply
from kdbench.system.http import TOO_LONG, Address, FaultError, HttpReply, error_of, refusal, send

_LONGEST_REPLY = 100_000  # characters that are kept
_FILTERED = {"content_filter", "content_policy_violation"}


def post(address: Address, body: Mapping[str, Any]) -> Reply:
    """Send one chat completion.

    Args:
        address: The server.
        body: The request.

    Raises:
        FaultError: Time-out, no connection, rate limit, an error of the server, or nonsense.
        InputError: The server refuses the key, the model or the request.
    """
    response = send(address, "POST", "chat/completions", body)
    if response.status == 200:
        return _reply(response)
    code, message = error_of(response, address)
    if code in TOO_LONG:
        return Reply("", "too long")
    if code in _FILTERED:
        return Reply("", "refused")
    raise refusal(address, response.status, message)


def _reply(response: HttpReply) -> Reply:
    """Read a chat completion.

    Raises:
        FaultError: It is none.
    """
    try:
        content = response.json()
        choice = content["choices"][0]
        message = choice["message"]
        refusal, text = message.get("refusal"), message.get("content") or ""
        if isinstance(text, list):  # parts, as some servers send
            text = "".join(str(part.get("text", "")) for part in text)
        if not isinstance(text, str):
            raise TypeError("its content is no text")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise FaultError("nonsense", f"no chat completion: {reason_of(error, 100)}") from None
    refused = bool(refusal) or choice.get("finish_reason") == "content_filter"
    usage = content.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return Reply(
        _clean(text or str(refusal or "")),
        "refused" if refused else None,
        _clean(content["model"])[:200] if isinstance(content.get("model"), str) else None,
        _count(counts.get("prompt_tokens")),
        _count(counts.get("completion_tokens")),
    )


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None


def _clean(text: str) -> str:
    """The text without halves of surrogate pairs, which no file can hold, and not endless."""
    return text[:_LONGEST_REPLY].encode("utf-8", "replace").decode()
