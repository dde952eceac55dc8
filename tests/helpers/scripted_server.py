"""A server with OpenAI's API on loopback whose replies are scripted, faults included.

In a test it runs in a thread. As a program it prints its address, grades by the number of words and
reports when its input ends: `python tests/helpers/scripted_server.py FAULT_EVERY`.
"""

import hashlib
import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

_TAGS = re.compile(r"<response(?:-([AB]))?-\w+>\n(.*?)\n</response", re.S)


@dataclass(frozen=True)
class Says:
    """What the server sends back.

    Attributes:
        status: HTTP status.
        body: Body, as text or as JSON; None closes the connection without a word.
        headers: Further headers.
        hangs: Whether nothing is sent until the server ends.
        pause: Seconds between two of the endless repetitions of the body; None to send it once.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False
    pause: float | None = None


Script = Callable[[int, str], Says]
"""The reply to the n-th request, counted from 0, with this question."""


def says(text: str | None, **message: Any) -> Says:
    """A chat completion with a text."""
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 7}
    return Says(body={"choices": [choice], "usage": usage, "model": "scripted-1"})


def error(status: int, message: str = "no", code: str | None = None, **headers: str) -> Says:
    """An error as OpenAI sends it."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Says(status, {"error": {"message": message, "code": code}}, names)


def by_words(question: str) -> Says:
    """Grade each response by its number of words, or prefer the longer one."""
    words = {name: len(text.split()) for name, text in _TAGS.findall(question)}
    if "Better: A" in question:
        better = "tie" if words["A"] == words["B"] else max("AB", key=lambda name: words[name])
        return says(f"I count words.\n\nBetter: {better}")
    grades = {name: min(10, max(1, count)) for name, count in words.items()}
    lines = [f"Score{f' {name}' if name else ''}: {grade}" for name, grade in grades.items()]
    return says("\n".join(["I count words.", *lines]))


FAULTS = (
    error(429, "slow down", "rate_limit_exceeded", Retry_After="0"),
    error(500, "oops"),
    error(503, "loading"),
    Says(200, "<html>nonsense"),
    Says(200, {"choices": []}),
    Says(),
)
"""Faults after which the same request is worth another try."""


def with_faults(every: int) -> Script:
    """A script of which each `every`-th request on average fails, in one of several ways."""

    def script(number: int, question: str) -> Says:
        draw = int(hashlib.sha256(f"{number}".encode()).hexdigest(), 16)
        return FAULTS[draw // every % len(FAULTS)] if draw % every == 0 else by_words(question)

    return script


class ScriptedServer:
    """The server; use it in a `with`.

    Args:
        script: What it replies.

    Attributes:
        url: Address for `judge_url=`.
        asked: Number of requests for each question.
        replied: Number of chat completions sent for each question.
        faults: Number of other replies.
        bodies: Requests as they came.
        keys: Authorization headers as they came; None for a request without one.
        most: Largest number of requests at once.
    """

    def __init__(self, script: Script | None = None):
        self._script = script or (lambda _, question: by_words(question))
        self._lock, self._over = threading.Lock(), threading.Event()
        self.asked: Counter[str] = Counter()
        self.replied: Counter[str] = Counter()
        self.faults = self._now = self.most = 0
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def __enter__(self) -> "ScriptedServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._over.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _reply_to(self, body: dict[str, Any], key: str | None) -> Says:
        question = body["messages"][0]["content"]
        with self._lock:
            number = len(self.bodies)
            self.bodies.append(body)
            self.keys.append(key)
            self.asked[question] += 1
            self._now += 1
            self.most = max(self.most, self._now)
        reply = self._script(number, question)
        with self._lock:
            self._now -= 1
            completes = isinstance(reply.body, dict) and bool(reply.body.get("choices"))
            self.replied[question] += completes
            self.faults += not completes
        return reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send(Says(200, {"data": [{"id": "scripted"}]}))

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                content = self.rfile.read(length)
                if len(content) < length:  # the client was killed
                    self.close_connection = True
                    return
                reply = server._reply_to(json.loads(content), self.headers.get("Authorization"))
                if reply.hangs:
                    server._over.wait()
                self._send(reply)

            def _send(self, reply: Says) -> None:
                if reply.body is None or server._over.is_set():
                    self.close_connection = True
                    return
                text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
                content = text.encode()
                if reply.pause is not None:
                    self._send_endless(content, reply.pause)
                    return
                self.send_response(reply.status)
                for name, value in {**reply.headers, "Content-Length": len(content)}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(content)

            def _send_endless(self, part: bytes, pause: float) -> None:
                self.close_connection = True
                self.send_response(200)
                self.end_headers()
                while not server._over.wait(pause):
                    self.wfile.write(part)

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:  # the client was killed
                    self.close_connection = True

        return Handler


def main() -> None:
    """Serve until standard input ends, then print the counts."""
    with ScriptedServer(with_faults(int(sys.argv[1]))) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()
        replied = server.replied
        sys.stdout.write(
            f"{sum(server.asked.values())} requests about {len(server.asked)} questions: "
            f"{replied.total()} replies, {server.faults} faults; questions with more than one "
            f"reply: {sum(count > 1 for count in replied.values())}, "
            f"without a reply: {sum(question not in +replied for question in server.asked)}\n"
        )


if __name__ == "__main__":
    main()
