"""The teacher's scores on disk: its top k at each position, and the probability of all others.

`kdbench eval` and `kdbench train` write and read the same files.

    DIR/teacher.json                 the teacher, its vocabulary, and k
    DIR/tokenizer/                   the teacher's tokenizer
    DIR/results/…                    the teacher's responses, as `kdbench eval` stored them
    DIR/scores/<hash>.safetensors    the texts of one batch, each under its hash

The hash of a text is that of the tokens of prompt and response. The k log-probabilities, the log of
the remaining probability, the entropy and the log-probabilities of the response's tokens are
float32: in 16 bits they would be off by up to 0.004 nats, and the bounds of `TopPositions` would
not hold.
"""

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from kdbench.errors import InputError, first_fault
from kdbench.system.files import SCHEMA, put_bytes, read_json, remove_leftovers, write_json

if TYPE_CHECKING:
    import torch

COLUMNS = ("log_p", "ids", "tail", "entropy", "target")
_TEXTS, _CHECKSUM = "texts", "sha256"  # metadata of a file, and the key of its checksum
ScoreColumns = Mapping[str, "torch.Tensor"]  # each column over the positions of a text or a batch


Count = Annotated[int, Field(ge=0, lt=2**63)]


@dataclass(frozen=True)
class CachedIdentity:
    """The content of `teacher.json`.

    Attributes:
        name: Name of the teacher.
        sha256: Hash of its checkpoint.
        dtype: The `dtype=` that it was loaded with.
        vocabulary: Number of tokens over which its probabilities are normalised.
        top_k: Number of tokens stored at each position.
        ends: Its end tokens.
        entropy: Whether its entropies are known; the top k of an engine do not determine them.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"\S")]
    sha256: str
    dtype: str
    vocabulary: Count
    top_k: Count
    ends: tuple[Count, ...]
    entropy: bool = True


class TopKCache:
    """A folder of cached scores."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._places: dict[str, tuple[Path, int, int]] | None = None
        self._checked: set[Path] = set()

    def identity(self) -> CachedIdentity | None:
        """Return whose scores these are; None if the folder has no scores.

        Raises:
            InputError: `teacher.json` is broken.
        """
        path = self.folder / "teacher.json"
        if not path.exists():
            return None
        fields = read_json(path)
        fields.pop("schema")
        try:
            return TypeAdapter(CachedIdentity).validate_json(json.dumps(fields))
        except ValidationError as error:
            place, reason = first_fault(error)
            raise InputError(
                f"{path}: not the record of a teacher cache: '{place}': {reason}"
            ) from None

    def claim(self, identity: CachedIdentity) -> None:
        """Make the folder this teacher's cache.

        Raises:
            InputError: It is the cache of another teacher, or of another size.
        """
        old = self.identity()
        if old is None:
            write_json(self.folder / "teacher.json", {"schema": SCHEMA, **asdict(identity)})
        elif old != identity:
            pairs = zip(asdict(old).items(), asdict(identity).values(), strict=True)
            key, was, now = next((key, was, now) for (key, was), now in pairs if was != now)
            raise InputError(
                f"teacher_cache={self.folder}: made with {key} {was}, not {now}; "
                "choose another folder"
            )

    def store_tokenizer(self, tokenizer: Any) -> None:
        """Store the teacher's tokenizer, unless it is already there."""
        folder = self.folder / "tokenizer"
        if not folder.exists():
            stem = f".tokenizer.{platform.node()}."
            unfinished = self.folder / f"{stem}{os.getpid()}"
            tokenizer.save_pretrained(str(unfinished))
            with suppress(OSError):  # another process was faster
                unfinished.rename(folder)
            shutil.rmtree(unfinished, ignore_errors=True)
            remove_leftovers(self.folder, stem)

    def load_tokenizer(self) -> Any:
        """The teacher's tokenizer.

        Raises:
            InputError: It is missing or damaged.
        """
        from transformers import AutoTokenizer

        folder = self.folder / "tokenizer"
        try:
            return AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, TypeError, KeyError) as error:
            line = " ".join(str(error).split())[:200]
            raise InputError(f"{folder}: the teacher's tokenizer cannot be read: {line}") from None

    def has(self, digest: str) -> bool:
        """Whether the cache has the scores of a text."""
        return digest in self._all_places()

    def write(self, tensors: "Mapping[str, torch.Tensor]", places: Mapping[str, Any]) -> None:
        """Store the scores of a batch.

        Args:
            tensors: Each column over all positions of the batch.
            places: First position of each text and the one after its last, by the text's hash.
        """
        from safetensors.torch import save

        name = hashlib.sha256("".join(sorted(places)).encode()).hexdigest()[:16]
        path = self.folder / "scores" / f"{name}.safetensors"
        # One entry of metadata: safetensors writes several in an order that changes by chance.
        texts = json.dumps({**places, _CHECKSUM: _checksum(tensors)}, sort_keys=True)
        put_bytes(path, save(dict(tensors), {_TEXTS: texts}))
        for digest, (start, stop) in places.items():
            self._all_places()[digest] = (path, start, stop)

    def read(self, digest: str) -> "dict[str, torch.Tensor]":
        """Return the scores of a text, by column."""
        from safetensors import safe_open

        path, start, stop = self._all_places()[digest]
        with safe_open(path, "pt") as file:
            self._check_content(path, file)
            return {column: file.get_slice(column)[start:stop] for column in COLUMNS}

    def _check_content(self, path: Path, file: Any) -> None:
        """Check a file against its checksum when it is first read; old files have none."""
        if path in self._checked:
            return
        stored = json.loads(file.metadata()[_TEXTS]).get(_CHECKSUM)
        tensors = {column: file.get_tensor(column) for column in COLUMNS} if stored else {}
        if stored and _checksum(tensors) != stored:
            raise InputError(f"{path}: damaged: its content is not what was written; delete it")
        self._checked.add(path)

    def _all_places(self) -> dict[str, tuple[Path, int, int]]:
        """File, first position and the one after the last of each text, by its hash."""
        if self._places is None:
            self._places = {}
            for path in sorted((self.folder / "scores").glob("*.safetensors")):
                self._places |= _places_in(path)
        return self._places


