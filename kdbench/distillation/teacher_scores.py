"""The teacher's scores of the training responses: made once, kept as a cache, read without it.

The cache is that of `kdbench eval` (`kdbench.scores.cache`). A pass that was interrupted goes on
after the last batch that was written, and all runs on the same tokens share the scores.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kdbench.distillation.cached import digest_of_row
from kdbench.distillation.ingredients import Ingredients
from kdbench.divergence import entropy
from kdbench.generate.prompts import end_tokens
from kdbench.metrics import top
from kdbench.scores.cache import CachedIdentity, Recorder, TopKCache
from kdbench.system.progress import progress
from kdbench.views.rollout import Batch, Example, Rollout, of_dataset

if TYPE_CHECKING:
    from kdbench.views.view import ModelView

_ROWS = 8  # as in training


def complete(
    cache: TopKCache, ingredients: Ingredients, examples: Sequence[Example], rows: int | None
) -> int:
    """Add the scores that a cache lacks; the teacher is loaded only if it lacks any.

    Args:
        cache: The cache.
        ingredients: The teacher and its settings.
        examples: The training examples.
        rows: Rows per forward pass; None is 8.

    Returns:
        The number of response tokens among the examples, whenever they were scored.

    Raises:
        InputError: It is the cache of another teacher, or of another size.
    """
    from kdbench.views.view import ModelView

    teacher, top_k = ingredients.teacher, ingredients.top_k
    assert teacher is not None and top_k is not None  # noqa: S101, PT018 - for the type checker
    old, vocabulary = cache.identity(), ingredients.shared_vocabulary
    dtype = ingredients.teacher_dtype
    ends = () if old is None else old.ends
    own = CachedIdentity(teacher.name, teacher.sha256, dtype, vocabulary, top_k, ends)
    if old is not None:
        cache.claim(own)
    if any(not cache.has(digest_of_row(row)) for row in map(of_dataset, examples)):
        model, tokenizer = ingredients.teacher_model
        cache.claim(replace(own, ends=tuple(sorted(end_tokens(model, tokenizer)))))
        cache.store_tokenizer(tokenizer)
        view = ModelView(model, vocabulary)
        view.check()
        score_responses(cache, view, examples, top_k, rows or _ROWS)
    return sum(len(example.response_ids) for example in examples)


def score_responses(
    cache: TopKCache, view: "ModelView", examples: Sequence[Example], top_k: int, rows: int
) -> None:
    """Add the scores of those training responses that a cache lacks.

    Args:
        cache: The cache.
        view: The teacher.
        examples: The training examples.
        top_k: Number of tokens to store at each position.
        rows: Rows per forward pass.

    """
    import torch

    all_rows = {digest_of_row(row): row for row in map(of_dataset, examples)}
    missing = [(digest, row) for digest, row in all_rows.items() if not cache.has(digest)]
    ordered = sorted(missing, key=lambda item: _length(item[1]))
    before = len(all_rows) - len(ordered)
    with (
        torch.no_grad(),
        progress("teacher", len(all_rows), before, "responses", "scoring") as advance,
    ):
        for start in range(0, len(ordered), rows):
            some = ordered[start : start + rows]
            batch = Batch([row for _, row in some], view.bare.device)
            recorder = Recorder(cache, top_k, [digest for digest, _ in some], batch.lengths)
            _record(recorder, view, batch)
            recorder.close()
            for _ in some:
                advance()


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
