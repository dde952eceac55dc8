"""What a run can do with cached scores of the teacher, and whether a cache has what it needs."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from kdbench.config import CACHE, CacheSettings, TrainSettings, is_on_server
from kdbench.config.command import command_words
from kdbench.errors import InputError
from kdbench.scores.cache import CachedIdentity, TopKCache, digest_of_tokens
from kdbench.training.source import FromTeacher
from kdbench.training.stage import Stage
from kdbench.training.triple import Triple
from kdbench.views.rollout import Example, Rollout, of_dataset


def cached_teacher(teacher: str | None) -> TopKCache | None:
    """The cache that `teacher=cache:DIR` names; None if it names a model, or nothing."""
    if teacher is None or not teacher.startswith(CACHE):
        return None
    return TopKCache(Path(teacher.removeprefix(CACHE)))


def check_cached(settings: TrainSettings, stages: Sequence[Stage]) -> CachedIdentity | None:
    """Check that a cache exists, and that a method can learn from one; nothing is loaded.

    Args:
        settings: The settings of the run.
        stages: The method's stages.

    Returns:
        Whose scores the cache of `teacher=cache:DIR` has; None if a model is given.

    Raises:
        InputError: There is no cache, or the method needs more than the top k tokens of the
            data set's responses.
    """
    cache = cached_teacher(settings.teacher)
    served = is_on_server(settings.teacher)
    if cache is None and settings.teacher_cache is None and not served:
        return None
    if served:
        _refuse_loading(settings)
    key = "teacher_cache" if cache is None and not served else "teacher"
    given = f"{key}={getattr(settings, key)}"
    identity = None if cache is None else cache.identity()
    if cache is not None and identity is None:
        raise InputError(
            f"{given}: no teacher.json, so this is not a cache; make one with kdbench cache "
            "teacher=CHECKPOINT out=DIR"
        )
    if cache is not None and settings.teacher_cache is not None:
        raise InputError(f"{given}: is a cache already; leave out teacher_cache=")
    if cache is None and settings.teacher is None:
        raise InputError(f"{given}: teacher= is missing, whose scores are to be cached")
    if identity is not None and settings.teacher_dtype not in ("auto", identity.dtype):
        raise InputError(f"teacher_dtype={settings.teacher_dtype}: {given} is of {identity.dtype}")
    taught = [stage.triple for stage in stages if stage.teacher == "given"]
    reasons = [_why_not(triple, cache is not None, served) for triple in taught]
    if reason := next(filter(None, reasons), None):
        known = "any response" if served else "the data set's own responses"
        raise InputError(
            f"method={settings.method} {reason}, and {given} stands for the teacher's top k tokens "
            f"at {known}: give a checkpoint as teacher=, or another method, such as kd"
        )
    kept, vocabulary = settings.teacher_top_k, None
    if identity is not None:
        kept, vocabulary = identity.top_k, identity.vocabulary
    for term in (term for triple in taught for term in triple.terms):
        needed = min(term.objective.least_top_k, vocabulary or term.objective.least_top_k)
        if "teacher" in term.objective.views and needed > kept:
            raise InputError(
                f"method={settings.method} needs the teacher's top {needed} tokens "
                f"({term.objective}), and {given} has {kept}: "
                f"{'give' if served else 'make a cache with'} teacher_top_k={needed} or more"
            )
    return identity


def _refuse_loading(settings: TrainSettings) -> None:
    """Refuse keys about a teacher that is loaded here.

    Raises:
        InputError: One is given.
    """
    values: dict[str, object] = {
        "teacher_dtype": settings.teacher_dtype != "auto" and settings.teacher_dtype,
        "teacher_device": settings.teacher_device,
        "teacher_offload": settings.teacher_offload and "true",
        "teacher_quantization": settings.teacher_quantization,
    }
    for key, value in values.items():
        if value:
            raise InputError(
                f"{key}={value}: has no effect on a teacher that a server holds; leave it out"
            )


def _why_not(triple: Triple, finished: bool, served: bool) -> str | None:
    """What a method needs that a cache or a server has not; None if there is nothing.

    Args:
        triple: The method in training.
        finished: Whether the scores come from a cache, and no others can be had.
        served: Whether they come from a server, which also answers prompts.

    Returns:
        The reason, to follow the method's name.
    """
    terms = [*triple.terms, *(term for companion in triple.companions for term in companion.terms)]
    if isinstance(triple.source.inner, FromTeacher) and finished:
        return "needs responses of the teacher"
    for term in terms:
        if "teacher" in term.objective.hidden:
            return f"needs hidden states of the teacher ({term.objective})"
        if "teacher" in term.objective.views and not term.objective.takes_top_k:
            return f"needs the teacher's whole distribution ({term.objective})"
    needs = {
        "needs the teacher's samples": triple.source.uses_teacher,
        "reads no scores in training": "teacher" not in triple.needed_views and not served,
        "needs the teacher in its source": "teacher" in triple.source.views,
        "needs the teacher's scores of new responses": triple.source.gives_samples and not served,
        "needs the teacher's loss on the validation set": "teacher" in triple.schedule.views,
        "needs the teacher's weights": any(own.needs_teacher_model for own in triple.companions),
        "shows the teacher other prompts": "teacher" in triple.prompts,
    }
    return next((reason for reason, holds in needs.items() if holds), None)


def check_complete(
    cache: TopKCache,
    examples: Sequence[Example],
    title: str,
    settings: TrainSettings,
    split: str = "train",
) -> None:
    """Check that a cache has the scores of all responses of a set.

    Args:
        cache: The cache.
        examples: The examples.
        title: The name of their set.
        settings: The settings of the run.
        split: Which set of the run it is, `train` or `valid`.

    Raises:
        InputError: It lacks some.
    """
    missing = [row for row in map(of_dataset, examples) if not cache.has(digest_of_row(row))]
    if missing:
        raise InputError(
            f"teacher=cache:{cache.folder}: has no scores of {len(missing)} of the "
            f"{len(examples)} responses of {title}, the first is row '{missing[0].id}': it was "
            "made of other texts or by another tokenizer; add them: "
            + _command(cache, settings, split)
        )


def _command(cache: TopKCache, settings: TrainSettings, split: str) -> str:
    """The command that adds to a cache what a run reads."""
    identity = cache.identity()
    without = {*TrainSettings.model_fields} - {*CacheSettings.model_fields} | {"teacher", "out"}
    words = command_words("cache", settings, without=without)[2:]
    if identity is not None:
        words.insert(0, f"teacher_top_k={identity.top_k}")
    if split != "train":
        words.append(f"splits=train,{split}")
    own = ["kdbench", "cache", f"out={cache.folder}", "teacher=CHECKPOINT"]
    return shlex.join([*own, *words])


def digest_of_row(row: Rollout) -> str:
    """The hash under which a cache has the scores of a response."""
    return digest_of_tokens(row.prompt_ids, row.response_ids)
