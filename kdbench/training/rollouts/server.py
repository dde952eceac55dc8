"""A server that runs an engine for a training elsewhere.

    python -m kdbench.training.rollouts.server port=8400

It holds one student at a time, which the training sends, and serves the run that came last. Who can
reach it can have it compute, so it listens on this machine alone unless both sides have the same
password in the environment variable KDBENCH_ROLLOUT_TOKEN.
"""

import hmac
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from pydantic import Field

from kdbench.config import Settings, parse
from kdbench.errors import InputError, reason_of
from kdbench.generate import Row
from kdbench.protocol import Protocol
from kdbench.system.console import report_progress
from kdbench.training.rollouts import EngineStart, RolloutEngine, engines
from kdbench.training.rollouts.held_folder import HeldFolder
from kdbench.training.rollouts.served import RUN, TOKEN
from kdbench.version import __version__

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LOCAL = ("127.0.0.1", "localhost", "::1")
_BLOCK = 2**20  # bytes that are read at once
_SECONDS_OF_SILENCE = 60.0  # of a caller, after which the next one's turn comes
_OK, _REFUSED, _FORBIDDEN, _TAKEN, _BROKEN = 200, 400, 401, 409, 500


class ServerSettings(Settings):
    """Keys of the server."""

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8400, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    trust_remote_code: bool = Field(
        False, description="Permission to run Python code that comes with a student"
    )


