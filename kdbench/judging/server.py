"""A judge on a server with OpenAI's API: OpenAI itself, vLLM, llama.cpp, Ollama and others."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import Any

from kdbench.errors import InputError, nearest
from kdbench.judging.http import Address, FaultError, get_models, post
from kdbench.judging.judge import Judge
from kdbench.judging.reply import Reply
from kdbench.system.console import note_once

OPENAI_URL = "https://api.openai.com/v1"

_TRIES = 7
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0  # seconds
_LONGEST_WAIT = 600.0  # seconds that a server may ask to wait
_IN_A_ROW = 3  # questions without a reply after which the server counts as down

Wait = Callable[[float], bool]
"""Waits for some seconds; returns true at once if the work is to stop."""


class ServerJudge(Judge):
    """A model on a server.

    Args:
        model: Name under which the server knows the model.
        address: Address and key of the server.
        settings: Fields of each request besides the model and the messages.
        concurrency: Number of requests at once.
        pause: Waits between two tries; None for real time.
    """

    def __init__(
        self,
        model: str,
        address: Address,
        settings: Mapping[str, Any],
        concurrency: int = 8,
        pause: Wait | None = None,
    ):
        identity = {"kind": "openai", "model": model, "settings": dict(settings)}
        super().__init__(model, identity, address.url)
        self._address, self._settings, self._concurrency = address, settings, concurrency
        self._stop = Event()
        self._pause = pause or self._stop.wait

    def check(self) -> None:
        """Check that the server answers and takes the key; note a model that it does not list.

        Some servers know models, such as deployments and aliases, that they do not list.

        Raises:
            InputError: It does not.
        """
        try:
            models = get_models(self._address)
        except FaultError as fault:
            if fault.kind in ("connection", "timeout"):
                raise InputError(f"judge at {self.address}: {fault}") from None
            return  # such as a rate limit, which may have passed when the judge is asked
        if models is not None and self.name not in models:
            note_once(
                f"note: the judge at {self.address} does not list '{self.name}': "
                f"{nearest(self.name, sorted(models)[:20])}"
            )

    def ask(self, questions: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Reply]]:
        """Yield replies as they come; a question that gets none does not hold up the others.

        Raises:
            InputError: The server refuses the key, the model or the request, or questions got no
                reply; replies that were on their way were yielded before.
        """
        self._stop.clear()
        unanswered: list[str] = []
        in_a_row = 0
        refusal: BaseException | None = None
        for key, outcome in self._outcomes(questions):
            if isinstance(outcome, _Answered):
                self.faults.update(outcome.faults)
                in_a_row = 0
                yield key, outcome.reply
            elif isinstance(outcome, FaultError):
                unanswered.append(str(outcome))
                in_a_row += 1
                if in_a_row >= _IN_A_ROW:
                    self._stop.set()
            else:
                refusal = refusal or outcome
                self._stop.set()
        if refusal is not None:
            raise refusal
        if unanswered:
            raise InputError(
                f"judge at {self.address}: {len(unanswered)} questions or more got no reply "
                f"({unanswered[-1]}); the replies so far are stored, and the same command asks the "
                "rest"
            )

    def _outcomes(
        self, questions: Sequence[tuple[str, str]]
    ) -> Iterator[tuple[str, "_Answered | BaseException"]]:
        """Yield what came of each question; after a stop, only of those on their way."""
        waiting = iter(questions)
        running: dict[Future[_Answered], str] = {}
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="judge")
        try:
            while True:
                while not self._stop.is_set() and len(running) < self._concurrency:
                    if (question := next(waiting, None)) is None:
                        break
                    running[pool.submit(self._answer, question[1])] = question[0]
                if not running:
                    return
                try:
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                except KeyboardInterrupt as interrupt:  # what is on its way is still stored
                    if self._stop.is_set():
                        raise
                    yield "", interrupt
                    continue
                for future in done:
                    yield running.pop(future), future.exception() or future.result()
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)

    def _answer(self, text: str) -> "_Answered":
        """Ask until there is a reply.

        Raises:
            FaultError: Every try failed.
            InputError: The server refuses the request, and would refuse it again.
        """
        body = {"model": self.name, "messages": [{"role": "user", "content": text}]}
        faults: list[str] = []
        while True:
            try:
                return _Answered(post(self._address, {**body, **self._settings}), tuple(faults))
            except FaultError as fault:
                faults.append(fault.kind)
                seconds = fault.retry_after or _pause_after(len(faults))
                if seconds > _LONGEST_WAIT:
                    raise InputError(
                        f"judge at {self.address}: asks to wait {seconds:.0f} s; run the same "
                        "command again then"
                    ) from None
                if len(faults) == _TRIES or self._pause(seconds):
                    raise


@dataclass(frozen=True)
class _Answered:
    """A reply, and the kinds of the failed tries before it."""

    reply: Reply
    faults: tuple[str, ...]


def _pause_after(number: int) -> float:
    """Seconds to wait after the n-th failed try: twice as long each time, with jitter."""
    longest: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (number - 1))
    return longest * random.uniform(0.5, 1)
