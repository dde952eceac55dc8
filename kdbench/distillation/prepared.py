"""What a method finds out before the first step: computed once, kept as a file of tensors.

The name of the folder is a hash of the method's code and keys, of the models and of the rows. All
runs for which these are equal share it. The record that is written last makes the file valid.
"""

import hashlib
import inspect
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from kdbench.distillation.cached import check_complete
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.models import Models, check_tokens
from kdbench.errors import InputError
from kdbench.methods import Method
from kdbench.system.files import put_bytes, put_text, sha256_of_file
from kdbench.system.locks import only_here, remove_empty
from kdbench.system.progress import progress
from kdbench.system.records import read_record
from kdbench.training.cached_teacher import CachedTeacherView
from kdbench.training.phases import Phases
from kdbench.training.preparation import Preparation
from kdbench.views.rollout import Example
from kdbench.views.view import ModelView

if TYPE_CHECKING:
    import torch

_TENSORS, _RECORD, _LOCK = "statistics.safetensors", "prepared.json", ".lock"
_PHASE = "prepare"


class PreparedRecord(BaseModel):
    """What is known of a file of tensors.

    Attributes:
        key: What decided its content.
        sha256: Hash of the file.
        seconds: What it took.
        tokens: The response tokens that were read.
    """

    key: dict[str, Any]
    sha256: str
    seconds: float = Field(ge=0)
    tokens: int = Field(ge=0)


@dataclass(frozen=True)
class Preparing:
    """The preparation of a stage.

    Attributes:
        ingredients: What goes into the stage.
        models: Its models.
        examples: The training examples, with the responses to learn from.
        stage: What the stage is called; empty in a run of one stage.
        micro_batch_size: Rows per forward pass.
    """

    ingredients: Ingredients
    models: Models
    examples: Sequence[Example]
    stage: str
    micro_batch_size: int

    def statistics(self, cache: Path | None, phases: Phases) -> "dict[str, torch.Tensor]":
        """What the method finds out; read from the cache if it is there, which is filled.

        Args:
            cache: The folder of all preparations; None keeps nothing.
            phases: Where the cost is added, also that of an earlier run.

        Raises:
            InputError: A file of the cache is damaged, or the method returns no tensors.
        """
        method = self.ingredients.method
        if type(method).prepare is Method.prepare:
            return {}
        if cache is None:
            return self._compute(phases)
        key = self._key()
        text = json.dumps(key, sort_keys=True)
        folder = cache / hashlib.sha256(text.encode()).hexdigest()[:12]
        with only_here(folder / _LOCK, busy="", wait=True) as made:
            if not (folder / _RECORD).exists():
                try:
                    return self._make(folder, key, phases)
                finally:
                    if not (folder / _RECORD).exists():
                        shutil.rmtree(folder)
                        remove_empty(made[1:])
            record = _checked(folder)
        phases.seconds[_PHASE] = phases.seconds.get(_PHASE, 0.0) + record.seconds
        phases.count(_PHASE, record.tokens)
        return _read(folder)

    def _make(self, folder: Path, key: dict[str, Any], phases: Phases) -> "dict[str, torch.Tensor]":
        from safetensors.torch import save

        own = Phases()
        statistics = self._compute(own)
        content = save(statistics)
        put_bytes(folder / _TENSORS, content)
        record = PreparedRecord(
            key=key,
            sha256=hashlib.sha256(content).hexdigest(),
            seconds=own.seconds[_PHASE],
            tokens=own.tokens[_PHASE],
        )
        put_text(folder / _RECORD, record.model_dump_json(indent=1))
        phases.seconds[_PHASE] = phases.seconds.get(_PHASE, 0.0) + record.seconds
        phases.count(_PHASE, record.tokens)
        return statistics

    def _compute(self, phases: Phases) -> "dict[str, torch.Tensor]":
        import torch

        method, settings = self.ingredients.method, self.ingredients.settings
        devices = range(torch.cuda.device_count())
        with (
            progress("preparation", len(self.examples), 0, "rows", "reading the rows") as advance,
            phases(_PHASE),
            _evaluating(self.models.student),
            torch.no_grad(),
            torch.random.fork_rng(devices=devices),
        ):
            torch.manual_seed(settings.seed)
            preparation = Preparation(
                self.examples,
                self.ingredients.valid.examples,
                self.ingredients.tokenizer,
                self.models.vocabulary,
                self.stage,
                settings.seed,
                self.ingredients.device,
                self.micro_batch_size,
                self._views(),
                advance,
            )
            found = _tensors(method, method.prepare(preparation))
        phases.count(_PHASE, preparation.tokens)
        if not self.models.teacher:
            self.ingredients.forget_teacher()
        return found

    def _views(self) -> Any:
        """Returns a view by name; the teacher is loaded when it is first asked for."""
        import torch

        views: dict[str, ModelView | CachedTeacherView] = {}
        half = self.ingredients.precision == "bfloat16"
        kind = torch.device(self.ingredients.device).type

        def autocast() -> Any:
            return torch.autocast(kind, torch.bfloat16, enabled=half)

        def load(name: str) -> ModelView | CachedTeacherView:
            if name not in ("student", "teacher"):
                raise InputError(
                    f"prepare() asks for the view '{name}'; before the first step there are "
                    "student and teacher"
                )
            if name not in views and name == "student":
                views[name] = ModelView(self._student(), self.models.vocabulary, autocast=autocast)
            elif name not in views:
                views[name] = self._teacher()
            return views[name]

        return load

    def _student(self) -> Any:
        """The student; a copy if it waits in main memory for processes to share its weights."""
        import torch

        there = next(self.models.student.parameters()).device.type
        is_here = there == torch.device(self.ingredients.device).type
        return self.models.student if is_here else self.ingredients.load_student()

    def _teacher(self) -> ModelView | CachedTeacherView:
        ingredients = self.ingredients
        vocabulary = ingredients.shared_vocabulary
        cache, cached, valid = ingredients.cache, ingredients.cached, ingredients.valid
        if cache is not None and cached is not None:
            check_complete(cache, valid.examples, valid.title, ingredients.settings, "valid")
            return CachedTeacherView(cache, cached.top_k)
        rows = [*self.examples, *ingredients.valid.examples]
        check_tokens(ingredients.tokenizer, vocabulary, rows)
        return ModelView(self.models.teacher or ingredients.teacher_model[0], vocabulary)

    def _key(self) -> dict[str, Any]:
        """All that decides the result, ready for JSON."""
        ingredients, identity = self.ingredients, self.ingredients.identity
        settings = ingredients.settings
        teacher = ingredients.teacher
        rows = [*self.examples, None, *ingredients.valid.examples]
        return {
            "method": settings.method,
            "code": _code(type(ingredients.method)),
            "parameters": identity["parameters"],
            "stage": self.stage,
            "student": ingredients.student.identity,
            "teacher": ingredients.cached.as_json()
            if ingredients.cached
            else teacher and f"{teacher.sha256} {ingredients.teacher_dtype}",
            "rows": _hash_rows(rows),
            "precision": ingredients.precision,
            "quantization": [settings.student_quantization, settings.teacher_quantization],
            "seed": settings.seed,
        }


