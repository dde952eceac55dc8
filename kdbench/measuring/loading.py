"""A backend that loads when it is first needed; a repeated command usually never needs it."""

from collections.abc import Callable
from threading import RLock

from kdbench.generate import Backend, Prompt
from kdbench.task import Task

_LOADING = RLock()  # transformers patches torch while it loads, so threads must not load together


class LazyBackend:
    """A backend and whether it is loaded.

    Args:
        load: Function that makes the backend.
    """

    def __init__(self, load: Callable[[], Backend]):
        self._load = load
        self._loaded: Backend | None = None

    def get(self) -> Backend:
        """Return the backend, loaded."""
        with _LOADING:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

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
