"""`kdbench cache`: a teacher's scores of a data set, made once for many runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, RootModel

from kdbench.config import CacheSettings, TrainSettings
from kdbench.distillation.cached import digest_of_row
from kdbench.distillation.data import DataSet
from kdbench.distillation.early import check_early
from kdbench.distillation.examples import add_seconds
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.recipe import make_recipe
from kdbench.distillation.teacher_scores import PassOptions, ScoredTexts, complete, settle
from kdbench.errors import InputError
from kdbench.scores.cache import TopKCache
from kdbench.scores.merging import claimed, forget_claims, merge_small
from kdbench.scores.packing import PackingLoss
from kdbench.scores.summary import CacheSummary, damaged, summarise
from kdbench.system.files import put_text
from kdbench.system.records import read_record
from kdbench.views.rollout import Example, of_dataset

_SETS = "sets.json"


class CachedSet(BaseModel):
    """A set whose responses a cache has.

    Attributes:
        title: What it is called, such as `dolly/train`.
        texts: Number of its examples.
        tokens: Number of their response tokens.
        train_format: The format in which they are learned.
        sha256: Hash of the rows.
    """

    title: str
    texts: int
    tokens: int
    train_format: str
    sha256: str


class CachedSets(RootModel[list[CachedSet]]):
    """The content of `sets.json`, sorted."""


@dataclass(frozen=True)
class KeptScores:
    """What a cache holds, and what this call added.

    Attributes:
        folder: The folder of the cache.
        summary: What it holds.
        sets: The sets that `kdbench cache` has scored whole.
        scored: What this process added; its seconds include waiting for other processes.
        missing: Number of texts of the sets that other shards have yet to score.
        loss: What was lost with `max_error=`.
        checked: Whether each byte was compared with its checksum.
    """

    folder: Path
    summary: CacheSummary
    sets: Sequence[CachedSet]
    scored: ScoredTexts = field(default_factory=ScoredTexts)
    missing: int = 0
    loss: PackingLoss = field(default_factory=PackingLoss)
    checked: bool = False


def keep_scores(settings: CacheSettings) -> KeptScores:
    """Score the responses of a data set by a teacher, or count what a cache holds.

    A cache that is complete is left as it is; files of earlier versions are converted.

    Raises:
        InputError: Models, data or settings have a fault that the user can fix, or a file is
            damaged.
    """
    cache = TopKCache(settings.out)
    if settings.teacher is None:
        summary = summarise(cache)
        if settings.check and (line := next(damaged(cache), None)):
            raise InputError(f"{line}; delete it, and run the command that made the cache")
        return KeptScores(settings.out, summary, sets_of(cache), checked=settings.check)
    ingredients = ingredients_of(settings)
    sets = data_sets(settings, ingredients)
    examples = [example for data in sets for example in data.examples]
    check_texts(ingredients, examples)
    if cache.identity() is not None and summarise(cache).old_files:
        merge_small(cache)
    options = PassOptions(settings.micro_batch_size, settings.shard_mib, settings.share)
    error = settings.max_error if "max_error" in settings.model_fields_set else None
    scored = complete(cache, ingredients, examples, options, error)
    missing = sum(not cache.has(digest_of_row(of_dataset(example))) for example in examples)
    if not missing and not scored.texts:
        settle(cache, examples, settings.teacher_top_k, options)
    with claimed(cache, _SETS, wait=True):
        if scored.texts:
            add_seconds(settings.out, scored.seconds)
        if not missing:
            _record(cache, settings, sets)
    if not missing:
        forget_claims(cache)
    return KeptScores(settings.out, summarise(cache), sets_of(cache), scored, missing, cache.loss)


def ingredients_of(settings: CacheSettings) -> Ingredients:
    """The teacher and the data; the student is the checkpoint whose tokens are scored.

    Raises:
        InputError: A checkpoint or a data set is missing or does not fit.
    """
    shared = set(TrainSettings.model_fields) & set(CacheSettings.model_fields) - {"out", "dry_run"}
    given = {key: getattr(settings, key) for key in shared & settings.model_fields_set}
    recipe = make_recipe(
        {
            **given,
            "method": "kd",
            "student": settings.student or settings.teacher,
            "teacher_cache": settings.out,
            "teacher_top_k": settings.teacher_top_k,
        }
    )
    check_early(recipe)
    ingredients = Ingredients(recipe)
    ingredients.check_tokenizers()
    return ingredients


def data_sets(settings: CacheSettings, ingredients: Ingredients) -> list[DataSet]:
    """The sets that are scored."""
    of_split = {"train": ingredients.train, "valid": ingredients.valid}
    return [of_split[split] for split in settings.splits]


def check_texts(ingredients: Ingredients, examples: Sequence[Example]) -> None:
    """Check that the teacher has the tokens of all texts, and positions for them.

    Raises:
        InputError: It does not.
    """
    from kdbench.distillation.models import check_positions, check_tokens
    from kdbench.generate.unloaded import UnloadedCheckpoint

    assert ingredients.teacher is not None  # noqa: S101 - for the type checker
    settings = ingredients.settings
    check_tokens(ingredients.tokenizer, ingredients.shared_vocabulary, examples)
    teacher = UnloadedCheckpoint(ingredients.teacher, settings.trust_remote_code)
    check_positions(teacher, "the teacher", examples, settings)


def sets_of(cache: TopKCache) -> list[CachedSet]:
    """The sets that `kdbench cache` has scored whole."""
    file = cache.folder / _SETS
    return read_record(file, CachedSets).root if file.exists() else []


def _record(cache: TopKCache, settings: CacheSettings, sets: Sequence[DataSet]) -> None:
    """Write down which sets a cache has."""
    new = [
        CachedSet(
            title=data.title,
            texts=len(data.examples),
            tokens=sum(len(example.response_ids) for example in data.examples),
            train_format=settings.train_format,
            sha256=data.sha256,
        )
        for data in sets
    ]
    known = sets_of(cache)
    added = [found for found in new if found not in known]
    if added:
        ordered = sorted([*known, *added], key=lambda found: found.model_dump_json())
        put_text(cache.folder / _SETS, CachedSets(ordered).model_dump_json(indent=1) + "\n")
