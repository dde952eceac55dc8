"""A model on a server as a teacher: it scores texts and answers prompts, within a budget."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kdbench.errors import InputError, reason_of
from kdbench.scores.cache import ScoreColumns
from kdbench.scores.served.apis import APIS, Position
from kdbench.scores.served.columns import ScoresError, columns_of
from kdbench.scores.served.server import ServedModel
from kdbench.system.asking import Asking, Wait
from kdbench.system.http import TOO_LONG, FaultError, HttpReply, error_of, refusal, send

_TRIES = {"nonsense": 4}  # of a server that has no such API, the reply does not get better
_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Text:
    """A text to score.

    Attributes:
        prompt: Tokens before the response, at least one.
        response: Tokens to score, at least one.
        name: What it is, for messages.
    """

    prompt: tuple[int, ...]
    response: tuple[int, ...]
    name: str = "a text"

    @property
    def ids(self) -> tuple[int, ...]:
        """All of its tokens."""
        return self.prompt + self.response


@dataclass
class Usage:
    """What this process asked of servers.

    Attributes:
        budget: Number of tokens that may be sent; None is without a limit.
        requests: Requests that were answered.
        tokens: Tokens that were sent in them.
        sampled: Tokens that servers sampled.
        faults: Tries that failed before they were answered, by kind.
    """

    budget: int | None = None
    requests: int = 0
    tokens: int = 0
    sampled: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, tokens: int, sampled: int = 0) -> None:
        """Count an answered request."""
        self.requests += 1
        self.tokens += tokens
        self.sampled += sampled


class ServedTeacher:
    """A model on a server.

    Args:
        model: The model and its server.
        tokenizer: Its tokenizer.
        vocabulary: Number of its tokens.
        top_k: Number of likeliest tokens to ask for.
        usage: Where requests are counted; several teachers share its budget.
        concurrency: Number of requests at once.
        pause: Waits between two tries; None for real time.
        stored: Whether the caller stores what comes before an error, for messages.
    """

    def __init__(
        self,
        model: ServedModel,
        tokenizer: Any,
        vocabulary: int,
        top_k: int,
        usage: Usage,
        concurrency: int = 8,
        pause: Wait | None = None,
        stored: bool = True,
    ):
        self._stored = stored
        self.model, self.top_k, self.usage = model, top_k, usage
        self.tokenizer, self.vocabulary = tokenizer, vocabulary
        self.concurrency, self._pause = concurrency, pause
        place = model.address.place
        self._texts = Asking(place, self._scores, concurrency, pause, "texts", _TRIES)
        self._prompts = Asking(place, self._response, concurrency, pause, "prompts", _TRIES)

    def score(self, texts: Mapping[str, Text]) -> Iterator[tuple[str, ScoreColumns]]:
        """Yield the scores of texts as they come.

        Args:
            texts: Texts by key.

        Raises:
            InputError: The server refuses a request, does not answer, or sends no log-probabilities
                of the text; or the budget is used up. All scores that came were yielded before.
        """
        allowed = self._allowed({key: len(text.ids) for key, text in texts.items()})
        asked = [(key, texts[key]) for key in allowed]
        try:
            for key, columns in self._texts.ask(asked):
                self.usage.add(len(texts[key].ids))
                yield key, columns
        finally:
            self._count(self._texts)
        self._refuse_rest(len(texts) - len(allowed), "texts")

    def read(self, text: Text) -> list[Position]:
        """What the server says about each token of a response; asks again after a fault.

        Raises:
            InputError: The server refuses the request, or gives no log-probabilities of the text.
        """
        place = self.model.address.place
        asking = Asking(place, self.positions, 1, self._pause, "texts", _TRIES)
        positions = next(iter(asking.ask([("", text)])))[1]
        self.usage.add(len(text.ids))
        return positions

    def positions(self, text: Text) -> list[Position]:
        """Ask once for what the server says about each token of a response; may run in a thread.

        Raises:
            FaultError: The request failed, or the reply is not readable.
            InputError: The server refuses the request.
        """
        api, model = APIS[self.model.api], self.model
        body = api.body(model.name, text.ids, len(text.prompt), self.top_k)
        content = self._content(send(model.address, "POST", api.path, body), text)
        try:
            return api.read(content, text.ids, len(text.prompt), self._id_of)
        except _UNREADABLE as error:
            raise self._nonsense(text, reason_of(error, 150)) from None

    def _scores(self, text: Text) -> ScoreColumns:
        positions = self.positions(text)
        try:
            columns = columns_of(positions, text.response, self.top_k, self.vocabulary)
        except ScoresError as error:
            raise self._nonsense(text, str(error)) from None
        return columns

    def _nonsense(self, text: Text, reason: str) -> FaultError:
        return FaultError("nonsense", f"{text.name}: {reason}")

    def _content(self, response: HttpReply, text: Text) -> Any:
        """Read the body of a reply.

        Raises:
            FaultError: It is no JSON.
            InputError: The server refuses the request.
        """
        address = self.model.address
        if response.status == 200:
            try:
                return response.json()
            except (ValueError, RecursionError) as error:
                start = response.content[:40].decode("utf-8", "replace")
                raise self._nonsense(
                    text, f"no JSON ({reason_of(error, 80)}): {json.dumps(start)}"
                ) from None
        code, message = error_of(response, address)
        if code in TOO_LONG:
            raise InputError(
                f"{address.place}: {text.name} of {len(text.ids)} tokens is too long for "
                f"'{self.model.name}': {message}; lower max_length="
            )
        if "logprobs" in message:
            message += f"; lower teacher_top_k={self.top_k}, or raise the server's own limit"
        raise refusal(address, response.status, message)

    def _allowed(self, tokens: Mapping[str, int]) -> list[str]:
        """The first keys whose tokens the budget still has."""
        left = self.usage.budget
        if left is None:
            return list(tokens)
        left, allowed = left - self.usage.tokens, []
        for key, count in tokens.items():
            left -= count
            if left < 0:
                break
            allowed.append(key)
        return allowed

    def _refuse_rest(self, count: int, what: str) -> None:
        if not count:
            return
        then = "what came is stored, and the same command continues with a new budget"
        if not self._stored:
            then = "give teacher_cache=DIR, in which what comes is stored"
        raise InputError(
            f"teacher_budget={self.usage.budget}: {self.usage.tokens} tokens were sent, and "
            f"{count} {what} or more are left; {then}"
        )

    def _count(self, asking: "Asking[Any, Any]") -> None:
        self.usage.faults.update(asking.faults)
        asking.faults.clear()

    # Responses

    def answer(self, prompts: Mapping[str, "Asked"]) -> Iterator[tuple[str, "ServedResponse"]]:
        """Yield responses to prompts as they come.

        Args:
            prompts: Prompts by key.

        Raises:
            InputError: As for `score`.
        """
        allowed = self._allowed({key: len(one.text.prompt) for key, one in prompts.items()})
        asked = [(key, prompts[key]) for key in allowed]
        try:
            for key, response in self._prompts.ask(asked):
                self.usage.add(len(prompts[key].text.prompt), response.tokens)
                yield key, response
        finally:
            self._count(self._prompts)
        self._refuse_rest(len(prompts) - len(allowed), "prompts")

    def _response(self, asked: "Asked") -> "ServedResponse":
        text, fields = asked.text, asked.fields
        body = {"model": self.model.name, "prompt": list(text.prompt), **fields}
        content = self._content(send(self.model.address, "POST", "completions", body), text)
        try:
            choice = content["choices"][0]
            output, finish = choice["text"], choice["finish_reason"]
            count = int(content["usage"]["completion_tokens"])
            if not isinstance(output, str) or finish not in ("stop", "length"):
                raise TypeError(f"no text that ended: finish_reason {finish}")
        except _UNREADABLE as error:
            raise self._nonsense(text, reason_of(error, 150)) from None
        return ServedResponse(output, finish, count)

    @cached_property
    def _ids(self) -> dict[str, int]:
        """Ids of tokens by their text, where it belongs to one token alone."""
        counts: Counter[str] = Counter()
        ids: dict[str, int] = {}
        for name, token in self.tokenizer.get_vocab().items():
            for text in {name, self.tokenizer.decode([token])}:
                counts[text] += 1
                ids[text] = token
        return {text: token for text, token in ids.items() if counts[text] == 1}

    def _id_of(self, text: str) -> int:
        if text not in self._ids:
            raise LookupError(
                f"the server gives tokens as texts, and {text!r} is not the text of one token "
                "alone; use a server that gives ids, such as vLLM or SGLang"
            )
        return self._ids[text]


@dataclass(frozen=True)
class Asked:
    """A prompt to answer.

    Attributes:
        text: The prompt, with an empty response.
        fields: Length limit, seed and sampling, as the completion API names them.
    """

    text: Text
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class ServedResponse:
    """A response that a server sampled.

    Attributes:
        output: The text.
        finish: Whether it ended by itself, `stop`, or at the length limit, `length`.
        tokens: Number of its tokens.
    """

    output: str
    finish: str
    tokens: int
