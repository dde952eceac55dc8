"""The teacher's scores of the training responses: made once, kept as a cache, read without it.

The cache is that of `kdbench eval` (see `kdbench.scores.cache`). The texts are divided into parts,
each a file in the end, and these into batches, in a way that follows from the texts alone. A pass
that was interrupted resumes after the last batch that was written, processes share the parts, and
all runs on the same tokens share the scores.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kdbench.distillation.cached import digest_of_row
from kdbench.distillation.ingredients import Ingredients
from kdbench.divergence import entropy
from kdbench.generate.prompts import end_tokens
from kdbench.metrics import top
from kdbench.scores.cache import CachedIdentity, Recorder, TopKCache
from kdbench.scores.merging import claimed, forget_claims, is_tidy, merge, tidy
from kdbench.scores.shards import shard_name
from kdbench.system.progress import progress
from kdbench.views.rollout import Batch, Example, Rollout, of_dataset

if TYPE_CHECKING:
    from kdbench.views.view import ModelView

_ROWS = 8  # as in training
_PART = 64  # MiB
Batches = Sequence[Sequence[tuple[str, Rollout]]]


@dataclass(frozen=True)
class CachePart:
    """Texts that become a file of a cache.

    Attributes:
        batches: The texts of each forward pass, each with its hash.
    """

    batches: Batches

    @property
    def digests(self) -> list[str]:
        """The hashes of the texts."""
        return [digest for batch in self.batches for digest, _ in batch]

    @property
    def name(self) -> str:
        """A name that follows from the texts."""
        return Path(shard_name([bytes.fromhex(digest) for digest in self.digests])).stem


@dataclass(frozen=True)
class PassOptions:
    """How the teacher goes through the texts.

    Attributes:
        rows: Rows per forward pass; None is 8.
        part: MiB of a file before compression.
        shard: Which of how many shares of the parts this process scores; None shares them with
            all processes that work on the cache, and waits for these.
    """

    rows: int | None = None
    part: int = _PART
    shard: tuple[int, int] | None = None


@dataclass(frozen=True)
class ScoredTexts:
    """What a pass of the teacher has added.

    Attributes:
        texts: Number of texts.
        tokens: Number of their response tokens.
        seconds: Seconds that it took, without loading the teacher.
    """

    texts: int = 0
    tokens: int = 0
    seconds: float = 0.0


def complete(
    cache: TopKCache,
    ingredients: Ingredients,
    examples: Sequence[Example],
    options: PassOptions,
    max_error: float | None = None,
) -> "ScoredTexts":
    """Add the scores that a cache lacks; the teacher is loaded only if it lacks any.

    Args:
        cache: The cache.
        ingredients: The teacher and its settings.
        examples: The training examples.
        options: How the teacher goes through them.
        max_error: Largest error of a stored number in nats; None is that of the cache, or 0.

    Returns:
        What was added.

    Raises:
        InputError: It is the cache of another teacher, or of another size.
    """
    from kdbench.views.view import ModelView

    teacher, top_k = ingredients.teacher, ingredients.top_k
    assert teacher is not None and top_k is not None  # noqa: S101, PT018 - for the type checker
    old, vocabulary = cache.identity(), ingredients.shared_vocabulary
    dtype = ingredients.teacher_dtype
    ends = () if old is None else old.ends
    error = max_error if max_error is not None else 0.0 if old is None else old.max_error
    own = CachedIdentity(
        teacher.name, teacher.sha256, dtype, vocabulary, top_k, ends, max_error=error
    )
    if old is not None:
        cache.claim(own)
    if any(not cache.has(digest_of_row(row)) for row in map(of_dataset, examples)):
        model, tokenizer = ingredients.teacher_model
        cache.claim(replace(own, ends=tuple(sorted(end_tokens(model, tokenizer)))))
        cache.store_tokenizer(tokenizer)
        view = ModelView(model, vocabulary)
        view.check()
        return score_responses(cache, view, examples, top_k, options)
    return ScoredTexts()


def parts_of(examples: Sequence[Example], top_k: int, options: PassOptions) -> list[CachePart]:
    """Divide texts into parts, the shortest first; a text that comes twice is in one.

    Args:
        examples: The training examples.
        top_k: Number of tokens to store at each position.
        options: How the teacher goes through them.
    """
    rows = options.rows or _ROWS
    ordered = sorted(
        {digest_of_row(row): row for row in map(of_dataset, examples)}.items(),
        key=lambda item: _length(item[1]),
    )
    batches = [ordered[start : start + rows] for start in range(0, len(ordered), rows)]
    parts: list[CachePart] = []
    part: list[list[tuple[str, Rollout]]] = []
    size = 0
    for batch in batches:
        part.append(batch)
        size += sum(len(row.response_ids) for _, row in batch) * bytes_of_token(top_k)
        if size >= options.part * 2**20:
            parts.append(CachePart(part))
            part, size = [], 0
    return [*parts, CachePart(part)] if part else parts


def bytes_of_token(top_k: int) -> int:
    """The bytes of a token's scores before compression."""
    return 8 * top_k + 12


