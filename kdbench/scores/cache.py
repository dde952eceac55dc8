"""The teacher's scores on disk: its top k at each position, and the probability of all others.

`kdbench cache`, `kdbench eval` and `kdbench train` write and read the same files.

    DIR/teacher.json                 the teacher, its vocabulary, and k
    DIR/tokenizer/                   the teacher's tokenizer
    DIR/results/…                    the teacher's responses, as `kdbench eval` stored them
    DIR/scores/<hash>.safetensors    texts under their hashes: `kdbench.scores.shards`
    DIR/index.safetensors            where each text is: `kdbench.scores.index`

The hash of a text is that of the tokens of prompt and response. The k log-probabilities, the log of
the remaining probability, the entropy and the log-probabilities of the response's tokens are
float32: in 16 bits they would be off by up to 0.004 nats, and the bounds of `TopPositions` would
not hold. `max_error` gives up these bounds for smaller files.
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
from kdbench.scores.index import Place, ScoreIndex, index_files, joined, read_index, sizes_of_files
from kdbench.scores.packing import COLUMNS, PackingLoss, loss_of, pack, unpack
from kdbench.scores.shards import Block, read_old, read_texts, shard_content, shard_name
from kdbench.system.files import SCHEMA, put_bytes, read_json, remove_leftovers, write_json

if TYPE_CHECKING:
    import numpy as np
    import torch

__all__ = ["COLUMNS", "CachedIdentity", "Recorder", "ScoreColumns", "TopKCache", "digest_of_tokens"]

_INDICES = 8  # a look-up asks each
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
        max_error: Largest error of a stored number in nats; 0 if they are exact.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"\S")]
    sha256: str
    dtype: str
    vocabulary: Count
    top_k: Count
    ends: tuple[Count, ...]
    entropy: bool = True
    max_error: Annotated[float, Field(ge=0)] = 0.0

    def as_json(self) -> dict[str, Any]:
        """The fields ready for JSON; of exact scores, those that earlier versions read."""
        fields = asdict(self)
        if not self.max_error:
            del fields["max_error"]
        return fields


class TopKCache:
    """A folder of cached scores.

    Args:
        folder: The folder, which need not exist.

    Attributes:
        folder: The folder.
        loss: What this object's writing has lost; nothing if scores are kept exactly.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._indices: tuple[ScoreIndex, ...] | None = None
        self._added: dict[bytes, Place] = {}
        self._max_error: float | None = None
        self._checked: set[str] = set()
        self.loss = PackingLoss()

    @property
    def scores(self) -> Path:
        """The folder of the files of scores."""
        return self.folder / "scores"

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
            write_json(self.folder / "teacher.json", {"schema": SCHEMA, **identity.as_json()})
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
        return self.place(digest) is not None

    def place(self, digest: str) -> Place | None:
        """Where the scores of a text are; None if the cache has none."""
        key = _key(digest)
        if key in self._added:
            return self._added[key]
        found = (index.find(key) for index in self._all_indices())
        return next(filter(None, found), None)

    def write(self, tensors: "Mapping[str, torch.Tensor]", places: Mapping[str, Any]) -> None:
        """Store the scores of a batch, all of it or nothing.

        Args:
            tensors: Each column over all positions of the batch.
            places: First position of each text and the one after its last, by the text's hash.
        """
        columns = {
            name: (tensors[name].int() if name == "ids" else tensors[name].float()).cpu().numpy()
            for name in COLUMNS
        }
        blocks = [
            self._block(_key(digest), {name: c[start:stop] for name, c in columns.items()})
            for digest, (start, stop) in places.items()
        ]
        self.put(blocks)

    def put(self, blocks: Sequence[Block]) -> None:
        """Store texts as a file, all of it or nothing."""
        name = shard_name([block.digest for block in blocks])
        self._indices = self._all_indices()
        put_bytes(self.scores / name, shard_content(blocks))
        table = read_texts(self.scores / name)
        rows = zip(table.digests, table.starts, table.sizes, table.tokens, strict=True)
        for digest, *place in rows:
            self._added[bytes(digest)] = Place(name, *map(int, place))

    def read(self, digest: str) -> "dict[str, torch.Tensor]":
        """Return the scores of a text, by column.

        Raises:
            KeyError: The cache has none.
            InputError: They are damaged.
        """
        import torch

        return {name: torch.from_numpy(column) for name, column in self._columns(digest).items()}

    def block(self, digest: str) -> Block:
        """The scores of a text as they are stored; those of an old file become so.

        Raises:
            KeyError: The cache has none.
            InputError: They are damaged.
        """
        import numpy as np

        key, columns = _key(digest), self._columns(digest)
        place = self._known_place(digest)  # afterwards, because reading may have found a new one
        if not place.size:
            return self._block(key, columns)
        tail = float(np.exp(columns["tail"].astype("f8")).sum())
        return Block(key, place.tokens, tail, self._content(place))

    def refresh(self) -> None:
        """Find what other processes have written, and forget what they have merged."""
        sizes = sizes_of_files(self.scores)
        if self._indices is None:
            stored = read_index(self.folder, sizes)
            self._indices = () if stored is None else (stored,)
        kept = [index for index in self._indices if index.fits(sizes)]
        known = {name for index in kept for name in index.files}
        if others := {name: size for name, size in sizes.items() if name not in known}:
            kept.insert(0, index_files(self.scores, others))
        self._indices = (joined(kept),) if len(kept) > _INDICES else tuple(kept)
        self._added.clear()

    def _block(self, key: bytes, columns: "Mapping[str, np.ndarray]") -> Block:
        import numpy as np

        if self._max_error is None:
            identity = self.identity()
            self._max_error = 0.0 if identity is None else identity.max_error
        tail, tokens = float(np.exp(columns["tail"].astype("f8")).sum()), len(columns["tail"])
        content = pack(columns, key, self._max_error)
        if self._max_error:
            self.loss = self.loss.plus(loss_of(columns, unpack(content, key, tokens)))
        return Block(key, tokens, tail, content)

    def _columns(self, digest: str) -> "dict[str, np.ndarray]":
        place = self._known_place(digest)
        try:
            return self._columns_at(place, digest)
        except FileNotFoundError:  # another process has merged the file into a larger one
            self.refresh()
            return self._columns_at(self._known_place(digest), digest)

    def _columns_at(self, place: Place, digest: str) -> "dict[str, np.ndarray]":
        path = self.scores / place.file
        if not place.size:
            columns = read_old(path, place.start, place.tokens, path.name not in self._checked)
            self._checked.add(path.name)
            return columns
        try:
            return unpack(self._content(place), _key(digest), place.tokens)
        except (ValueError, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise InputError(
                f"{path}: damaged: {error}; delete it, and run the command that made the cache"
            ) from None

    def _known_place(self, digest: str) -> Place:
        place = self.place(digest)
        if place is None:
            raise KeyError(digest)
        return place

    def _content(self, place: Place) -> bytes:
        """The bytes of a text's scores."""
        with (self.scores / place.file).open("rb", buffering=0) as file:
            return os.pread(file.fileno(), place.size, place.start)

    def _all_indices(self) -> tuple[ScoreIndex, ...]:
        if self._indices is None:
            self.refresh()
        assert self._indices is not None  # noqa: S101 - for the type checker
        return self._indices


def _key(digest: str) -> bytes:
    """The 32 bytes of a text's hash; what is no such hash has no scores."""
    try:
        return bytes.fromhex(digest)
    except ValueError:
        return digest.encode()


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
