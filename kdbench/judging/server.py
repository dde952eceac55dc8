"""A judge on a server with OpenAI's API: OpenAI itself, vLLM, llama.cpp, Ollama and others."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdbench.errors import InputError, nearest
from kdbench.judging.http import post
from kdbench.judging.judge import Judge
from kdbench.judging.reply import Reply
from kdbench.system.asking import Asking, Wait
from kdbench.system.console import note_once
from kdbench.system.http import Address, FaultError, get_models

OPENAI_URL = "https://api.openai.com/v1"


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
        self._address, self._settings = address, settings
        self._asking = Asking(address.place, self._answer, concurrency, pause)
        self.faults = self._asking.faults

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
                raise InputError(f"{self._address.place}: {fault}") from None
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
        yield from self._asking.ask(questions)

    def _answer(self, text: str) -> Reply:
        body = {"model": self.name, "messages": [{"role": "user", "content": text}]}
        return post(self._address, {**body, **self._settings})