def score_responses(
    cache: TopKCache,
    view: "ModelView",
    examples: Sequence[Example],
    top_k: int,
    options: PassOptions,
) -> "ScoredTexts":
    """Add the scores of those training responses that a cache lacks.

    Args:
        cache: The cache.
        view: The teacher.
        examples: The training examples.
        top_k: Number of tokens to store at each position.
        options: How the teacher goes through them.

    Returns:
        What was added.
    """
    import torch

    start = time.perf_counter()
    parts = _own_parts(examples, top_k, options)
    digests = [digest for part in parts for digest in part.digests]
    before = sum(map(cache.has, digests))
    with (
        torch.no_grad(),
        progress("teacher", len(digests), before, "responses", "scoring") as advance,
    ):
        scoring = _Scoring(cache, view, top_k, advance)
        others = [part for part in parts if not scoring.score(part)]
        for part in others:  # another process had these: wait for it, and do what it left
            scoring.score(part, wait=True)
    tidy(cache)
    if options.shard is None:  # nobody has anything left to do
        forget_claims(cache)
    return ScoredTexts(scoring.texts, scoring.tokens, time.perf_counter() - start)


def settle(cache: TopKCache, examples: Sequence[Example], top_k: int, options: PassOptions) -> None:
    """Merge and index what a process scored that was killed before it could do so.

    Args:
        cache: The cache, which has the scores of all examples.
        examples: The training examples.
        top_k: Number of tokens that are stored at each position.
        options: How the teacher went through them.
    """
    if is_tidy(cache):
        return
    for part in _own_parts(examples, top_k, options):
        with claimed(cache, part.name, wait=True):
            cache.refresh()
            merge(cache, part.digests)
    tidy(cache)


def _own_parts(examples: Sequence[Example], top_k: int, options: PassOptions) -> list[CachePart]:
    parts = parts_of(examples, top_k, options)
    if options.shard is None:
        return parts
    first, count = options.shard
    return parts[first::count]


@dataclass
class _Scoring:
    """A teacher at work on a cache.

    Attributes:
        cache: The cache.
        view: The teacher.
        top_k: Number of tokens to store at each position.
        advance: Called after each text.
        texts: Number of texts that were scored.
        tokens: Number of their tokens.
    """

    cache: TopKCache
    view: "ModelView"
    top_k: int
    advance: Callable[[], None]
    texts: int = 0
    tokens: int = 0

    def score(self, part: CachePart, wait: bool = False) -> bool:
        """Score what the cache lacks of a part, and make one file of it.

        Args:
            part: The part.
            wait: Whether to wait for another process that has it.

        Returns:
            False if another process has it.
        """
        with claimed(self.cache, part.name, wait) as is_ours:
            if not is_ours:
                return False
            self.cache.refresh()
            for batch in part.batches:
                missing = [item for item in batch if not self.cache.has(item[0])]
                if missing:
                    self._score(missing)
            merge(self.cache, part.digests)
        return True

    def _score(self, some: Sequence[tuple[str, Rollout]]) -> None:
        batch = Batch([row for _, row in some], self.view.bare.device)
        recorder = Recorder(self.cache, self.top_k, [digest for digest, _ in some], batch.lengths)
        _record(recorder, self.view, batch)
        recorder.close()
        self.texts += len(some)
        self.tokens += sum(batch.lengths)
        for _ in some:
            self.advance()


def _record(recorder: Recorder, view: "ModelView", batch: Batch) -> None:
    from kdbench.views.view import chunk_length

    states, targets = view.states(batch), batch.targets
    size = chunk_length(view.vocabulary, batch.device)
    for some, tokens in zip(states.split(size), targets.split(size), strict=True):
        log_p = view.logits(some).log_softmax(-1)
        of_targets = log_p.gather(-1, tokens[:, None])[:, 0]
        recorder.add(log_p, top(log_p, recorder.top_k), entropy(log_p), of_targets)


def _length(row: Rollout) -> int:
    return len(row.prompt_ids) + len(row.response_ids)