class EngineHost:
    """What the server holds: a student's files, and the engine that runs it.

    Args:
        trust_remote_code: Whether code that comes with a student may run.

    Attributes:
        run: The run that has the server; empty if none has.
    """

    def __init__(self, trust_remote_code: bool = False):
        self._trusts = trust_remote_code
        self._held: HeldFolder | None = None
        self._engine: RolloutEngine | None = None
        self.run = ""

    def state(self) -> dict[str, Any]:
        """What is running."""
        engine = None if self._engine is None else self._engine.facts
        return {"kdbench": __version__, "engine": engine, "run": self.run}

    def place_of(self, run: str, name: str) -> Path:
        """Where a file of a student goes; a new run takes the server.

        Raises:
            InputError: It is no plain name of a file.
        """
        if not _NAME.fullmatch(name):
            raise InputError(f"'{name}' is no name of a file")
        if run != self.run or self._held is None:
            self.close()
            self.run, self._held = run, HeldFolder()
        return self._held.path / name

    def start(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Start the engine with the files that were sent.

        Raises:
            InputError: It does not start, or needs code that may not run.
        """
        assert self._held is not None  # noqa: S101 - the run has the server
        start = given["start"]
        if start["trust_remote_code"] and not self._trusts:
            raise InputError(
                "the student brings code of its own: start with trust_remote_code=true"
            )
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        protocol = {**start["protocol"], "seeds": tuple(start["protocol"]["seeds"])}
        marks = protocol["thinking_marks"]
        protocol["thinking_marks"] = marks and tuple(marks)
        self._engine = engines.get(str(given["backend"]))(
            EngineStart(
                **{
                    **start,
                    "folder": self._held.path,
                    "protocol": Protocol(**protocol),
                    "ends": tuple(start["ends"]),
                }
            )
        )
        return {"engine": self._engine.facts}

    def update(self, weights: Path, version: int) -> dict[str, Any]:
        """Give the engine new weights and remove their file."""
        self._running.update(weights, version)
        weights.unlink()
        return {"version": version}

    def sample(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Sample a response to each row."""
        rows = [
            Row(str(row["document"]), int(row["seed"]), tuple(row["prompt_ids"]))
            for row in given["rows"]
        ]
        samples = self._running.sample(rows)
        return {
            "samples": [
                {"tokens": list(one.tokens), "log_probs": list(one.log_probs)} for one in samples
            ]
        }

    @property
    def _running(self) -> RolloutEngine:
        if self._engine is None:
            raise InputError("no engine is running; the training must start one")
        return self._engine

    def close(self) -> None:
        """Stop the engine and remove the student."""
        if self._engine is not None:
            self._engine.close()
        if self._held is not None:
            self._held.close()
        self._engine, self._held, self.run = None, None, ""


class _RolloutHandler(BaseHTTPRequestHandler):
    """Reads requests, one after the other."""

    server: "RolloutServer"
    timeout = _SECONDS_OF_SILENCE

    def do_GET(self) -> None:
        if self._may():
            self._answer(_OK, self.server.engine.state())

    def do_PUT(self) -> None:
        if not self._may():
            return
        kind, _, name = self.path.rpartition("/")
        host, run = self.server.engine, self.headers.get(RUN, "")
        if kind.endswith("/files"):
            self._try(lambda: {"bytes": self._received(host.place_of(run, name)).stat().st_size})
        elif kind.endswith("/weights"):
            if self._has_the_server(run):
                self._try(lambda: host.update(self._weights(run, int(name)), int(name)))
        else:
            self._answer(_REFUSED, {"error": f"nothing is at {self.path}"})

    def do_POST(self) -> None:
        if not self._may():
            return
        content = self.rfile.read(self._length())
        host, what = self.server.engine, self.path.rpartition("/")[2]
        if not self._has_the_server(self.headers.get(RUN, "")):
            return
        if what == "start":
            self._try(lambda: host.start(json.loads(content)))
        elif what == "sample":
            self._try(lambda: host.sample(json.loads(content)))
        elif what == "stop":
            host.close()
            self._answer(_OK, {})
        else:
            self._answer(_REFUSED, {"error": f"nothing is at {self.path}"})

    def _weights(self, run: str, version: int) -> Path:
        return self._received(self.server.engine.place_of(run, f"step-{version}.safetensors"))

    def _received(self, file: Path) -> Path:
        left = self._length()
        with file.open("wb") as target:
            while left and (block := self.rfile.read(min(left, _BLOCK))):
                target.write(block)
                left -= len(block)
        if left:
            raise InputError(f"{file.name}: the connection broke before its end")
        return file

    def _length(self) -> int:
        """The size of what is sent; 0 if the caller does not state it."""
        given = self.headers.get("Content-Length", "")
        return int(given) if given.isdecimal() else 0

    def _may(self) -> bool:
        """Whether the caller has the password, if there is one."""
        token, given = self.server.token, self.headers.get("Authorization", "")
        if not token or hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return True
        self._answer(_FORBIDDEN, {"error": f"set {TOKEN} to the password of the server"})
        return False

    def _has_the_server(self, run: str) -> bool:
        if run and run == self.server.engine.run:
            return True
        self._answer(_TAKEN, {"error": "another run has taken the server, or it was started again"})
        return False

    def _try(self, work: Any) -> None:
        try:
            done = work()
        except InputError as error:
            self._answer(_REFUSED, {"error": str(error)})
        except (KeyError, TypeError, ValueError) as error:
            self._answer(_REFUSED, {"error": f"the request was not understood: {reason_of(error)}"})
        except TimeoutError:
            self._answer(_REFUSED, {"error": "what was announced did not arrive"})
        except Exception as error:  # noqa: BLE001 - engines fail in ways of their own
            traceback.print_exc()
            self._answer(_BROKEN, {"error": f"the engine failed: {reason_of(error)}"})
        else:
            self._answer(_OK, done)

    def _answer(self, status: int, content: Mapping[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if status != _OK:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing about single requests."""


class RolloutServer(HTTPServer):
    """The server; requests are answered one after the other, as the engine works.

    Args:
        settings: Where it listens.

    Attributes:
        engine: What it holds.
        token: The password; empty without one.

    Raises:
        InputError: It would listen to other machines without a password, or cannot listen there.
    """

    def __init__(self, settings: ServerSettings):
        self.engine = EngineHost(settings.trust_remote_code)
        self.token = os.environ.get(TOKEN, "")
        if settings.host not in _LOCAL and not self.token:
            raise InputError(
                f"host={settings.host}: other machines could use this server: set {TOKEN} to a "
                "password, here and where the training runs"
            )
        try:
            super().__init__((settings.host, settings.port), _RolloutHandler)
        except OSError as error:
            raise InputError(f"port={settings.port}: cannot listen there: {error}") from None


def main(arguments: list[str]) -> int:
    """Serve until the process is told to end; 2 if a key is wrong."""
    try:
        server = RolloutServer(parse(ServerSettings, arguments))
    except InputError as error:
        report_progress(f"error: {error}")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host, port = server.server_address[:2]
    report_progress(f"serving rollouts at http://{host!s}:{port}")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.engine.close()
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
