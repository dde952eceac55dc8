"""Asking a server many questions at once, and each again after a fault that may pass."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import Generic, TypeVar

from kdbench.errors import InputError
from kdbench.system.http import FaultError

Question = TypeVar("Question")
Answer = TypeVar("Answer")

_TRIES = 7
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0  # seconds
_LONGEST_WAIT = 600.0  # seconds that a server may ask to wait
_IN_A_ROW = 3  # questions without a reply after which the server counts as down

Wait = Callable[[float], bool]
"""Waits for some seconds; returns true at once if the work is to stop."""


class Asking(Generic[Question, Answer]):
    """Questions to a server, several at once.

    Args:
        place: The server, for messages.
        answer: Asks one question once; raises `FaultError` if another try may go better.
        concurrency: Number of requests at once.
        pause: Waits between two tries; None for real time.
        what: What is asked, for messages.
        tries: Largest number of tries that end in the same kind of fault, where it is not 7.

    Attributes:
        faults: Number of failed tries that a later try made good, by kind.
    """

    def __init__(
        self,
        place: str,
        answer: Callable[[Question], Answer],
        concurrency: int = 8,
        pause: Wait | None = None,
        what: str = "questions",
        tries: Mapping[str, int] | None = None,
    ):
        self._place, self._answer, self._concurrency = place, answer, concurrency
        self._stop = Event()
        self._pause, self._what = pause or self._stop.wait, what
        self._tries = tries or {}
        self.faults: Counter[str] = Counter()

    def ask(self, questions: Iterable[tuple[str, Question]]) -> Iterator[tuple[str, Answer]]:
        """Yield replies as they come; a question that gets none does not hold up the others.

        Args:
            questions: Keys and questions.

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
                f"{self._place}: {len(unanswered)} {self._what} or more got no reply "
                f"({unanswered[-1]}); the replies so far are stored, and the same command asks the "
                "rest"
            )

    def _outcomes(
        self, questions: Iterable[tuple[str, Question]]
    ) -> "Iterator[tuple[str, _Answered[Answer] | BaseException]]":
        """Yield what came of each question; after a stop, only of those on their way."""
        waiting = iter(questions)
        running: dict[Future[_Answered[Answer]], str] = {}
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="asking")
        try:
            while True:
                while not self._stop.is_set() and len(running) < self._concurrency:
                    if (question := next(waiting, None)) is None:
                        break
                    running[pool.submit(self._again, question[1])] = question[0]
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

    def _again(self, question: Question) -> "_Answered[Answer]":
        """Ask until there is a reply.

        Raises:
            FaultError: Every try failed.
            InputError: The server refuses the request, and would refuse it again.
        """
        faults: list[str] = []
        while True:
            try:
                return _Answered(self._answer(question), tuple(faults))
            except FaultError as fault:
                faults.append(fault.kind)
                seconds = fault.retry_after or _pause_after(len(faults))
                if seconds > _LONGEST_WAIT:
                    raise InputError(
                        f"{self._place}: asks to wait {seconds:.0f} s; run the same "
                        "command again then"
                    ) from None
                last = faults.count(fault.kind) == self._tries.get(fault.kind)
                if last or len(faults) == _TRIES or self._pause(seconds):
                    raise


@dataclass(frozen=True)
class _Answered(Generic[Answer]):
    """A reply, and the kinds of the failed tries before it."""

    reply: Answer
    faults: tuple[str, ...]


def _pause_after(number: int) -> float:
    """Seconds to wait after the n-th failed try: twice as long each time, with jitter."""
    longest: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (number - 1))
    return longest * random.uniform(0.5, 1)
