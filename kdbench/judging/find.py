"""Finding the judge, its prompt and the runs that settings name."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.checkpoint import find_checkpoint
from kdbench.config.judge import OPENAI, REFERENCE, TEACHER
from kdbench.errors import InputError, nearest_of
from kdbench.generate import Options
from kdbench.judging.judge import Judge
from kdbench.judging.local import LocalJudge
from kdbench.judging.server import OPENAI_URL, ServerJudge
from kdbench.judging.settings import JudgeSettings
from kdbench.store.folder import RunFolder
from kdbench.store.packed_folder import open_run
from kdbench.store.packs import is_run
from kdbench.store.runs import known_runs, run_folders
from kdbench.system.http import Address

_OPENAI_KEY = "OPENAI_API_KEY"


def find_judge(settings: JudgeSettings) -> Judge:
    """Return the judge of the settings, not loaded and not asked yet.

    Raises:
        InputError: There is no such checkpoint, or the server's key is missing.
    """
    name = settings.judge or ""
    if not name.startswith(OPENAI):
        checkpoint = find_checkpoint(
            name, None, settings.unsafe_pickle, "judge", settings.trust_remote_code
        )
        options = Options(
            dtype=settings.dtype,
            device=settings.device,
            batch_size=None if settings.batch_size == "auto" else settings.batch_size,
            trust_remote_code=settings.trust_remote_code,
        )
        return LocalJudge(checkpoint, options, settings.judge_max_tokens)
    fields = {"temperature": 0, "max_tokens": settings.judge_max_tokens, **settings.judge_options}
    sent = {key: value for key, value in fields.items() if value not in (None, "none")}
    return ServerJudge(
        name.removeprefix(OPENAI), _address(settings), sent, settings.judge_concurrency
    )


def _address(settings: JudgeSettings) -> Address:
    """Return the server's address, with the key from the environment.

    OpenAI's key goes to OpenAI alone, unless the user names its variable for another server.
    """
    url, variable = settings.judge_url or OPENAI_URL, settings.judge_key_env
    if variable is None and url == OPENAI_URL:
        variable = _OPENAI_KEY
    if variable is None:
        return Address(url, seconds=settings.judge_timeout)
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(
            f"judge=openai:…: the environment variable {variable} must hold the key of {url}"
        )
    if not key.isascii() or not key.isprintable():
        raise InputError(f"the environment variable {variable} holds no key: it is not plain text")
    return Address(url, key, variable, settings.judge_timeout)


def find_run(name: str, key: str, results: Path, like: Mapping[str, Any] | None = None) -> Path:
    """Return the folder of a stored run.

    Args:
        name: Folder of a run, or name of a model in the results.
        key: Setting that gave the name, for messages.
        results: Folder of the results.
        like: Record of a run; of several runs of the model, those of its protocol and limit count.

    Raises:
        InputError: There is no such run, or several.
    """
    if is_run(Path(name)):
        return Path(name)
    folders = run_folders(name, results)
    if folders == [results / name]:  # named whole, so that it counts even if it is auxiliary
        return folders[0]
    records = {folder: open_run(folder).read_whole_run() for folder in folders}
    shown = [folder for folder in folders if not records[folder].get("auxiliary")]
    if like is not None and len(shown) > 1:
        shown = [folder for folder in shown if _is_like(records[folder], like)] or shown
    if not shown:
        raise InputError(
            f"{key}={name}: is not a run folder or a model in results={results}"
            f"{nearest_of(name, known_runs(results))}"
        )
    if len(shown) > 1:
        raise InputError(f"{key}={name}: has several runs; give one: {', '.join(map(str, shown))}")
    return shown[0]


def _is_like(record: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(record.get(key) == other.get(key) for key in ("protocol", "limit"))


def find_opponent(
    settings: JudgeSettings, run: RunFolder, record: Mapping[str, Any]
) -> Path | None:
    """Return the folder of the run to compare with; None for the references, or for none.

    Args:
        settings: Settings with `judge_against`.
        run: Run to judge.
        record: Its `run.json`.

    Raises:
        InputError: There is no such run, or it is the judged one.
    """
    against = settings.judge_against
    if against in (None, REFERENCE):
        return None
    results = settings.results
    if against == TEACHER:
        against, results = _teacher_of(run), run.path.parents[1]
    folder = find_run(str(against), "judge_against", results, record)
    if folder.resolve() == run.path.resolve():
        raise InputError(f"judge_against={settings.judge_against}: is the judged run itself")
    return folder


def _teacher_of(run: RunFolder) -> str:
    names = {str(result.teacher["name"]) for result in run.tasks() if result.teacher}
    if not names and (run.path.parents[1] / TEACHER).is_dir():  # a model of that name
        return TEACHER
    if len(names) != 1:
        raise InputError(
            f"judge_against=teacher: {run.path} was compared with no teacher, or with several; "
            "give the teacher's run instead"
        )
    return names.pop()
