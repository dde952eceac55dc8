"""Publishing: what a command has written into a mirror becomes visible at the URL.

Objects appear one by one, so their order matters. What makes others count comes last: the record
of a run after its results, and these after its samples; the card of a checkpoint after its
weights; the mark of an evaluation after all. A reader never finds the last without the rest.
"""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kdbench.errors import InputError, reason_of
from kdbench.system.files import sha256_of_file
from kdbench.system.remote.index import Known
from kdbench.system.remote.mirror import Mirror, changed, files_below, is_temporary

_AT_ONCE = 8
_RECORD = "run.json"
_LAST_OF_A_FOLDER = ("kdbench.json", "kdbench_state.json", "stage.json", _RECORD)
_MARKS = "filled/"
_SHARED = ("TABLE.md", "times.jsonl")
_SMALL = 8 << 20  # bytes of a file that is read at once


def publish(mirror: Mirror, folders: Iterable[str]) -> int:
    """Upload the files that have changed, and delete what was temporary and is gone.

    Args:
        mirror: The mirror.
        folders: Folders and files, by their paths below the URL.

    Returns:
        The number of files that were uploaded.

    Raises:
        InputError: The store cannot be written; what is there is no half of anything.
    """
    places = list(folders)
    files = [path for place in places for path in _files(mirror, place)]
    new = [path for path in dict.fromkeys(files) if _differs(mirror, path)]
    for path in new:
        if path.rpartition("/")[2] == _RECORD:
            _open_record(mirror, path, new)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for rank in range(5):
            ranked = [path for path in new if _rank(path) == rank]
            for _ in threads.map(lambda path: _upload(mirror, path), ranked):
                pass
    for place in places:
        _delete_gone(mirror, place)
    return len(new)


def _files(mirror: Mirror, place: str) -> list[str]:
    path = mirror.folder / place
    if path.is_file():
        return [place]
    return [
        file for file in files_below(mirror.folder, path) if not _is_being_written(mirror, file)
    ]


def _is_being_written(mirror: Mirror, path: str) -> bool:
    """Whether a file belongs to a state of a training that is not complete, or to shards."""
    if "/samples/shards/" in path:  # their logs
        return True
    parts = Path(path).parts
    for place, name in enumerate(parts[:-1]):
        if name.startswith("checkpoint-") and ".unfinished" in "/".join(parts[:place]):
            return not (mirror.folder.joinpath(*parts[: place + 1]) / "kdbench_state.json").exists()
    return "whole" in parts and ".unfinished" in path


def _differs(mirror: Mirror, path: str) -> bool:
    """Whether a file has another content than its object, as far as is known here."""
    file, known = mirror.folder / path, mirror.index.get(path)
    try:
        if known is None:
            return True
        if known.sha256 and not changed(file, known):
            return False
        if known.sha256 != sha256_of_file(file):
            return True
        status = file.stat()
    except FileNotFoundError:  # its writer has removed it
        return False
    mirror.index.put(
        path, Known(known.mark, known.sha256, status.st_size, status.st_mtime_ns, None)
    )
    return False


def _rank(path: str) -> int:
    """The place of a file in the order of uploads."""
    name = path.rpartition("/")[2]
    if path.startswith(_MARKS) or path in _SHARED:
        return 4
    if name in _LAST_OF_A_FOLDER:
        return 3
    if name == "identity.json":  # without which states are refused
        return 0
    is_result = path.endswith(".json") and "/samples/" not in path and ".unfinished" not in path
    return 2 if is_result else 1


def _open_record(mirror: Mirror, path: str, new: Iterable[str]) -> None:
    """Publish that a run has begun, before its first samples, which count only with a record."""
    folder = path.rpartition("/")[0]
    if not any(other.startswith(f"{folder}/samples/") for other in new):
        return
    try:
        record = json.loads((mirror.folder / path).read_bytes())
    except (FileNotFoundError, ValueError):
        return
    mirror.storage.write(path, json.dumps({**record, "status": "running"}).encode())


def _upload(mirror: Mirror, path: str) -> None:
    """Upload a file as it is now; it can grow or vanish meanwhile."""
    file = mirror.folder / path
    try:
        status, content = file.stat(), None
        if path.endswith(".jsonl") or status.st_size <= _SMALL:  # it may be growing
            content = file.read_bytes()
        if content is not None and path.endswith(".jsonl"):
            content = content[: content.rfind(b"\n") + 1]
        sha256 = _sha256(file, content)
        before = mirror.index.get(path) or Known(None, "", 0, 0)
        mirror.index.put(
            path, Known(before.mark, before.sha256, before.size, before.mtime_ns, sha256)
        )
        if content is None:
            mirror.storage.upload(file, path)
        else:
            mirror.storage.write(path, content)
    except FileNotFoundError as error:
        if file.exists():  # the store lacks something, not this machine
            raise InputError(
                f"{mirror.storage.shown}/{path}: cannot be written: {reason_of(error)}"
            ) from error
        return
    entry = mirror.storage.entry(path)
    sent = len(content) if content is not None else status.st_size
    if content is None and file.exists() and file.stat().st_size != sent:
        return  # it has grown, and will be uploaded again
    if entry is None or (entry.size is not None and entry.size != sent):
        raise InputError(
            f"{mirror.storage.shown}/{path}: was written with {entry and entry.size} of {sent} "
            "bytes; run the same command again to resume"
        )
    whole = sent == status.st_size
    size, mtime_ns = (status.st_size, status.st_mtime_ns) if whole else (0, 0)
    mirror.index.put(path, Known(entry.mark, sha256, size, mtime_ns))


def _sha256(file: Path, content: bytes | None) -> str:
    if content is None:
        return sha256_of_file(file)
    return hashlib.sha256(content).hexdigest()


def _delete_gone(mirror: Mirror, place: str) -> None:
    """Delete objects of shards, parts and states whose files are gone."""
    for path in mirror.index.below(place):
        if is_temporary(path) and not (mirror.folder / path).exists():
            mirror.storage.delete(path)
            mirror.index.remove(path)


def merge_lines(mirror: Mirror, path: str) -> None:
    """Publish a file of lines to which other machines add too: their lines and this one's."""
    file = mirror.folder / path
    if not file.exists():
        return
    here = file.read_bytes().splitlines()
    there = (mirror.storage.read(path) or b"").splitlines()
    lines = dict.fromkeys([*there, *here])
    if list(lines) != list(dict.fromkeys(there)):
        mirror.storage.write(path, b"\n".join(lines))
