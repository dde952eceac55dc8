"""The models of a build: found and hashed at once, loaded when they are first asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar
from typing import Protocol as Interface

from kdbench.checkpoint import Checkpoint, find_checkpoint, load_checkpoint, pick_device
from kdbench.checkpoint import served_model as on_server
from kdbench.config.build_keys import BuildSettings
from kdbench.errors import InputError
from kdbench.generate import Backend, Options
from kdbench.generate.choice import BackendChoice, choose_backend
from kdbench.generate.unloaded import UnloadedCheckpoint
from kdbench.protocol import Protocol
from kdbench.system.progress import slow_step


class NamesModels(Interface):
    """A builder, as far as it names models.

    Attributes:
        models: The fields that name checkpoints.
    """

    models: ClassVar[tuple[str, ...]]


@dataclass
class BuildModel:
    """A model that a builder's key names.

    Attributes:
        key: The builder's key, such as `teacher`.
        checkpoint: The checkpoint.
        settings: The settings of the build.
        chosen: The backend that samples its responses.
    """

    key: str
    checkpoint: Checkpoint
    settings: BuildSettings
    chosen: BackendChoice
    _backends: dict[Protocol, Backend] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, Any]:
        """Name and hash, for the card."""
        return {"name": self.checkpoint.name, "sha256": self.checkpoint.sha256}

    @cached_property
    def parameters(self) -> int | None:
        """Number of parameters, read from the configuration; None if a server has the model."""
        if self.checkpoint.served is not None:
            return None
        trusted = self.settings.trust_remote_code
        return UnloadedCheckpoint(self.checkpoint, trusted).parameters

    def backend(self, protocol: Protocol) -> Backend:
        """The backend of the model under a protocol, loaded at the first call.

        Its seeds do not matter, as each row brings its own. An engine of another protocol is
        stopped, as two of them rarely fit into memory; it starts again when it is asked.
        """
        asked = replace(protocol, name="", seeds=())
        if asked not in self._backends:
            self.stop()
            options = Options(
                dtype=self.settings.dtype,
                device=self.settings.device,
                batch_size=None if self.settings.batch_size == "auto" else self.settings.batch_size,
                trust_remote_code=self.settings.trust_remote_code,
                argument=self.chosen.argument,
                engine=self.chosen.engine,
            )
            with slow_step(f"loading {self.checkpoint.name}"):
                self._backends[asked] = self.chosen.kind(self.checkpoint, protocol, options)
        return self._backends[asked]

    @cached_property
    def loaded(self) -> tuple[Any, Any]:
        """The transformers model and its tokenizer, for scores.

        Raises:
            InputError: The model is on a server.
        """
        if self.checkpoint.served is not None:
            raise InputError(
                f"{self.key}={self.checkpoint.name}: a server gives no whole distributions; "
                "name a checkpoint, and leave out backend="
            )
        for backend in self._backends.values():
            if backend.model is not None:
                return backend.model, backend.tokenizer
        settings = self.settings
        with slow_step(f"loading {self.checkpoint.name}"):
            return load_checkpoint(
                self.checkpoint,
                settings.dtype,
                pick_device(settings.device),
                settings.trust_remote_code,
            )

    def stop(self) -> None:
        """Stop what its engines run."""
        for backend in self._backends.values():
            backend.stop()


def find_models(settings: BuildSettings, builder: NamesModels) -> Mapping[str, BuildModel]:
    """The models that the keys of a builder name, by key.

    Raises:
        InputError: A checkpoint does not exist or is damaged, or the backend is unknown.
    """
    chosen = choose_backend(settings.backend, settings.backend_options)
    found = {}
    for key in builder.models:
        name = getattr(builder, key)
        if name is None:
            continue
        if chosen.is_served:
            checkpoint = on_server(name, chosen.identity)
        else:
            checkpoint = find_checkpoint(
                name,
                unsafe_pickle=settings.unsafe_pickle,
                key=key,
                trust_remote_code=settings.trust_remote_code,
            )
        found[key] = BuildModel(key, checkpoint, settings, chosen)
    return found
