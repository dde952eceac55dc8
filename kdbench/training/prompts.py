"""Prompts of a view: a context before the question that the student does not see.

The response positions stay those of the student. The context goes to where the question begins: in
a chat, after what the run's chat template writes before the first turn of the user (a system turn
among it); otherwise to the start of the prompt, after a BOS token. The question is never cut.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from kdbench.errors import InputError
from kdbench.generate.prompts import encode_prompt
from kdbench.training.context import Context
from kdbench.training.source import keyed_uniform, sample_without_repetition
from kdbench.training.triple import Encode
from kdbench.views.rollout import Example, Rollout

_PROBES = ("0", "Z")  # two questions, which share nothing


@dataclass(frozen=True)
class Frame:
    """What the form of a run writes around a question.

    Attributes:
        before: The tokens before it.
        after: The number of tokens behind it.
    """

    before: tuple[int, ...]
    after: int

    def split(self, rollout: Rollout) -> int:
        """The place in a rollout's prompt where its question begins.

        Raises:
            InputError: The prompt does not begin as the form does.
        """
        place = len(self.before)
        if tuple(rollout.prompt_ids[:place]) != self.before:
            raise InputError(
                f"row '{rollout.id}': its prompt does not begin as the chat template begins a "
                "question, so no context can be put before it; leave out its own system turn"
            )
        return place


def frame_of(context: Context) -> Frame:
    """What the form of the run's prompts writes around a question."""
    form, tokenizer = context.sampling, context.tokenizer
    if form.prompt != "chat":
        first = {example.prompt_ids[0] for example in context.train}
        has_bos = form.add_bos and first == {tokenizer.bos_token_id}
        return Frame((tokenizer.bos_token_id,) if has_bos else (), 0)
    one, other = (encode_prompt(tokenizer, form, text, text).ids for text in _PROBES)
    return Frame(_common(one, other), len(_common(one[::-1], other[::-1])))


def _common(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    """The tokens with which both begin."""
    equal = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return tuple(token for token, _ in equal)


@dataclass
class Prefixed:
    """The text of a field of the example before the question, such as a worked solution.

    An empty text adds nothing, not even the template's own words.

    Attributes:
        text: The name of the field, or a function of the example that returns the text.
        limit_tokens: Tokens of the context at most; what is beyond is cut off its end.
        template: How the context is written; `{}` stands for the text.
    """

    text: str | Callable[[Example], str]
    limit_tokens: int
    template: str = "{}\n\n"
    _frame: Frame | None = field(default=None, init=False, repr=False)

    def begin(self, context: Context) -> None:
        """Learn the form of the prompts.

        Raises:
            InputError: The template has no place for the text.
        """
        if "{}" not in self.template:
            raise InputError(f"prompt of a view: its template '{self.template}' has no {{}}")
        self._frame = frame_of(context)

    def __call__(self, rollout: Rollout, encode: Encode) -> Sequence[int]:
        """The context and the prompt; a plain text has no context."""
        if rollout.example is None:
            return rollout.prompt_ids
        assert self._frame is not None  # noqa: S101 - it has begun
        example, text = rollout.example, self.text
        known = str(example.field(text)) if isinstance(text, str) else text(example)
        ids = encode(self.template.replace("{}", known)) if known else ()
        return _inserted(rollout, self._frame.split(rollout), ids[: self.limit_tokens])


@dataclass
class FewShot:
    """Other training examples before the question, each with its first reference.

    Which ones depends on the seed and on the example alone, so they are the same in every epoch.

    Attributes:
        count: Number of examples.
        limit_tokens: Tokens of the context at most; examples that do not fit are left out, never
            cut.
        template: How an example is written, with `{question}` and `{response}`.
        seed: Of the draw.
    """

    count: int
    limit_tokens: int = 1024
    template: str = "{question}\n{response}\n\n"
    seed: int = 0
    _frame: Frame | None = field(default=None, init=False, repr=False)
    _shots: dict[str, tuple[int, ...]] = field(default_factory=dict, init=False, repr=False)
    _train: Sequence[Example] = field(default=(), init=False, repr=False)
    _tokenizer: Any = field(default=None, init=False, repr=False)

    def begin(self, context: Context) -> None:
        """Look at the training set.

        Raises:
            InputError: It is too small.
        """
        if len(context.train) <= self.count:
            raise InputError(
                f"prompt of a view: {self.count} other examples of {len(context.train)}; take fewer"
            )
        self._frame, self._train = frame_of(context), context.train
        self._tokenizer = context.tokenizer

    def __call__(self, rollout: Rollout, encode: Encode) -> Sequence[int]:
        """The examples and the prompt; a plain text has none."""
        if rollout.example is None:
            return rollout.prompt_ids
        assert self._frame is not None  # noqa: S101 - it has begun
        ids: list[int] = []
        for example in self.chosen(rollout.id):
            if len(ids) + len(shot := self._shot(example, encode)) <= self.limit_tokens:
                ids += shot
        return _inserted(rollout, self._frame.split(rollout), ids)

    def chosen(self, name: str) -> list[Example]:
        """The examples before the question of an example, never that one itself."""
        drawn = sample_without_repetition(
            self._train, self.count + 1, lambda place: keyed_uniform(self.seed, name, place)
        )
        return [example for example in drawn if example.id != name][: self.count]

    def _shot(self, example: Example, encode: Encode) -> tuple[int, ...]:
        if example.id not in self._shots:
            assert self._frame is not None  # noqa: S101 - it has begun
            stop = len(example.prompt_ids) - self._frame.after
            question = self._tokenizer.decode(example.prompt_ids[len(self._frame.before) : stop])
            text = self.template.replace("{question}", question)
            text = text.replace("{response}", first_reference(example))
            self._shots[example.id] = tuple(encode(text))
        return self._shots[example.id]


def first_reference(example: Example) -> str:
    """The text of the first reference, empty if there is none."""
    return (*example.references, "")[0]


def _inserted(rollout: Rollout, place: int, ids: Sequence[int]) -> tuple[int, ...]:
    return (*rollout.prompt_ids[:place], *ids, *rollout.prompt_ids[place:])
