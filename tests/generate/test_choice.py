# ruff: noqa: ARG002, ARG004 - a backend is given more than these need
"""A backend inherits the defaults, or kdbench adds them to it."""

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from kdbench.errors import InputError
from kdbench.generate import Backend, Facts, Options, Prompt, Row, Sample, backends
from kdbench.generate.choice import BackendChoice, choose_backend
from kdbench.generate.hf import HFBackend


class Plain:
    """A backend that does not inherit from kdbench's base class."""

    def __init__(self, checkpoint: Any, protocol: Any, options: Options):
        super().__init__()
        self.batch_size = options.batch_size

    def encode(self, prompt: str, message: str) -> Prompt:
        return Prompt((1,), False)

    def batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        yield list(rows)

    def generate(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        yield from ()


class Rich(Plain):
    """A backend that does not inherit from kdbench's base class and has every optional member."""

    own_engine = True
    silent_options = ("quiet",)
    secret_options = ("token",)
    ends = frozenset({7})

    @staticmethod
    def check(argument: str, engine: Mapping[str, Any]) -> None:
        if argument == "bad":
            raise InputError("bad")

    @staticmethod
    def is_served(argument: str) -> bool:
        return argument == "far"

    def top_scores(self, texts: Any, k: int) -> Iterator[Any]:
        yield 0, k

    def facts(self) -> Facts:
        return Facts(3)


class Inheriting(Plain, Backend):
    """A backend that inherits the defaults."""


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    backends.names()
    for kind in (Plain, Rich, Inheriting):
        monkeypatch.setitem(backends._parts, kind.__name__.lower(), kind)


def loaded(choice: BackendChoice) -> Any:
    return choice.kind(None, None, Options(batch_size=4))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["plain", "inheriting"])
def test_a_backend_has_the_defaults_whether_or_not_it_inherits_them(name: str) -> None:
    choice = choose_backend(name, {})
    assert (choice.own_engine, choice.is_served, choice.has_top_scores) == (False, False, False)
    assert (choice.identity, choice.recorded) == (name, {})
    backend = loaded(choice)
    assert isinstance(backend, Backend)
    assert (backend.batch_size, backend.model, backend.tokenizer) == (4, None, None)
    assert backend.facts() == Facts()
    assert backend.stop() is None
    with pytest.raises(InputError, match="reports no log-probabilities"):
        backend.top_scores([], 1)


@pytest.mark.parametrize("name", ["plain", "inheriting"])
def test_by_default_a_backend_takes_no_argument_or_options(name: str) -> None:
    with pytest.raises(InputError, match="takes no argument after a colon"):
        choose_backend(f"{name}:x", {})
    with pytest.raises(InputError, match="an argument must follow the colon"):
        choose_backend(f"{name}:", {})
    with pytest.raises(InputError, match="backend_options=fast=…: this backend takes no options"):
        choose_backend(name, {"fast": 1})


def test_optional_members_are_used_without_inheritance() -> None:
    choice = choose_backend("rich:far", {"token": "x", "quiet": 1, "a": 2})
    assert (choice.own_engine, choice.is_served, choice.has_top_scores) == (True, True, True)
    assert choice.identity == 'rich:far {"a": 2, "token": "x"}'
    assert choice.recorded == {"a": 2, "quiet": 1}
    backend = loaded(choice)
    assert (backend.facts(), backend.ends) == (Facts(3), frozenset({7}))
    assert list(backend.top_scores([], 5)) == [(0, 5)]
    assert choice.kind.__doc__ == Rich.__doc__
    with pytest.raises(InputError, match=r"^bad$"):
        choose_backend("rich:bad", {})


def test_a_class_that_inherits_is_used_unchanged() -> None:
    assert choose_backend("hf", {}).kind is HFBackend
    assert choose_backend("inheriting", {}).kind is Inheriting


def test_facts_and_end_tokens_are_read_from_a_model() -> None:
    model = torch.nn.Linear(2, 3)
    model.dtype = torch.float32  # type: ignore[assignment]
    model.generation_config = SimpleNamespace(eos_token_id=[5, 6])  # type: ignore[assignment]
    backend = loaded(choose_backend("plain", {}))
    backend.model, backend.tokenizer = model, SimpleNamespace(eos_token_id=4)
    assert backend.facts() == Facts(9, "float32")
    assert backend.ends == {4, 5, 6}
