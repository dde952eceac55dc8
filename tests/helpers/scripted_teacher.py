"""A teacher on a server on loopback: a small local model behind three APIs, with scripted faults.

In a test it runs in a thread. As a program it serves a checkpoint until its input ends:
`python tests/helpers/scripted_teacher.py FOLDER [API] [SECONDS]`; it prints its address.
"""

import json
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import torch


@dataclass(frozen=True)
class Fault:
    """What the server does instead of replying.

    Attributes:
        kind: status, drop, truncate, slow, or change (the reply is changed).
        status: HTTP status.
        headers: Further headers.
        change: Changes the reply, or replaces the body if it returns a text.
    """

    kind: str
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    change: Callable[[Any], Any] | None = None


def _with_nan(reply: Any) -> Any:
    at = reply["choices"][0]["prompt_logprobs"][-1]
    next(iter(at.values()))["logprob"] = math.nan
    return reply


FAULTS = (
    Fault("status", 500),
    Fault("status", 429, {"Retry-After": "0"}),
    Fault("drop"),
    Fault("truncate"),
    Fault("change", change=_with_nan),
    Fault("change", change=lambda _: "<html>Bad gateway</html>"),
    Fault("status", 503),
)
"""Faults after which the same request is worth another try."""

MOST_OF_A_TEXT = 2
"""Faults of one text in `every`, which threads could else let fail until the end by chance."""

Script = Callable[[int], Fault | None]
"""The fault of the n-th scoring request, counted from 0; None for none."""