def _code(kind: type[Method]) -> str:
    """Hash of the file of a method; empty for one typed into an interpreter."""
    try:
        file = inspect.getsourcefile(kind)
    except (TypeError, OSError):
        return ""
    return sha256_of_file(Path(file)) if file and Path(file).is_file() else ""


def _hash_rows(rows: Iterable[Example | None]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row and row.as_json(), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _tensors(method: Method, found: object) -> "dict[str, torch.Tensor]":
    """What a method returned, as it is kept.

    Raises:
        InputError: It is not a mapping of names to tensors, or one has a value that is no number.
    """
    import torch

    name = f"{type(method).__name__}.prepare"
    if not isinstance(found, Mapping):
        raise InputError(f"{name} returned {type(found).__name__}: must return tensors by name")
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise InputError(f"{name}: '{key}' is {type(value).__name__}: must be a tensor")
        if value.layout is not torch.strided:
            raise InputError(f"{name}: '{key}' is sparse: must be a dense tensor")
        if value.is_floating_point() and bool(value.isnan().any()):
            raise InputError(f"{name}: '{key}' has values that are not numbers (NaN)")
    return {key: value.detach().cpu().contiguous().clone() for key, value in found.items()}


def _checked(folder: Path) -> PreparedRecord:
    """The record of a folder whose file is whole.

    Raises:
        InputError: It is not.
    """
    again = f"; delete {folder} to prepare again"
    try:
        record = read_record(folder / _RECORD, PreparedRecord)
    except InputError as error:
        raise InputError(f"{error}{again}") from None
    file = folder / _TENSORS
    if not file.is_file() or sha256_of_file(file) != record.sha256:
        raise InputError(f"{file}: missing or damaged{again}")
    return record


def _read(folder: Path) -> "dict[str, torch.Tensor]":
    from safetensors.torch import load

    tensors: dict[str, torch.Tensor] = load((folder / _TENSORS).read_bytes())
    return tensors


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Keep a model in evaluation mode, and put it back into its own."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
