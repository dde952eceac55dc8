"""What is known about a checkpoint before it is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on this disk, or a model that a server holds.

    Attributes:
        name: Name in results and tables: the folder's, or `org__model` for a model on the Hub.
        path: Folder of the checkpoint.
        gguf: Name of the GGUF file that holds the weights, if one does.
        revision: Commit on the Hub; None for a folder.
        sha256: Hash of weights, configuration and tokenizer; of name and backend for a served
            model.
        card: Content of the run card `kdbench.json` that `kdbench train` writes; empty without one.
        served: Name under which a server knows the model; None for a checkpoint on this disk.
        pickle: Whether the weights are pickle files.
        base: Model to which the folder's adapter is added; None if the folder holds a whole model.
        unused_adapter: Whether adapter files that are not used lie next to a whole model's weights.
    """

    name: str
    path: Path
    gguf: str | None
    revision: str | None
    sha256: str
    card: Mapping[str, Any] = field(repr=False)
    served: str | None = None
    pickle: bool = False
    base: "Checkpoint | None" = None
    unused_adapter: bool = False

    @property
    def place(self) -> Path:
        """What is read: the GGUF file, or else the folder."""
        return self.path / self.gguf if self.gguf else self.path
