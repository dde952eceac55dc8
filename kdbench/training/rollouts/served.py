"""An engine of rollouts on a server (`python -m kdbench.training.rollouts.server`)."""

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from kdbench.errors import InputError
from kdbench.generate import Row
from kdbench.training.rollouts.engine import EngineSample, EngineStart, RolloutEngine

TOKEN = "KDBENCH_ROLLOUT_TOKEN"  # noqa: S105 - the name of a variable
"""The environment variable with the password that server and training share."""
RUN = "X-Kdbench-Run"
"""The header that names the run that has the server."""

_CONNECT_SECONDS = 10.0
_LONGEST_SECONDS = 3600.0  # a set of long responses


class ServedRollouts(RolloutEngine):
    """A server's engine, to which the student is sent.

    Args:
        start: The student and how it is sampled from.
        url: Address of the server.
        backend: Name of the engine that the server shall run.

    Raises:
        InputError: The server does not answer, refuses the token, or its engine does not start.
    """

    def __init__(self, start: EngineStart, url: str, backend: str):
        super().__init__(start)
        self._url, self._run = url, uuid.uuid4().hex
        for file in sorted(start.folder.iterdir()):
            self._send(f"/files/{file.name}", file)
        given = {**asdict(start), "folder": None, "shares_device": False}
        self.facts = str(self._ask("/start", {"backend": backend, "start": given})["engine"])

    def update(self, weights: Path, version: int) -> None:
        """Send new weights."""
        self._send(f"/weights/{version}", weights)

    def sample(self, rows: Sequence[Row]) -> list[EngineSample]:
        """Have a response to each row sampled."""
        samples = self._ask("/sample", {"rows": [asdict(row) for row in rows]})["samples"]
        return [EngineSample(tuple(one["tokens"]), tuple(one["log_probs"])) for one in samples]

    def close(self) -> None:
        """Let the server free its memory; one that is gone has none."""
        try:
            self._ask("/stop", {})
        except InputError:
            return

    def _send(self, path: str, file: Path) -> None:
        with file.open("rb") as content:
            request(self._url, "PUT", path, content, self._run, file.stat().st_size)

    def _ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return request(self._url, "POST", path, json.dumps(body).encode(), self._run)


def check_server(url: str) -> None:
    """Check that a server answers and knows the token, before a model is loaded.

    Raises:
        InputError: It does not.
    """
    request(url, "GET", "/state")


def request(
    url: str,
    method: str,
    path: str,
    body: "bytes | BinaryIO | None" = None,
    run: str = "",
    size: int | None = None,
) -> dict[str, Any]:
    """Send one request and read the JSON of its reply.

    Args:
        url: Address of the server.
        method: `GET`, `POST` or `PUT`.
        path: What is asked.
        body: What is sent.
        run: The run that asks.
        size: Number of bytes of a body that is read from a file.

    Raises:
        InputError: The server does not answer, or refuses; the line has its reason.
    """
    address = urlsplit(url)
    kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
    headers = {RUN: run, "Content-Length": str(len(body) if isinstance(body, bytes) else size or 0)}
    if token := os.environ.get(TOKEN):
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection = kind(address.netloc, timeout=_CONNECT_SECONDS)
        try:
            connection.connect()
            connection.sock.settimeout(_LONGEST_SECONDS)
            connection.request(method, address.path + path, body, headers)
            reply = connection.getresponse()
            status, text = reply.status, reply.read()
        finally:
            connection.close()
    except (OSError, HTTPException) as error:
        raise InputError(
            f"rollout_server={url}: does not answer ({error}); start it with python -m "
            "kdbench.training.rollouts.server, and give the same command again"
        ) from None
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise TypeError
    except (ValueError, TypeError):
        raise InputError(f"rollout_server={url}: is no rollout server of kdbench") from None
    if status != 200:
        raise InputError(f"rollout_server={url}: {content.get('error', f'HTTP {status}')}")
    return content
