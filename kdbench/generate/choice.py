"""The backend that `backend=` and `backend_options=` name.

What a class may offer beyond `Backend`, with what holds for one that does not:

    own_engine = False         it picks each row's company itself, in an engine beside which `model`
                               is loaded when first asked for: rows that are there are not made
                               again, and all tasks are generated before anything is measured
    silent_options = ()        names of backend_options that change no text: not in a run's id
    secret_options = ()        names of backend_options that are not written down
    check(argument, engine)    static; raises InputError for what it cannot take; without it a
                               backend takes neither an argument nor options
    is_served(argument)        static; whether model= is a name that a server knows
    facts()                    a `Facts`; without it from `model`
    ends                       the tokens that end a response; without it from `model`
    top_scores(texts, k)       log-probabilities of a teacher's texts (`teacher_scores=engine`)
    stop()                     free the engine's memory; it starts again when it is needed
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kdbench.errors import InputError
from kdbench.generate import Backend, Facts, backends
from kdbench.generate.prompts import end_tokens


@dataclass(frozen=True)
class BackendChoice:
    """A backend and its own settings, checked.

    Attributes:
        word: as given, `NAME` or `NAME:ARGUMENT`.
        kind: the class.
        argument: what follows the colon.
        engine: the backend's own settings.
    """

    word: str
    kind: type[Backend]
    argument: str
    engine: Mapping[str, Any]

    @property
    def own_engine(self) -> bool:
        """Whether it generates in an engine of its own."""
        return bool(getattr(self.kind, "own_engine", False))

    @property
    def is_served(self) -> bool:
        """Whether the weights are elsewhere, and `model=` is a name."""
        served = getattr(self.kind, "is_served", None)
        return served is not None and bool(served(self.argument))

    @property
    def identity(self) -> str:
        """What a run's id is made of: the word, and the options that can change a text."""
        silent = getattr(self.kind, "silent_options", ())
        loud = {key: value for key, value in sorted(self.engine.items()) if key not in silent}
        return f"{self.word} {json.dumps(loud)}" if loud else self.word

    @property
    def recorded(self) -> dict[str, Any]:
        """The options for `run.json`, without secrets."""
        secret = getattr(self.kind, "secret_options", ())
        return {key: value for key, value in sorted(self.engine.items()) if key not in secret}


def choose_backend(word: str, engine: Mapping[str, Any]) -> BackendChoice:
    """Look a backend up and check its settings.

    Raises:
        InputError: an unknown backend, or settings that it does not take.
    """
    name, colon, argument = word.partition(":")
    kind = backends.get(name)
    check = getattr(kind, "check", None)
    if check is not None:
        check(argument, engine)
    elif colon:
        raise InputError(f"backend={word}: {name} takes nothing after a colon")
    elif engine:
        raise InputError(f"backend_options={next(iter(engine))}=…: backend={name} takes none")
    return BackendChoice(word, kind, argument, engine)


def ends_of(backend: Backend) -> frozenset[int]:
    """The tokens that end a response."""
    found: frozenset[int] | None = getattr(backend, "ends", None)
    return end_tokens(backend.model, backend.tokenizer) if found is None else found


def facts_of(backend: Backend) -> Facts:
    """What is known of a loaded backend."""
    if hasattr(backend, "facts"):
        facts: Facts = backend.facts()
        return facts
    model = backend.model
    if model is None:
        return Facts()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Facts(parameters, str(model.dtype).removeprefix("torch."))
