"""Whether servers are the teachers that they seem, on a few training texts that are kept."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench.checkpoint import find_checkpoint, load_checkpoint
from kdbench.config import TrainSettings
from kdbench.errors import InputError
from kdbench.scores.cache import CachedIdentity, ScoreColumns, TopKCache
from kdbench.scores.served.checking import TOLERANCE, check_line, check_server, compare, some_texts
from kdbench.scores.served.teacher import ServedTeacher, Text
from kdbench.system.console import report_progress
from kdbench.system.files import SCHEMA, put_text, read_json
from kdbench.system.progress import slow_step


def check_teachers(
    settings: TrainSettings,
    teachers: Mapping[str, ServedTeacher],
    texts: Mapping[str, Sequence[Text]],
    cache: TopKCache,
    identity: CachedIdentity,
) -> None:
    """Check each server on a few texts, and claim the cache if all is well.

    Args:
        settings: The settings of the run.
        teachers: The teachers by tag.
        texts: The training texts by tag.
        cache: The cache of their scores; the texts of the first check are kept in it.
        identity: Whose scores these are.

    Raises:
        InputError: A server is another model under the same name, gives no log-probabilities of the
            texts, or disagrees with `teacher_check=`.
    """
    local = _local_model(settings)
    for tag, teacher in teachers.items():
        if texts.get(tag):
            _check(tag, teacher, texts[tag], cache, identity, local)


def _check(
    tag: str,
    teacher: ServedTeacher,
    own: Sequence[Text],
    cache: TopKCache,
    identity: CachedIdentity,
    local: Any,
) -> None:
    file = cache.folder / f"check{f'-{tag}' if tag else ''}.json"
    texts, stored = _read(file) if file.exists() else (some_texts(own), None)
    checked, columns = check_server(teacher, texts, local)
    if stored is None:
        cache.claim(identity)
        put_text(file, _as_json(texts, columns))
    elif (change := compare(stored, columns)) > TOLERANCE:
        raise InputError(
            f"{teacher.model.address.place}: '{teacher.model.name}' differs by up to "
            f"{change:.3g} nats from the model whose scores are in {cache.folder}: it is "
            "another model under the same name; choose another teacher_cache= and out="
        )
    report_progress(check_line(teacher, checked, tag))


def _local_model(settings: TrainSettings) -> Any:
    if settings.teacher_check is None:
        return None
    found = find_checkpoint(
        settings.teacher_check,
        unsafe_pickle=settings.unsafe_pickle,
        key="teacher_check",
        trust_remote_code=settings.trust_remote_code,
    )
    with slow_step(f"loading {found.name}"):
        model, _ = load_checkpoint(found, "auto", "cpu", settings.trust_remote_code)
    return model.eval()


def _as_json(texts: Sequence[Text], columns: Sequence[ScoreColumns]) -> str:
    entries = [
        {"prompt": text.prompt, "response": text.response, "log_p": column["target"].tolist()}
        for text, column in zip(texts, columns, strict=True)
    ]
    return json.dumps({"schema": SCHEMA, "texts": entries})


def _read(file: Path) -> tuple[list[Text], list[ScoreColumns]]:
    """Read the texts of an earlier check and their log-probabilities.

    Raises:
        InputError: The file is damaged.
    """
    import torch

    try:
        entries = read_json(file)["texts"]
        texts = [Text(tuple(one["prompt"]), tuple(one["response"])) for one in entries]
        return texts, [{"target": torch.tensor(one["log_p"])} for one in entries]
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"{file}: damaged ({error}); delete it") from None
