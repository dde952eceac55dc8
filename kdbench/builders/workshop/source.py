"""The rows that a builder reads: streamed from their file as often as they are asked for."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path

from kdbench.builders.workshop.questions import kept
from kdbench.config.build import BuildSettings
from kdbench.distillation.data import SetFile, is_on_hub, set_name, stream_rows, valid_file
from kdbench.distillation.rows import TrainingRow

CHUNK = 256  # rows whose responses and scores are in memory at once


class SourceRows:
    """The rows of a data set, of which few are in memory at once.

    Args:
        settings: The settings of the build.

    Attributes:
        title: What the set is called in messages.
    """

    def __init__(self, settings: BuildSettings):
        self._file = SetFile(settings.data, settings.train_set, "train", None)
        self._limit = settings.limit
        self.title = self._file.title
        self.name = settings.set_name or set_name(settings.train_set)

    def __iter__(self) -> Iterator[TrainingRow]:
        """Yield the rows in the order of the file.

        Raises:
            InputError: The file is missing or malformed.
        """
        return stream_rows(self._file, self._limit)

    def chunks(self) -> Iterator[list[TrainingRow]]:
        """Yield the rows in lists of at most `CHUNK`."""
        rows = iter(self)
        while chunk := list(islice(rows, CHUNK)):
            yield chunk

    @cached_property
    def facts(self) -> dict[str, object]:
        """Number and SHA-256 of the rows with all of their columns.

        Raises:
            InputError: The file is missing or malformed.
        """
        digest, count = hashlib.sha256(), 0
        for row in self:
            content = [*row.content, row.fields, row.pair]
            digest.update(json.dumps(content, ensure_ascii=False).encode() + b"\n")
            count += 1
        return {"set": self.title, "rows": count, "sha256": digest.hexdigest()}

    @property
    def count(self) -> int:
        """The number of rows."""
        return int(str(self.facts["rows"]))

    def validation_file(self) -> Path | None:
        """The set's validation file, which is copied; None if it has none on this disk."""
        return valid_file(self._file)

    def validation_rows(self) -> Iterator[dict[str, object]]:
        """Yield the validation rows of a set that is on the hub; nothing for a set on this disk."""
        if not is_on_hub(self._file):
            return
        for row in stream_rows(replace(self._file, split="valid")):
            yield kept(row)
