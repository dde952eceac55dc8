"""`kdbench cache --dry-run`: what the scores would take, before the teacher is loaded."""

from collections.abc import Collection, Iterator, Sequence

from kdbench.config import CacheSettings, given_facts
from kdbench.distillation.cached import digest_of_row
from kdbench.distillation.examples import seconds_of
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.keeping import check_texts, data_sets, ingredients_of
from kdbench.distillation.teacher_scores import PassOptions, bytes_of_token, parts_of
from kdbench.scores.cache import TopKCache
from kdbench.scores.summary import CacheSummary, summarise
from kdbench.system.outline import Fact, Section
from kdbench.text import counted, duration
from kdbench.views.rollout import Example, of_dataset

_DIGITS = 12  # of a hash
# Bytes a token that were measured, for each k: docs/teacher-cache.md.
_ERRORS = (0.0, 0.001, 0.01)
_MEASURED = {8: (51, 33, 27), 16: (87, 56, 47), 64: (291, 184, 159), 256: (1023, 654, 562)}


def plan_cache(settings: CacheSettings) -> list[Section]:
    """What `cache` would score and write.

    Raises:
        InputError: As for `cache`, but for what only the loaded teacher shows.
    """
    cache = TopKCache(settings.out)
    title = "kdbench cache: a dry run, which writes nothing"
    if settings.teacher is None:
        return [Section(title, (*given_facts(settings), Fact("reads", str(settings.out))))]
    ingredients = ingredients_of(settings)
    sets = data_sets(settings, ingredients)
    examples = [example for data in sets for example in data.examples]
    check_texts(ingredients, examples)
    top_k = ingredients.top_k or settings.teacher_top_k
    summary = None if cache.identity() is None else summarise(cache)
    missing = {
        digest_of_row(row): len(row.response_ids)
        for row in map(of_dataset, examples)
        if not cache.has(digest_of_row(row))
    }
    facts = tuple(_facts(settings, ingredients, examples, missing.values(), summary))
    sizes = tuple(
        Fact(f"k = {k}", ", ".join(_sizes(k, sum(missing.values())))) for k in (*_MEASURED,)
    )
    return [
        Section(title, given_facts(settings)),
        Section(f"Scores: the top {top_k} tokens", facts),
        Section("Size by k and max_error, at the bytes a token of SmolLM2-135M", sizes),
    ]


def _facts(
    settings: CacheSettings,
    ingredients: Ingredients,
    examples: Sequence[Example],
    lengths: Collection[int],
    summary: CacheSummary | None,
) -> Iterator[Fact]:
    """The teacher, the texts, and what their scores take.

    Args:
        settings: The settings.
        ingredients: The teacher and the data.
        examples: The texts.
        lengths: The numbers of tokens of the texts that are to be scored.
        summary: What the cache holds; None if there is none.
    """
    teacher, tokens = ingredients.teacher, sum(lengths)
    top_k = ingredients.top_k or settings.teacher_top_k
    if teacher is not None:
        yield Fact("teacher", f"{teacher.path} (sha256 {teacher.sha256[:_DIGITS]})")
    yield Fact("runs on", f"{ingredients.device}, {ingredients.teacher_dtype}")
    count = len({digest_of_row(row) for row in map(of_dataset, examples)})
    yield Fact(
        "texts",
        f"{count} different, {len(lengths)} to be scored: {counted(tokens, 'response token')}",
    )
    files = len(parts_of(examples, top_k, PassOptions(part=settings.shard_mib)))
    yield Fact("files", f"{settings.out}: {counted(files, 'file')} for these sets")
    raw = bytes_of_token(top_k)
    yield Fact("before compression", f"{_mib(raw * tokens)}, {raw} bytes a token")
    if summary is not None and summary.bytes_per_token is not None:
        own = summary.bytes_per_token
        yield Fact("size", f"{_mib(own * tokens)} at this cache's {own:.1f} bytes a token")
    yield Fact("time", _time(settings, tokens, summary))


def _time(settings: CacheSettings, tokens: int, summary: CacheSummary | None) -> str:
    """The time of the scoring, from what the cache took so far; no speed is assumed."""
    seconds = seconds_of(settings.out)
    if not tokens:
        return "none: every text is scored"
    if summary is None or not summary.tokens or not seconds:
        return "unknown until some texts are scored: try limit= first"
    rate = summary.tokens / seconds
    return f"about {duration(tokens / rate)} at this cache's {rate:.0f} tokens a second"


def _sizes(top_k: int, tokens: int) -> Iterator[str]:
    """The sizes of a number of tokens, for each error."""
    for error, measured in zip(_ERRORS, _MEASURED[top_k], strict=True):
        exactly = "exact" if not error else f"within {error:g} nats"
        yield f"{_mib(measured * tokens)} {exactly}"


def _mib(size: float) -> str:
    return f"{size / 2**20:.1f} MiB"
