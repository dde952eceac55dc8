"""One checkpoint that the doctor looks at: its files, its tokenizer and its model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from kdbench.checkpoint import Checkpoint, load_tokenizer, one_line, read_object

Role = Literal["student", "teacher", "undistilled"]


@dataclass(frozen=True)
class Member:
    """A checkpoint with its part in the work.

    Attributes:
        role: Its part; the measured model is the student.
        key: Key that names it.
        checkpoint: The checkpoint on this disk.
        load_model: Loads its model as the work would, in evaluation mode.
        trust_remote_code: Whether Python code that comes with it may run.
        config_file: File of its configuration, if that is not the checkpoint's.
    """

    role: Role
    key: str
    checkpoint: Checkpoint
    load_model: Callable[[], Any] = field(repr=False, compare=False)
    trust_remote_code: bool = False
    config_file: Path | None = None

    @property
    def whose(self) -> str:
        """How messages call it, with its name."""
        return f"the {self.role} {self.checkpoint.name}"

    @property
    def folder(self) -> Path:
        """The folder with configuration and generation settings: an adapter's are its base's."""
        return (self.checkpoint.base or self.checkpoint).path

    @cached_property
    def generation_settings(self) -> Mapping[str, Any]:
        """The content of `generation_config.json`; empty without one, as beside a GGUF file."""
        file = self.folder / "generation_config.json"
        if self.checkpoint.gguf or not file.is_file():
            return {}
        return read_object(file)

    @cached_property
    def config(self) -> Any:
        """The configuration of its architecture, as transformers reads it.

        Raises:
            InputError: transformers cannot read it.
        """
        from transformers import AutoConfig

        base = self.checkpoint.base or self.checkpoint
        options: dict[str, Any] = {"trust_remote_code": self.trust_remote_code}
        if self.config_file is None and base.gguf:
            options["gguf_file"] = base.gguf
        place = base.path if self.config_file is None else self.config_file
        with one_line(place):
            return AutoConfig.from_pretrained(place, **options).get_text_config()

    @cached_property
    def tokenizer(self) -> Any:
        """Its tokenizer, as the checkpoint has it.

        Raises:
            InputError: There is none, or it has no end token.
        """
        return load_tokenizer(self.checkpoint, self.trust_remote_code)

    @cached_property
    def model(self) -> Any:
        """Its model, loaded once.

        Raises:
            InputError: The weights are broken, incomplete or not those of the configuration.
        """
        return self.load_model()

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """The ids that end its responses: of its tokenizer and of its generation settings."""
        named = self.generation_settings.get("eos_token_id")
        listed = named if isinstance(named, list) else [] if named is None else [named]
        return frozenset({self.tokenizer.eos_token_id, *listed})

    def token(self, number: int) -> str:
        """A token by its id, for messages."""
        return str(self.tokenizer.convert_ids_to_tokens(number))
