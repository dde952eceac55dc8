"""`kdbench push`: card, results and checkpoint in one commit of a model repository.

A card that the repository has is kept but for kdbench's part of it, and the commit is refused by
the Hub if the repository has changed since the card was read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.errors import InputError, reason_of
from kdbench.exchange.find import one_run
from kdbench.exchange.hub.card import card_text, read_text, run_card
from kdbench.exchange.hub.results import eval_result_files
from kdbench.exchange.settings import PushSettings
from kdbench.store.folder import RunFolder
from kdbench.store.packed_folder import run_with_samples
from kdbench.store.runs import StoredRun
from kdbench.system.console import report_progress
from kdbench.system.outline import Fact, Section
from kdbench.system.secrets import has_key, without_secrets
from kdbench.task import task_title
from kdbench.text import byte_size

CARD = "README.md"
_VOCABULARY = ("tokenizer", "vocab", "merges")  # words of any look
_SCANNED = 1_000_000  # bytes of the largest file that is searched for secrets


@dataclass(frozen=True)
class PushPlan:
    """What is pushed.

    Attributes:
        repo: Repository.
        message: Commit message.
        files: Text or file on this disk, by path in the repository; without the card.
        run: The run.
        local_card: Card next to the checkpoint's weights; empty for none.
    """

    repo: str
    message: str
    files: dict[str, str | Path] = field(repr=False)
    run: StoredRun = field(repr=False)
    local_card: str = field(repr=False, default="")

    def size_of(self, path: str) -> int:
        """The size of a file, in bytes."""
        content = self.files[path]
        return content.stat().st_size if isinstance(content, Path) else len(content.encode())


def plan_push(settings: PushSettings) -> PushPlan:
    """Collect what is pushed, with every check that needs no network.

    Raises:
        InputError: The run or the checkpoint has a fault.
    """
    folder, run = one_run(settings.run, settings.results)
    run_with_samples(folder.path, "run")  # the files of the run are what is pushed
    run_card(run, settings.checkpoint)
    place = f"kdbench/{folder.path.resolve().parent.name}/{folder.path.resolve().name}"
    files: dict[str, str | Path] = {}
    if settings.checkpoint is not None:
        files |= dict(_checkpoint_files(settings.checkpoint))
    for path in _run_files(folder, settings.samples):
        files[f"{place}/{path.relative_to(folder.path).as_posix()}"] = path
    source = f"https://huggingface.co/{settings.repo}/tree/main/{place}"
    files |= eval_result_files(run, settings.eval_results, source)
    tasks = ", ".join(task_title(task) for task in run.results)
    card = settings.checkpoint / CARD if settings.checkpoint else None
    local = read_text(card) if card is not None and card.is_file() else ""
    message = settings.message or f"kdbench: results of {run.label} on {tasks}"
    return PushPlan(settings.repo, " ".join(message.split()), files, run, local)


def _checkpoint_files(checkpoint: Path) -> Iterator[tuple[str, Path]]:
    """The checkpoint's files but hidden ones and the card.

    Raises:
        InputError: A file is a link out of the folder, or holds what looks like a secret.
    """
    for path in sorted(checkpoint.rglob("*")):
        parts = path.relative_to(checkpoint).parts
        if path.is_file() and not any(part.startswith(".") for part in parts) and parts != (CARD,):
            _check_may_be_public(path, checkpoint)
            yield "/".join(parts), path


def _check_may_be_public(path: Path, checkpoint: Path) -> None:
    if not path.resolve().is_relative_to(checkpoint.resolve()):
        raise InputError(f"{path}: is a link out of checkpoint=; copy the file, or remove the link")
    if path.name.startswith(_VOCABULARY) or path.stat().st_size > _SCANNED:
        return
    text = path.read_bytes().decode(errors="replace")
    if has_key(text):
        raise InputError(f"{path}: holds what looks like an access token or a private key; move it")


def _run_files(folder: RunFolder, samples: bool) -> Iterator[Path]:
    """The small files of a run; with samples, also its prompts, references and responses."""
    yield from sorted([*folder.path.glob("*.json"), *folder.path.glob("groups/*.json")])
    if samples:
        yield from sorted(folder.path.glob("samples/[!.]*.jsonl*"))


def outline(settings: PushSettings) -> list[Section]:
    """What `push` would do, for a dry run: no network, no token.

    Raises:
        InputError: As for `push`, but for what only the Hub knows.
    """
    plan = plan_push(settings)
    place = f"{CARD} of checkpoint={settings.checkpoint}"
    card = card_text(plan.run, settings, plan.local_card, place, plan.repo)
    kind = "private" if settings.private else "public"
    sizes = {CARD: len(card.encode()), **{path: plan.size_of(path) for path in plan.files}}
    facts = [
        Fact("repository", f"{plan.repo} on the Hub; {kind}, if it does not exist yet"),
        Fact("commit", plan.message),
        Fact("files", f"{len(sizes)}, {byte_size(sum(sizes.values()))}"),
        *(Fact(byte_size(size), path) for path, size in sizes.items()),
        Fact("card", f"replaces kdbench's part of a {CARD} that the repository has"),
    ]
    return [Section("kdbench push: a dry run, which uploads nothing", tuple(facts))]


def push(settings: PushSettings) -> str:
    """Upload card, results and, if given, the checkpoint.

    Returns:
        Address of the commit.

    Raises:
        InputError: There is no login, the Hub refuses, cannot be reached or has changed meanwhile,
            or the card on the Hub was edited by hand.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    plan = plan_push(settings)
    if get_token() is None:
        raise InputError("push needs a login on the Hub: run hf auth login, or set HF_TOKEN")
    api = HfApi()
    try:
        api.create_repo(plan.repo, private=settings.private, exist_ok=True)
        head = api.repo_info(plan.repo).sha
        old = _remote_card(api, plan.repo, head) or plan.local_card
        text = card_text(plan.run, settings, old, f"{plan.repo}/{CARD}", plan.repo)
        contents: dict[str, Any] = {CARD: text, **plan.files}
        operations = [
            CommitOperationAdd(path, content.encode() if isinstance(content, str) else str(content))
            for path, content in contents.items()
        ]
        report_progress(f"uploading {len(operations)} files to {plan.repo}")
        commit = api.create_commit(
            plan.repo, operations, commit_message=plan.message, parent_commit=head
        )
    except InputError:  # about the card
        raise
    except Exception as error:  # noqa: BLE001 - whatever the client's HTTP library raises
        raise InputError(f"repo={plan.repo}: {without_secrets(reason_of(error))}") from None
    return str(commit.commit_url)


def _remote_card(api: Any, repo: str, revision: str | None) -> str | None:
    """The text of the card in the repository; None if it has none."""
    from huggingface_hub.errors import EntryNotFoundError

    try:
        path = api.hf_hub_download(repo, CARD, revision=revision)
    except EntryNotFoundError:
        return None
    return read_text(Path(path))
