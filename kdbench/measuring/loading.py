"""A backend that loads when it is first needed; a repeated command usually never needs it."""

from collections.abc import Callable
from threading import RLock
from typing import Any

from kdbench.generate import Backend, Prompt
from kdbench.task import Task

_LOADING = RLock()  # transformers patches torch while it loads, so threads must not load together


class LazyBackend:
    """A backend and whether it is loaded.

    Args:
        load: Function that makes the backend.
        load_tokenizer: Function that loads only the tokenizer; None if only the backend can encode.
    """

    def __init__(
        self, load: Callable[[], Backend], load_tokenizer: Callable[[], Any] | None = None
    ):
        self._load, self._load_tokenizer = load, load_tokenizer
        self._loaded: Backend | None = None

    def get(self) -> Backend:
        """Return the backend, loaded."""
        with _LOADING:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def tokenizer(self) -> Any:
        """Return the tokenizer, without loading the backend if possible; None if it has none."""
        with _LOADING:
            if self._loaded is None and self._load_tokenizer is not None:
                return self._load_tokenizer()
        return self.get().tokenizer

    def prompts(self, task: Task) -> dict[str, Prompt]:
        """Return the encoded prompts of a task by document; this loads the backend."""
        backend = self.get()
        return {
            document.id: backend.encode(document.prompt, document.conversation)
            for document in task.documents
        }

    def stop(self) -> None:
        """Stop the engine of a loaded backend."""
        if self._loaded is not None:
            self._loaded.stop()

    def release(self) -> None:
        """Free the backend's memory; `get` loads it again."""
        self.stop()
        self._loaded = None