def every(count: int) -> Script:
    """A script in which each `count`-th request fails, in turn in every way."""

    def script(number: int) -> Fault | None:
        return None if number % count else FAULTS[number // count % len(FAULTS)]

    script.most = MOST_OF_A_TEXT  # type: ignore[attr-defined]

    return script


class ScriptedTeacher:
    """The server; use it in a `with`.

    Args:
        model: A causal model of transformers.
        tokenizer: Its tokenizer.
        api: vllm, sglang or openai.
        script: Its faults.
        name: The model's name.
        change: Changes every reply.
        seconds: Time that each reply takes.

    Attributes:
        url: Address for `teacher=`.
        asked: Number of requests for each text that were answered.
        bodies: Requests as they came.
        keys: Authorization headers as they came.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        api: str = "vllm",
        script: Script = lambda _: None,
        name: str = "tiny",
        change: Callable[[Any], Any] | None = None,
        seconds: float = 0.0,
    ):
        self._model, self._tokenizer, self._api = model.eval(), tokenizer, api
        self.script, self._name, self.change = script, name, change
        self._seconds, self._lock = seconds, threading.Lock()
        self.asked: Counter[tuple[int, ...]] = Counter()
        self._failed: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.sampled = 0
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def __enter__(self) -> "ScriptedTeacher":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def models(self) -> dict[str, Any]:
        owner = {"openai": "me"}.get(self._api, self._api)
        return {"data": [{"id": self._name, "owned_by": owner, "root": f"models/{self._name}"}]}

    def reply(self, body: dict[str, Any]) -> Any:
        """The reply to a request, as the API gives it."""
        if "prompt_logprobs" not in body and "logprobs" not in body and "input_ids" not in body:
            return self._sample(body)
        ids = body.get("input_ids") or body["prompt"]
        top_k = body.get("prompt_logprobs") or body.get("top_logprobs_num") or body["logprobs"]
        with self._lock, torch.no_grad():  # one text alone, so that no batch changes a bit
            log_p = self._model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
        values, tokens = (found.tolist() for found in log_p.topk(top_k, dim=-1))
        own = log_p[:-1].gather(-1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()
        return getattr(self, f"_{self._api}")(ids, values, tokens, own, body)

    def _vllm(self, ids: Any, values: Any, tokens: Any, own: Any, _: Any) -> Any:
        listed: list[Any] = [None]
        for n, token in enumerate(ids[1:]):
            at = {str(token): self._entry(token, own[n], 1 + sum(v > own[n] for v in values[n]))}
            at |= {
                str(key): self._entry(key, value, rank)
                for rank, (key, value) in enumerate(zip(tokens[n], values[n], strict=True), 1)
            }
            listed.append(at)
        return {"choices": [{"text": " x", "finish_reason": "length", "prompt_logprobs": listed}]}

    def _entry(self, token: int, value: float, rank: int) -> dict[str, Any]:
        text = self._tokenizer.decode([token])
        return {"logprob": value, "rank": rank, "decoded_token": text}

    def _sglang(self, ids: Any, values: Any, tokens: Any, own: Any, body: Any) -> Any:
        start = body["logprob_start_len"]
        first = [None, ids[start], None]
        rows = [[value, token, None] for value, token in zip(own, ids[1:], strict=True)]
        top = [
            [[value, token, None] for value, token in zip(*pair, strict=True)]
            for pair in zip(values, tokens, strict=True)
        ]
        facts = {
            "input_token_logprobs": [first, *rows[start:]],
            "input_top_logprobs": [None, *top[start : len(ids) - 1]],
        }
        return {"text": " x", "meta_info": facts}

    def _openai(self, ids: Any, values: Any, tokens: Any, own: Any, _: Any) -> Any:
        top = [
            {f"token_id:{token}": value for value, token in zip(*pair, strict=True)}
            for pair in zip(values[:-1], tokens[:-1], strict=True)
        ]
        scores = {
            "tokens": [f"token_id:{token}" for token in ids],
            "token_logprobs": [None, *own],
            "top_logprobs": [None, *top],
        }
        return {"choices": [{"text": " x", "finish_reason": "length", "logprobs": scores}]}

    def _sample(self, body: dict[str, Any]) -> Any:
        ids = torch.tensor([body["prompt"]])
        with self._lock, torch.no_grad():
            torch.manual_seed(body["seed"])
            out = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                top_k=0,
                max_new_tokens=body["max_tokens"],
                pad_token_id=self._tokenizer.eos_token_id,
            )[0, ids.shape[1] :].tolist()
            self.sampled += 1
        ends = bool(out) and out[-1] == self._tokenizer.eos_token_id
        text = self._tokenizer.decode(out, skip_special_tokens=True)
        choice = {"text": text, "finish_reason": "stop" if ends else "length"}
        return {"choices": [choice], "usage": {"completion_tokens": len(out)}}

    def _next_fault(self, body: dict[str, Any], key: str | None) -> Fault | None:
        text = str(body.get("input_ids") or body["prompt"])
        with self._lock:
            number = len(self.bodies)
            self.bodies.append(body)
            self.keys.append(key)
        fault = self.script(number)
        with self._lock:
            if fault is None or self._failed[text] >= getattr(self.script, "most", math.inf):
                return None
            self._failed[text] += 1
        return fault

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send(200, json.dumps(server.models()))

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                body = json.loads(content)
                fault = server._next_fault(body, self.headers.get("Authorization"))
                if fault is not None and fault.kind == "status":
                    message = {"error": {"message": "no"}}
                    self._send(fault.status, json.dumps(message), fault.headers)
                    return
                if fault is not None and fault.kind == "drop":
                    self.close_connection = True
                    return
                time.sleep(server._seconds)
                reply = server.reply(body)
                for change in (server.change, fault and fault.change):
                    reply = change(reply) if change is not None else reply
                text = reply if isinstance(reply, str) else json.dumps(reply)
                if fault is not None and fault.kind == "truncate":
                    text = text[: len(text) // 2]
                if fault is None:
                    with server._lock:
                        ids = body.get("input_ids") or body["prompt"]
                        server.asked[tuple(ids)] += 1
                self._send(200, text)

            def _send(self, status: int, text: str, headers: Mapping[str, str] = {}) -> None:
                content = text.encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:  # the client was killed
                    self.close_connection = True

        return Handler


def main(folder: str, api: str = "vllm", seconds: str = "0") -> None:
    """Serve a checkpoint until the input ends, then print how often texts were asked."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with ScriptedTeacher(model, tokenizer, api, seconds=float(seconds)) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()
        sys.stdout.write(json.dumps(sorted(server.asked.values(), reverse=True)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
