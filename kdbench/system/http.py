"""One request to a server with OpenAI's API: what may pass, and what never will."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import local
from time import monotonic
from typing import Any
from urllib.parse import urljoin

from kdbench.errors import InputError, reason_of
from kdbench.system.secrets import MASK, without_secrets
from kdbench.version import __version__

_CONNECT_SECONDS = 10.0
_TRY_AGAIN = {408, 409, 425, 429}  # and every 5xx
_NO_QUOTA = {"insufficient_quota", "billing_hard_limit_reached"}
TOO_LONG = {"context_length_exceeded", "string_above_max_length"}
_OF_THREAD = local()  # connections stay open from one request of a thread to its next


@dataclass(frozen=True)
class Address:
    """Where a server is, and how it knows us.

    Attributes:
        url: Address up to `/chat/completions` or `/completions`.
        key: The key; None if the server needs none. It is sent, and never shown or stored.
        key_env: Name of the environment variable that held the key; None without a key.
        seconds: Time to wait for a reply.
        role: What the server is, for messages; its keys begin with this word.
        largest: Bytes of a reply above which it is nonsense.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    key_env: str | None = None
    seconds: float = 120.0
    role: str = "judge"
    largest: int = 16 * 2**20

    @property
    def place(self) -> str:
        """The server, for messages."""
        return f"{self.role} at {self.url}"


class FaultError(Exception):
    """A try that failed for a reason that may pass.

    Args:
        kind: Kind of the fault, for counting.
        text: What happened.
        retry_after: Seconds after which the server asks to be tried again; None if it does not.
    """

    def __init__(self, kind: str, text: str, retry_after: float | None = None):
        super().__init__(text)
        self.kind, self.retry_after = kind, retry_after


@dataclass(frozen=True)
class HttpReply:
    """What a server sent.

    Attributes:
        status: HTTP status.
        reason: The status in words.
        retry_after: The header of that name; None without one.
        content: The body.
    """

    status: int
    reason: str
    retry_after: str | None
    content: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: It is none.
        """
        return json.loads(self.content)


def send(
    address: Address, method: str, path: str, body: Mapping[str, Any] | None = None
) -> HttpReply:
    """Send one request.

    Args:
        address: The server.
        method: GET or POST.
        path: What follows the address; a path with a leading / starts at the host.
        body: What is sent as JSON.

    Raises:
        FaultError: Time-out, no connection, rate limit or an error of the server.
        InputError: There is no secure connection, no such address, or no quota left.
    """
    import requests
    from urllib3.exceptions import HTTPError

    def sign(request: Any) -> Any:
        # Given as `auth`, so that no login of a .netrc file takes its place.
        if address.key is not None:
            request.headers["Authorization"] = f"Bearer {address.key}"
        return request

    end = monotonic() + address.seconds
    try:
        with _session().request(
            method,
            urljoin(address.url, path) if path.startswith("/") else f"{address.url}/{path}",
            json=body,
            auth=sign,
            headers={"User-Agent": f"kdbench/{__version__}"},
            timeout=(_CONNECT_SECONDS, address.seconds),
            allow_redirects=False,  # a redirected POST would arrive as a GET
            stream=True,
        ) as answer:
            response = HttpReply(
                answer.status_code,
                str(answer.reason or "no reason given"),
                answer.headers.get("Retry-After"),
                _content(answer.raw, end, address),
            )
    except requests.exceptions.SSLError as error:
        raise InputError(f"{address.place}: no secure connection: {_cause(error)}") from None
    except requests.Timeout:
        raise FaultError("timeout", f"no reply within {address.seconds:g} s") from None
    except (requests.ConnectionError, HTTPError) as error:
        raise FaultError("connection", f"no connection: {_cause(error)}") from None
    except (requests.RequestException, UnicodeError) as error:
        raise InputError(f"{address.place}: {reason_of(error, 200)}") from None
    _raise_passing(response, address)
    return response


def get_models(address: Address) -> dict[str, dict[str, Any]] | None:
    """Return what the server lists of each of its models, by name; None if it does not list them.

    Raises:
        FaultError: As for `send`.
        InputError: The server refuses the key.
    """
    response = send(address, "GET", "models")
    if response.status in (401, 403):
        raise refusal(address, response.status, "")
    try:
        entries = response.json()["data"] if response.status == 200 else []
        return {str(entry["id"]): dict(entry) for entry in entries} or None
    except (ValueError, KeyError, TypeError):
        return None


def _content(raw: Any, end: float, address: Address) -> bytes:
    """Read a body, whose time and size requests would not limit as a whole.

    Raises:
        FaultError: It is too slow or too large.
    """
    from urllib3.exceptions import ReadTimeoutError

    parts, size = [], 0
    try:
        while part := raw.read1(2**16, decode_content=True):
            parts.append(part)
            size += len(part)
            if monotonic() > end:
                raise FaultError("timeout", f"no whole reply within {address.seconds:g} s")
            if size > address.largest:
                raise FaultError("nonsense", f"a reply of more than {address.largest} bytes")
    except ReadTimeoutError:
        raise FaultError("timeout", f"no reply within {address.seconds:g} s") from None
    return b"".join(parts)


def _session() -> Any:
    import requests

    if not hasattr(_OF_THREAD, "session"):
        _OF_THREAD.session = requests.Session()
    return _OF_THREAD.session


def _raise_passing(response: HttpReply, address: Address) -> None:
    """Raise what may pass: a rate limit, or an error of the server."""
    status = response.status
    if status < 500 and status not in _TRY_AGAIN:
        return
    code, message = error_of(response, address)
    if code in _NO_QUOTA:
        raise InputError(f"{address.place}: the account has no quota left: {message}")
    kind = "rate limit" if status == 429 else "server error"
    raise FaultError(kind, f"HTTP {status}: {message}", _retry_after(response.retry_after))


def refusal(address: Address, status: int, message: str) -> InputError:
    """Return the error for a request that the server will never accept."""
    place = address.place
    if status in (401, 403):
        if address.key is None:
            return InputError(
                f"{place}: wants a key (HTTP {status}); put it into an environment variable and "
                f"name the variable with {address.role}_key_env="
            )
        return InputError(f"{place}: refuses the key in {address.key_env} (HTTP {status})")
    return InputError(f"{place}: refuses the request (HTTP {status}): {message}")


def error_of(response: HttpReply, address: Address) -> tuple[str, str]:
    """Return the code and the message of an error, without the key."""
    try:
        error = response.json()["error"]
        code, message = str(error.get("code") or ""), str(error.get("message") or "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        code, message = "", response.content[:200].decode("utf-8", "replace")
    if "maximum context length" in message:  # vLLM and others give no code
        code = "context_length_exceeded"
    if address.key:
        message = message.replace(address.key, MASK)
    message = without_secrets(" ".join(message.split()))[:200]
    return code, message or response.reason


def _retry_after(given: str | None) -> float | None:
    """Return the seconds of a Retry-After header; None without one that can be read."""
    from urllib3 import Retry
    from urllib3.exceptions import InvalidHeader

    try:
        return None if given is None else float(Retry().parse_retry_after(given))
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _cause(error: Exception) -> str:
    """Return the innermost reason of a failed connection, which libraries wrap many times."""
    cause: Any = error
    while isinstance(cause, Exception):
        reason = getattr(cause, "reason", None) or next(iter(cause.args), None)
        if not isinstance(reason, Exception):
            break
        cause = reason
    text = reason_of(cause, 200)
    return text.rpartition("object at ")[2].partition(">: ")[2] or text.rpartition("): ")[2] or text
