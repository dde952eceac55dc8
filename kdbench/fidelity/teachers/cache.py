"""The teacher's scores on disk: its k likeliest tokens at each position, and the mass of the rest.

    DIR/teacher.json                 whose scores these are, over which tokens, how many of them
    DIR/tokenizer/                   the teacher's
    DIR/results/…                    the teacher's own responses, as `kdbench eval` left them
    DIR/scores/<hash>.safetensors    the texts of one batch, each under its hash

A text's hash is that of the prompt's and the response's tokens. The k log-probabilities, the log of
the remaining mass, the entropy and the response's own log-probabilities are float32: in 16 bits
they are off by up to 0.004 nats, and the bounds of `TopPositions` would not hold.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.fidelity.texts import Text
from kdbench.generate import Prompt
from kdbench.metrics import Positions, PositionSet, TopPositions, top
from kdbench.system.files import SCHEMA, put_bytes, read_json, write_json

if TYPE_CHECKING:
    import torch

_PARTS = ("log_p", "ids", "tail", "entropy", "target")
Scores = Mapping[str, "torch.Tensor"]  # each of the parts, over the positions of a text or a batch


@dataclass(frozen=True)
class CachedIdentity:
    """`teacher.json`.

    Attributes:
        name: of the teacher.
        sha256: of its checkpoint.
        dtype: asked for.
        vocabulary: tokens over which its probabilities are normalised.
        top_k: tokens kept at each position.
        ends: its end tokens.
        entropy: whether its entropies are known; an engine's top k leave them open.
    """

    name: str
    sha256: str
    dtype: str
    vocabulary: int
    top_k: int
    ends: tuple[int, ...]
    entropy: bool = True


class TopKCache:
    """A folder of cached scores.

    Raises:
        InputError: broken `teacher.json`.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._places: dict[str, tuple[Path, int, int]] | None = None

    def identity(self) -> CachedIdentity | None:
        """Whose scores these are; None for a folder without any."""
        path = self.folder / "teacher.json"
        if not path.exists():
            return None
        fields = read_json(path)
        try:
            fields.pop("schema")
            return CachedIdentity(**{**fields, "ends": tuple(fields["ends"])})
        except (KeyError, TypeError) as error:
            raise InputError(f"{path}: not the record of a teacher cache: {error}") from None

    def claim(self, identity: CachedIdentity) -> None:
        """Make the folder this teacher's.

        Raises:
            InputError: it is another's, or one of another size.
        """
        old = self.identity()
        if old is None:
            write_json(self.folder / "teacher.json", {"schema": SCHEMA, **asdict(identity)})
        elif old != identity:
            pairs = zip(asdict(old).items(), asdict(identity).values(), strict=True)
            key, was, now = next((key, was, now) for (key, was), now in pairs if was != now)
            raise InputError(
                f"teacher_cache={self.folder}: made with {key} {was}, not {now}; take another one"
            )

    def keep_tokenizer(self, tokenizer: Any) -> None:
        """Put the teacher's tokenizer in place, whole, unless it is there."""
        folder = self.folder / "tokenizer"
        if not folder.exists():
            unfinished = self.folder / f".tokenizer.{os.getpid()}"
            tokenizer.save_pretrained(str(unfinished))
            with suppress(OSError):  # another process was faster
                unfinished.rename(folder)
            shutil.rmtree(unfinished, ignore_errors=True)

    def has(self, digest: str) -> bool:
        """Whether a text is there."""
        return digest in self._found()

    def write(self, tensors: "Mapping[str, torch.Tensor]", places: Mapping[str, Any]) -> None:
        """Put the scores of a batch in place.

        Args:
            tensors: each part, over all positions of the batch.
            places: the first and last-but-one position of each text, by hash.
        """
        from safetensors.torch import save

        name = hashlib.sha256("".join(sorted(places)).encode()).hexdigest()[:16]
        path = self.folder / "scores" / f"{name}.safetensors"
        put_bytes(path, save(dict(tensors), {"texts": json.dumps(places, sort_keys=True)}))
        for digest, (start, stop) in places.items():
            self._found()[digest] = (path, start, stop)

    def read(self, digest: str) -> "dict[str, torch.Tensor]":
        """The parts of one text."""
        from safetensors import safe_open

        path, start, stop = self._found()[digest]
        with safe_open(path, "pt") as file:
            return {part: file.get_slice(part)[start:stop] for part in _PARTS}

    def _found(self) -> dict[str, tuple[Path, int, int]]:
        from safetensors import SafetensorError, safe_open

        if self._places is None:
            self._places = {}
            for path in sorted((self.folder / "scores").glob("*.safetensors")):
                try:
                    with safe_open(path, "pt") as file:
                        places = json.loads(file.metadata()["texts"])
                    found = {one: (path, start, stop) for one, (start, stop) in places.items()}
                except (
                    SafetensorError,
                    TypeError,
                    KeyError,
                    ValueError,
                    AttributeError,
                ) as error:
                    raise InputError(f"{path}: not a file of a teacher cache: {error}") from None
                self._places |= found
        return self._places


def digest_of(text: Text, prompt: Prompt) -> str:
    """The key of a text: what the teacher read."""
    return hashlib.sha256(
        json.dumps([list(prompt.ids), list(text.rollout.response_ids)]).encode()
    ).hexdigest()


class Recorder:
    """Keeps what a live teacher says of a batch, for the cache."""

    def __init__(
        self, cache: TopKCache, top_k: int, digests: Sequence[str], lengths: Sequence[int]
    ):
        self._cache, self._top_k = cache, top_k
        self._digests, self._lengths = digests, lengths
        self._parts: dict[str, list[torch.Tensor]] = {part: [] for part in _PARTS}

    def add(self, at: Positions) -> None:
        """Keep a chunk."""
        import torch

        log_p, ids = top(at.log_p, self._top_k)
        rest = at.log_p.scatter(-1, ids, -torch.inf).logsumexp(-1)
        values = (log_p, ids.int(), rest, at.teacher_entropy, at.target_log_p)
        self.add_scores(dict(zip(_PARTS, values, strict=True)))

    def add_scores(self, scores: Scores) -> None:
        """Keep what is in the cache's form already."""
        for part in _PARTS:
            self._parts[part].append(scores[part].cpu())

    def close(self) -> None:
        """Write the batch, unless all of it is there."""
        import torch

        if all(self._cache.has(digest) for digest in self._digests):
            return
        tensors = {part: torch.cat(values).contiguous() for part, values in self._parts.items()}
        places, start = {}, 0
        for digest, length in zip(self._digests, self._lengths, strict=True):
            places[digest] = (start, start + length)
            start += length
        self._cache.write(tensors, places)


class CachedSight:
    """A batch's scores in the cache's form.

    Args:
        texts: the scores of each text.
        device: where they are compared.
    """

    def __init__(self, texts: Sequence[Scores], device: Any):
        import torch

        self._parts = {
            part: torch.cat([text[part] for text in texts]).to(device) for part in _PARTS
        }

    def positions(
        self,
        part: "torch.Tensor",
        log_q: "torch.Tensor",
        targets: "torch.Tensor",
        where: PositionSet,
    ) -> "tuple[Positions, torch.Tensor]":
        """Coarse positions; what was cut off the teacher is not known any more."""
        log_p, ids, tail, entropy, target = (self._parts[name][part] for name in _PARTS)
        at = TopPositions(log_p, ids.long(), tail, entropy, target, log_q, targets, where)
        return at, log_q.new_zeros(len(log_q))

    def close(self) -> None:
        """Nothing to keep."""