def _checksum(tensors: "Mapping[str, torch.Tensor]") -> str:
    """The SHA-256 of the columns' bytes."""
    digest = hashlib.sha256()
    for column in COLUMNS:
        digest.update(tensors[column].cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _places_in(path: Path) -> dict[str, tuple[Path, int, int]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            places = json.loads(file.metadata()[_TEXTS])
        places.pop(_CHECKSUM, None)
        return {digest: (path, start, stop) for digest, (start, stop) in places.items()}
    except (SafetensorError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a file of a teacher cache: {error}") from None


def digest_of_tokens(prompt: Sequence[int], response: Sequence[int]) -> str:
    """Hash a text: the tokens that the teacher reads."""
    return hashlib.sha256(json.dumps([list(prompt), list(response)]).encode()).hexdigest()


class Recorder:
    """Collects a teacher's scores of a batch and writes them to the cache.

    Args:
        cache: The cache.
        top_k: Number of tokens to store at each position.
        digests: Hashes of the batch's texts.
        lengths: Number of response tokens of each text.
    """

    def __init__(
        self, cache: TopKCache, top_k: int, digests: Sequence[str], lengths: Sequence[int]
    ):
        self._cache, self.top_k = cache, top_k
        self._digests, self._lengths = digests, lengths
        self._columns: dict[str, list[torch.Tensor]] = {column: [] for column in COLUMNS}

    def add(
        self,
        log_p: "torch.Tensor",
        likeliest: "tuple[torch.Tensor, torch.Tensor]",
        entropy: "torch.Tensor",
        target_log_p: "torch.Tensor",
    ) -> None:
        """Add the positions of a chunk.

        Args:
            log_p: The teacher's log-probabilities, (n, V).
            likeliest: The largest `top_k` of them and their tokens, as `kdbench.metrics.top` gives
                them, (n, k) each.
            entropy: Its entropies in nats, (n,).
            target_log_p: Its log-probabilities of the response's tokens, (n,).
        """
        import torch

        values, ids = likeliest
        rest = log_p.scatter(-1, ids, -torch.inf).logsumexp(-1)
        columns = (values, ids.int(), rest, entropy, target_log_p)
        self.add_scores(dict(zip(COLUMNS, columns, strict=True)))

    def add_scores(self, scores: ScoreColumns) -> None:
        """Add scores that are already in the cache's form."""
        for column in COLUMNS:
            self._columns[column].append(scores[column].cpu())

    def close(self) -> None:
        """Write the batch, unless the cache already has all of it."""
        import torch

        if all(self._cache.has(digest) for digest in self._digests):
            return
        tensors = {name: torch.cat(chunks).contiguous() for name, chunks in self._columns.items()}
        places, start = {}, 0
        for digest, length in zip(self._digests, self._lengths, strict=True):
            places[digest] = (start, start + length)
            start += length
        self._cache.write(tensors, places)
