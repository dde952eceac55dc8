"""What an evaluation would work on."""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from kdbench.checkpoint import Checkpoint, find_checkpoint, load_checkpoint, pick_device
from kdbench.config import CACHE, EvalSettings, is_on_server
from kdbench.doctor.finding import CannotRunError
from kdbench.doctor.member import Member, Role
from kdbench.doctor.patient import Patient, ProbePrompt
from kdbench.doctor.rows import Rows, plain_row, read_split
from kdbench.generate.choice import choose_backend
from kdbench.protocol import get_protocol
from kdbench.system.progress import slow_step
from kdbench.task import Task, load_tasks
from kdbench.task.model import TITLES


class EvalPatient(Patient):
    """The models, data and settings of `kdbench eval`.

    Args:
        settings: Keys of `kdbench eval`.

    Raises:
        InputError: A checkpoint does not exist, or settings contradict each other.
    """

    of = "eval"

    def __init__(self, settings: EvalSettings):
        super().__init__(settings.data)
        self.settings = settings
        self.protocol = get_protocol(settings.protocol, settings.protocol_overrides())
        served = choose_backend(settings.backend, settings.backend_options).is_served
        if served:
            self.unseen["model"] = "a server holds it, with its tokenizer and its settings"
        if (settings.teacher or "").startswith(CACHE):
            self.unseen["teacher"] = "a cache holds its scores alone"
        if is_on_server(settings.teacher):
            self.unseen["teacher"] = "a server holds it"
        named: list[tuple[Role, str, str | None, str | None]] = [
            ("student", "model", None if served else settings.model, settings.revision),
            ("teacher", "teacher", settings.teacher, settings.teacher_revision),
            ("undistilled", "undistilled", settings.undistilled, None),
        ]
        self.members = tuple(
            self._member(role, key, model, revision)
            for role, key, model, revision in named
            if model is not None and not model.startswith(CACHE) and not is_on_server(model)
        )

    def _member(self, role: Role, key: str, model: str, revision: str | None) -> Member:
        settings = self.settings
        trust = settings.trust_remote_code
        found = find_checkpoint(model, revision, settings.unsafe_pickle, key, trust)
        return Member(role, key, found, partial(self._load, found, key), trust)

    def _load(self, checkpoint: Checkpoint, key: str) -> Any:
        settings = self.settings
        quantised = {"model": settings.quantization, "teacher": settings.teacher_quantization}
        device = pick_device(settings.device)
        trust = settings.trust_remote_code
        with slow_step(f"loading {checkpoint.name}"):
            return load_checkpoint(checkpoint, settings.dtype, device, trust, quantised.get(key))[0]

    @cached_property
    def tasks(self) -> Sequence[Task]:
        """The tasks, as lm-eval loads them."""
        settings = self.settings
        return load_tasks(settings.tasks, settings.data, settings.limit, settings.run_code)

    @cached_property
    def training_sets(self) -> Mapping[str, Rows]:
        """All training sets in the data folder."""
        folder = self.local_data
        names = sorted({file.parent.name for file in folder.glob("*/train.jsonl*")})
        found = {name: read_split(folder, name, "train") for name in names}
        sets = {f"{name}/train": rows for name, rows in found.items() if rows}
        if not sets:
            raise CannotRunError(f"{folder}: there is no training set (*/train.jsonl)")
        return sets

    @cached_property
    def test_sets(self) -> Mapping[str, Rows]:
        """The rows of the tasks; those that do not come with kdbench are loaded by lm-eval."""
        names, limit = self.settings.tasks, self.settings.limit
        if set(names) <= set(TITLES):
            found = {name: read_split(self.local_data, name, "test", limit) for name in names}
            return {f"{name}/test": rows for name, rows in found.items() if rows}
        return {
            task.name: [plain_row(d.id, d.message, d.references) for d in task.documents]
            for task in self.tasks
        }

    def prompts(self, number: int) -> Sequence[ProbePrompt]:
        """The first prompts of the first tasks that have some.

        Raises:
            CannotRunError: There are only texts to score, which follow no prompt.
        """
        asked = [d for task in self.tasks for d in task.documents if d.prompt or d.conversation]
        documents = asked[:number]
        if not documents:
            raise CannotRunError("the tasks have no prompts")
        return [ProbePrompt(d.prompt, d.conversation, (*d.references, "")[0]) for d in documents]
