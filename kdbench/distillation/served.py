"""Teachers on servers in a training run: found, checked, and asked for what no cache has yet."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.checkpoint import one_line
from kdbench.config import TrainSettings
from kdbench.distillation.cached import digest_of_row
from kdbench.distillation.rows import TrainingRow
from kdbench.distillation.served_check import check_teachers
from kdbench.distillation.teacher_responses import ServedAnswers
from kdbench.distillation.usage import Spent
from kdbench.errors import InputError
from kdbench.generate.prompts import encode_prompt
from kdbench.protocol import Protocol
from kdbench.scores.cache import COLUMNS, CachedIdentity, ScoreColumns, TopKCache
from kdbench.scores.served.server import ServedModel, find_models
from kdbench.scores.served.teacher import Asked, ServedResponse, ServedTeacher, Text
from kdbench.system.progress import progress
from kdbench.training.source import keyed_uniform
from kdbench.views.rollout import Example, Rollout, of_dataset
from kdbench.views.tokenizers import vocabulary_size

if TYPE_CHECKING:
    from kdbench.training.phases import Phases

_DTYPE = "served"
_DOMAIN = "domain"


class ServedTeachers:
    """The teachers of `teacher=http://…`, whose scores are kept in a cache.

    Args:
        settings: The settings of the run.
        tokenizer: The student's tokenizer.
        out: The folder of the checkpoint; what was spent is kept next to its states.

    Raises:
        InputError: A server does not answer, has no such model, or has a key that is not set.
    """

    def __init__(self, settings: TrainSettings, tokenizer: Any, out: Path):
        self._settings = settings
        self.tokenizer = _tokenizer(settings, tokenizer)
        self.vocabulary = vocabulary_size(self.tokenizer)
        self.top_k = min(settings.teacher_top_k, self.vocabulary)
        self.models = find_models(settings, str(settings.teacher))
        self.field = None if "" in self.models else settings.teacher_field or _DOMAIN
        self.spent = Spent(out, settings.teacher_budget)
        self.teachers = {
            tag: ServedTeacher(
                model,
                self.tokenizer,
                self.vocabulary,
                self.top_k,
                self.spent.usage,
                settings.teacher_concurrency,
            )
            for tag, model in self.models.items()
        }
        self.identity = self._identity()
        self.cache = TopKCache(settings.teacher_cache or self._own_folder(out))

    def _own_folder(self, out: Path) -> Path:
        """The folder of the scores next to `out=`, which runs with the same teacher share."""
        content = json.dumps(asdict(self.identity)).encode()
        return out.parent / "teacher-scores" / hashlib.sha256(content).hexdigest()[:12]

    def _identity(self) -> CachedIdentity:
        """Whose scores these are: names and what the servers say about the models, no address."""
        named = {tag: model.name for tag, model in sorted(self.models.items())}
        title = ",".join(f"{tag}={name}" if tag else name for tag, name in named.items())
        hashes: object = {tag: model.sha256 for tag, model in self.models.items()}
        text = json.dumps([hashes, self.field], sort_keys=True)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        one = self.models.get("")
        return CachedIdentity(
            name=title,
            sha256=one.sha256 if one else sha256,
            dtype=_DTYPE,
            vocabulary=self.vocabulary,
            top_k=self.top_k,
            ends=tuple({self.tokenizer.eos_token_id} - {None}),
            entropy=False,
        )

    @property
    def place(self) -> str:
        """The servers and models, for messages."""
        return ", ".join(_place(tag, model) for tag, model in self.models.items())

    @property
    def in_card(self) -> dict[str, Any]:
        """What a run card has about the servers and what was asked of them."""
        models = {
            tag: {"api": model.api, "model": model.name, "root": model.root}
            for tag, model in self.models.items()
        }
        one = models.get("")
        return {**(one or {"field": self.field, "models": models}), **self.spent.total()}

    # Which teacher, and under which hash

    def check_rows(self, examples: Sequence[Example]) -> None:
        """Check that each row names one of several teachers.

        Raises:
            InputError: A row does not.
        """
        for example in examples if self.field is not None else ():
            self._tag(of_dataset(example))

    def digest(self, row: Rollout) -> str:
        """The hash under which the cache has the scores of a response."""
        digest = digest_of_row(row)
        if self.field is None:
            return digest
        return hashlib.sha256(f"{self._tag(row)} {digest}".encode()).hexdigest()

    def _tag(self, row: Rollout) -> str:
        if self.field is None:
            return ""
        return self._tag_in(row.id, {} if row.example is None else row.example.fields)

    def _tag_in(self, name: str, fields: Mapping[str, Any]) -> str:
        if self.field is None:
            return ""
        tag = fields.get(self.field)
        if tag not in self.teachers:
            raise InputError(
                f"row '{name}': '{self.field}' is {tag!r}, and teacher= has "
                f"{', '.join(map(repr, self.teachers))}"
            )
        return str(tag)

    # Asking

    def missing(self, rows: Sequence[Rollout]) -> dict[str, Rollout]:
        """The responses whose scores the cache lacks, by hash; plain texts need none."""
        needed = {self.digest(row): row for row in rows if row.origin != "pretraining"}
        return {digest: row for digest, row in needed.items() if not self.cache.has(digest)}

    def complete(self, rows: Sequence[Rollout], title: str | None = None) -> None:
        """Ask for the scores that the cache lacks; what came is kept even if the rest fails.

        Args:
            rows: The responses.
            title: Title of the progress display; None shows none.

        Raises:
            InputError: A server does not give them, or the budget is used up.
        """
        missing = self.missing(rows)
        by_tag: dict[str, dict[str, Text]] = {}
        for digest, row in missing.items():
            by_tag.setdefault(self._tag(row), {})[digest] = text_of(row)
        if title is None:
            for tag, texts in by_tag.items():
                self._ask(self.teachers[tag], texts)
            return
        with progress(title, len(missing), 0, "responses", "scoring") as advance:
            for tag, texts in by_tag.items():
                self._ask(self.teachers[tag], texts, advance)

    def _ask(self, teacher: ServedTeacher, texts: Mapping[str, Text], advance: Any = None) -> None:
        arrived: dict[str, ScoreColumns] = {}
        try:
            for digest, columns in teacher.score(texts):
                arrived[digest] = columns
                if len(arrived) >= teacher.concurrency:
                    self._keep(arrived)
                if advance is not None:
                    advance()
        finally:
            self._keep(arrived)

    def _keep(self, arrived: dict[str, ScoreColumns]) -> None:
        """Write scores that came to the cache, and forget them here."""
        if not arrived:
            return
        import torch

        places, start = {}, 0
        for digest, columns in arrived.items():
            length = len(columns["target"])
            places[digest] = (start, start + length)
            start += length
        tensors = {
            name: torch.cat([columns[name] for columns in arrived.values()]).contiguous()
            for name in COLUMNS
        }
        self.cache.write(tensors, places)
        arrived.clear()
        self.spent.keep()

    def answers(self, protocol: Protocol, seed: int) -> ServedAnswers:
        """Return what samples a response to each row.

        Args:
            protocol: Form of the prompts, length limits and decoding.
            seed: Seed of the run; each row has a seed of its own.
        """

        def ask(rows: Sequence[TrainingRow]) -> Iterator[tuple[str, ServedResponse]]:
            fields = {"max_tokens": protocol.max_new_tokens, "temperature": protocol.temperature}
            fields |= {} if protocol.top_p == 1 else {"top_p": protocol.top_p}
            by_tag: dict[str, dict[str, Asked]] = {}
            for row in rows:
                prompt = encode_prompt(self.tokenizer, protocol, row.prompt, row.message).ids
                own = {**fields, "seed": int(keyed_uniform(seed, row.id) * 2**31)}
                text = Text(tuple(prompt), (), f"the prompt of row '{row.id}'")
                tag = self._tag_in(row.id, row.fields)
                by_tag.setdefault(tag, {})[row.id] = Asked(text, own)
            for tag, prompts in by_tag.items():
                yield from self.teachers[tag].answer(prompts)
            self.spent.keep()

        return ask

    # The start

    def prepare(self, examples: Sequence[Example], ahead: bool, costs: "Phases") -> None:
        """Check the servers, and score the training responses if the student learns from no others.

        Args:
            examples: The training examples.
            ahead: Whether they are scored now, and not when they are learned from.
            costs: Where the costs are added.

        Raises:
            InputError: A server is not the teacher that it seems, or does not answer.
        """
        if self.cache.identity() is not None:
            self.cache.claim(self.identity)
        rows = [of_dataset(example) for example in examples]
        missing = self.missing(rows)
        if missing or not ahead or self._settings.teacher_check is not None:
            by_tag: dict[str, list[Text]] = {}
            for row in rows:
                by_tag.setdefault(self._tag(row), []).append(text_of(row))
            check_teachers(self._settings, self.teachers, by_tag, self.cache, self.identity)
        self.cache.store_tokenizer(self.tokenizer)
        if ahead and missing:
            with costs("teacher_scores"):
                self.complete(rows, "teacher")
        if ahead:
            costs.count("teacher_scores", sum(len(row.response_ids) for row in rows))
        self.spent.keep()


def text_of(row: Rollout) -> Text:
    """A response as a text to score."""
    name = f"the response of origin {row.origin} to row '{row.id}'"
    return Text(tuple(row.prompt_ids), tuple(row.response_ids), name)


def _place(tag: str, model: ServedModel) -> str:
    return f"{f'{tag}: ' if tag else ''}'{model.name}' at {model.address.url} ({model.api})"


def _tokenizer(settings: TrainSettings, students: Any) -> Any:
    """The tokenizer of `teacher_tokenizer=`, or the student's.

    Raises:
        InputError: There is none.
    """
    if settings.teacher_tokenizer is None:
        return students
    from transformers import AutoTokenizer

    with one_line(Path(settings.teacher_tokenizer)):
        return AutoTokenizer.from_pretrained(
            settings.teacher_tokenizer, trust_remote_code=settings.trust_remote_code
        )
