"""What goes into a training run: checkpoints, tokenizer and data, and the run's identity."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from kdbench.checkpoint import (
    Checkpoint,
    find_checkpoint,
    load_tokenizer,
    pick_device,
)
from kdbench.config import TrainSettings, is_on_server
from kdbench.config.train_rollouts import OF_AN_ENGINE
from kdbench.distillation.cached import cached_teacher, check_cached
from kdbench.distillation.contents import with_contents
from kdbench.distillation.data import DataSet, SetFile, Split, load_set, load_texts, set_name
from kdbench.distillation.encoder import Encoder, Lengths
from kdbench.distillation.processes import local_number, sharding
from kdbench.distillation.prompts import prompt_form
from kdbench.distillation.reader import make_reader
from kdbench.distillation.recipe import Recipe
from kdbench.distillation.rollouts import rollout_identity
from kdbench.distillation.served import ServedTeachers
from kdbench.distillation.students import StudentSource, turn_dropout_off
from kdbench.distillation.teachers import check_teacher, load_teacher, teacher_device
from kdbench.errors import InputError, nearest_path
from kdbench.generate.prompts import check_template
from kdbench.protocol import Protocol
from kdbench.registry.plugins import stamp_of
from kdbench.scores.cache import TopKCache
from kdbench.system.files import sha256_of_file
from kdbench.training.companions.models import check_tokenizer
from kdbench.training.router import without_router_logits
from kdbench.training.stage import Stage
from kdbench.training.triple import Triple
from kdbench.views.chat import find_template
from kdbench.views.reading import Reader
from kdbench.views.tokenizers import common_vocabulary, set_end_token, tokens_are_equal

# Keys that change neither what is learned nor any number beyond rounding.
NO_PART = {
    *("recipe", "student", "teacher", "data", "out", "label", "setting", "teacher_responses"),
    *("micro_batch_size", "generation_batch_size", "chunk_tokens", "compile_loss"),
    *("gradient_checkpointing", "teacher_device", "teacher_offload"),
    *("save_every", "log_every", "report_to", "device", "unsafe_pickle", "trust_remote_code"),
    *("teacher_cache", "teacher_top_k"),  # the teacher's identity has the number of tokens
    *("teacher_api", "teacher_model", "teacher_field", "teacher_tokenizer", "teacher_check"),
    *("teacher_concurrency", "teacher_timeout", "teacher_budget", "teacher_key_env"),
    *("valid_set", "dry_run", "report_group", "plugins"),
    "watch",  # what is logged, by content and not by place: see `_watch_identity`
    *("rollout_backend", "rollout_server", *OF_AN_ENGINE),  # see `rollout_identity`
}


class Ingredients:
    """The checkpoints and data of a recipe.

    Checkpoints are found and hashed and data is read at once; models are loaded on demand.

    Args:
        recipe: The settings and the method.

    Raises:
        InputError: anything about models, data or settings that the user can fix.
    """

    def __init__(self, recipe: Recipe):
        self.recipe, self.method, self.settings = recipe, recipe.method, recipe.settings
        settings = self.settings
        self.device = _device(settings.device)
        self._teacher_device = teacher_device(settings, self.device)
        if settings.teacher is None and self.method.needs_teacher:
            raise InputError(f"teacher= is missing: method={settings.method} learns from one")
        self.cached = check_cached(settings, self.method.stages())
        looks = "teacher" in self.method.prepares_with
        too_little = self.cached is not None and not self.method.prepares_from_top_k
        serves = is_on_server(settings.teacher)
        if looks and (too_little or serves):
            raise InputError(
                f"method={settings.method} looks at the teacher before training, and "
                f"teacher={settings.teacher} is no model: give teacher=CHECKPOINT with "
                "teacher_cache=, or the key that it finds as a number"
            )
        self.cache = cached_teacher(settings.teacher) or (
            TopKCache(settings.teacher_cache) if settings.teacher_cache else None
        )
        self.teacher: Checkpoint | None = (
            self._find(settings.teacher, "teacher")
            if settings.teacher and self.cached is None and not serves
            else None
        )
        check_teacher(settings, self.teacher, self._teacher_device)
        plain = settings.sampling_temperature == settings.sampling_top_p == 1
        if self.method.plain_sampling and not plain:
            raise InputError(
                f"method={settings.method} needs plain samples: leave out sampling_temperature= "
                "and sampling_top_p="
            )
        self.student = StudentSource(
            settings.student,
            self.teacher,
            settings.seed,
            settings.unsafe_pickle,
            settings.trust_remote_code,
        )
        self.tokenizer = self.student.load_tokenizer(settings.trust_remote_code)
        self.served = (
            ServedTeachers(settings, self.tokenizer, recipe.out)
            if is_on_server(settings.teacher)
            else None
        )
        if self.served is not None:
            self.cached, self.cache = self.served.identity, self.served.cache
        if settings.end_token is not None:
            set_end_token(self.tokenizer, settings.end_token)
        form = self._form()
        self.lengths = Lengths(
            settings.max_prompt_tokens, settings.max_length, settings.long_prompts
        )
        ends = {self.tokenizer.eos_token_id}
        if settings.end_token is None:
            ends |= self.student.end_tokens
        self.encoder = Encoder(self.tokenizer, form, self.lengths, frozenset(ends))
        self.train = self._load("train", settings.limit)
        self.valid = self._load("valid", settings.validation_limit)
        self.student.examples = self.train.examples
        if self.served is not None:
            self.served.check_rows(self.train.examples)

    def _find(self, model: str, key: str) -> Checkpoint:
        settings = self.settings
        return find_checkpoint(
            model,
            unsafe_pickle=settings.unsafe_pickle,
            key=key,
            trust_remote_code=settings.trust_remote_code,
        )

    def _form(self) -> Protocol:
        """The form of the prompts; a chat template that is given becomes the student's own.

        Raises:
            InputError: there is no chat template, or it does not read a variable.
        """
        settings, tokenizer = self.settings, self.tokenizer
        form = replace(prompt_form(settings), chat_template=None)
        if settings.train_format != "chat":
            return form
        if not tokenizer.chat_template and not settings.chat_template:
            raise InputError(
                f"student={settings.student}: its tokenizer has no chat template; use "
                "train_format=alpaca, or pass chat_template=FILE"
            )
        place = self.student.checkpoint.path
        if settings.chat_template is not None:
            tokenizer.chat_template = find_template(tokenizer, settings.chat_template, place)
        check_template(tokenizer, form, place)
        return form

    def _load(self, split: Split, limit: int | None) -> DataSet:
        settings = self.settings
        name = settings.train_set if split == "train" else settings.validation_set
        file = SetFile(
            settings.data,
            name,
            split,
            settings.train_format,
            settings.train_turns,
            self._fields(split),
        )
        return load_set(file, self.encoder, limit)

    def _fields(self, split: Split) -> tuple[str, ...]:
        """The fields of examples that the method reads."""
        triple = self.method.triple()
        if split == "valid":
            domain = triple.schedule.domain
            own = () if domain is None else (domain,)
            return tuple(sorted({*own, *triple.schedule.fields}))
        tag = self.served.field if self.served is not None else None
        own = () if tag is None else (tag,)
        return tuple(sorted({*self.method.fields, *triple.source.fields, *own}))

    @property
    def learns_texts(self) -> bool:
        """Whether there are plain texts among the rows, which answer nothing."""
        return any(row.is_text for data in (self.train, self.valid) for row in data.rows)

    @property
    def precision(self) -> str:
        """The precision of forward and backward pass, `float32` or `bfloat16`."""
        if self.settings.precision != "auto":
            return self.settings.precision
        return "float32" if self.device == "cpu" else "bfloat16"

    @property
    def teacher_dtype(self) -> str:
        """The type of the teacher's weights."""
        if self.cached is not None:
            return self.cached.dtype
        dtype = self.settings.teacher_dtype
        return self.precision if dtype == "auto" else dtype

    @cached_property
    def teacher_model(self) -> tuple[Any, Any]:
        """The teacher's model and tokenizer, loaded at the first call."""
        model, tokenizer = load_teacher(
            self._needed_teacher, self.settings, self.teacher_dtype, self._teacher_device
        )
        return without_router_logits(model), tokenizer

    @cached_property
    def shared_vocabulary(self) -> int:
        """The number of tokens that student and teacher share.

        Raises:
            InputError: their tokenizers differ, or end a response differently; or cached scores are
                normalised over other tokens.
        """
        if self.served is not None:
            teacher = self.served.tokenizer
        elif self.cached is not None and self.cache is not None:
            teacher = self.cache.load_tokenizer()
        else:
            teacher = load_tokenizer(self._needed_teacher, self.settings.trust_remote_code)
        any_end = self.settings.end_token is not None
        size = common_vocabulary(self.tokenizer, teacher, self.settings.method, any_end=any_end)
        if self.served is not None and size != self.served.vocabulary:
            raise InputError(
                f"teacher={self.settings.teacher}: has {self.served.vocabulary} tokens, of which "
                f"this student shares {size}, and a server's probabilities cannot be normalised "
                "over those alone"
            )
        if self.cached is not None and size != self.cached.vocabulary:
            raise InputError(
                f"teacher={self.settings.teacher}: made over {self.cached.vocabulary} tokens, but "
                f"this student shares {size} with the teacher; make a cache with this student"
            )
        return size

    @property
    def top_k(self) -> int | None:
        """The number of the teacher's tokens at each position; None for all of them."""
        if self.cached is not None:
            return self.cached.top_k
        if self.cache is None:
            return None
        return min(self.settings.teacher_top_k, self.shared_vocabulary)

    def check_tokenizers(self, *triples: Triple) -> None:
        """Check, before the teacher works, that student and teacher have the same tokens.

        Args:
            triples: What the given teacher teaches; some can read a teacher of other tokens.

        Raises:
            InputError: they do not, or a prompt has no place in the teacher.
        """
        for triple in triples:
            if self.reader(triple) is None:
                _ = self.shared_vocabulary
        if not triples:
            _ = self.shared_vocabulary

    def check_companions(self, *triples: Triple) -> None:
        """Check, before any model is loaded, that companions have the student's tokens.

        Args:
            triples: The method in training, a triple for each stage.

        Raises:
            InputError: A checkpoint that a key names does not exist, or has other tokens.
        """
        companions = (companion for triple in triples for companion in triple.companions)
        for key, path in {item for one in companions for item in one.checkpoints.items()}:
            check_tokenizer(path, key, self.tokenizer)
        paths = self.settings.watched_paths
        for path in paths.values():
            check_tokenizer(path, "watch", self.tokenizer)
        if len(paths) < len(self.settings.watch) and not all(
            triple.needs_teacher_model for triple in triples
        ):
            raise InputError(
                f"watch=…=teacher: method={self.settings.method} has no teacher in memory; name a "
                "checkpoint, such as ./teacher for a folder of this name"
            )

    def reader(self, triple: Triple) -> Reader | None:
        """How the teacher reads what the student learns, if its tokenizer is another one.

        Args:
            triple: The method in training.

        Returns:
            None if the tokens are the same, or the method compares them one by one.

        Raises:
            InputError: A prompt has no place in the teacher, or the teacher has no chat template.
        """
        if triple.bridges is None or self.cached is not None or self.cache is not None:
            return None
        return self._other_reader

    @cached_property
    def _other_reader(self) -> Reader | None:
        teacher, settings = self._needed_teacher, self.settings
        tokenizer = load_tokenizer(teacher, settings.trust_remote_code)
        if tokens_are_equal(self.tokenizer, tokenizer, settings.end_token is not None):
            return None
        return make_reader(teacher, tokenizer, self.encoder, self.train, settings)

    @property
    def _needed_teacher(self) -> Checkpoint:
        if self.cached is not None:
            raise InputError(f"teacher={self.settings.teacher}: is no model in memory")
        if self.teacher is None:
            raise InputError(f"teacher= is missing: method={self.settings.method} learns from one")
        return self.teacher

    def _without_effect(self, uses_teacher: bool) -> list[str]:
        """Keys of the settings that have no effect in this run."""
        settings, keys = self.settings, []
        if not settings.lora_rank:
            keys += ["lora_alpha", "lora_dropout"]
        if settings.lr_schedule != "cosine":
            keys += ["min_learning_rate"]
        if settings.pretraining is None:
            keys += ["pretraining_weight"]
        return keys if uses_teacher else [*keys, "teacher_dtype", "teacher_quantization"]

    def forget_teacher(self) -> None:
        """Free the memory of the teacher's model."""
        self.__dict__.pop("teacher_model", None)

    def load_student(self, to_train: bool = False) -> Any:
        """Load the student as it is before training; each call returns a new, equal copy.

        Args:
            to_train: Whether this copy is trained: quantised if the settings say so, and in main
                memory if processes will share its weights, which move to their devices by then.
        """
        quantisation = self.settings.student_quantization if to_train else None
        device = "cpu" if to_train and sharding() else self.device
        model = self.student.load(device, self.settings.trust_remote_code, quantisation)
        without_router_logits(model)
        if not self.settings.dropout:
            turn_dropout_off(model)
        if self.settings.end_token is not None:
            model.config.eos_token_id = self.tokenizer.eos_token_id
            model.generation_config.eos_token_id = self.tokenizer.eos_token_id
        return model

    def _content(self, key: str, path: Path) -> str:
        if path.is_file():
            return _file_sha256(path)
        return self._find(str(path), key).sha256

    def _watch_identity(self) -> dict[str, str]:
        """The content of each watched model, by its name; `teacher` for the run's own."""
        paths = self.settings.watched_paths
        return {
            name: self._content("watch", paths[name]) if name in paths else model
            for name, model in self.settings.watch.items()
        }

    def stages(self) -> list[Stage]:
        """New stages of the method, with the plain texts of `pretraining=` if there are any."""
        stages, settings = list(self.method.stages()), self.settings
        if settings.pretraining is None:
            return stages
        texts = load_texts(settings.pretraining, self.tokenizer, settings.max_length)
        weight = settings.pretraining_weight
        return [
            replace(stage, triple=stage.triple.with_pretraining(texts, weight)) for stage in stages
        ]

    def triple(self) -> Triple:
        """A new triple of the method, that of its first stage."""
        return self.stages()[0].triple

    @property
    def defaults(self) -> dict[str, Any]:
        """The default of every key that has one, ready for JSON."""
        fields = {**TrainSettings.model_fields, **type(self.method).model_fields}
        defaults = {
            name: to_jsonable_python(field.default)
            for name, field in fields.items()
            if not field.is_required()
        }
        return {**defaults, "epochs_count": "batches"}

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides the result, ready for JSON."""
        common = self.settings.model_dump(mode="json", exclude=NO_PART)
        if self.settings.steps is None:
            common["epochs"] = self.settings.epochs or 1.0
            if self.recipe.prompts_per_step != self.settings.batch_size:
                common["epochs_count"] = "prompts"  # earlier versions counted batches
        if self.settings.pretraining is not None:
            common["pretraining"] = _file_sha256(self.settings.pretraining)
        given = self.teacher or self.cached
        uses_teacher = given is not None and self.method.needs_teacher
        top_k: dict[str, float] = {} if self.top_k is None else {"top_k": self.top_k}
        if self.cache is not None and (kept := self.cache.identity()) and kept.max_error:
            top_k["max_error"] = kept.max_error
        common["train_set"] = set_name(self.settings.train_set)
        common |= {"precision": self.precision, "teacher_dtype": self.teacher_dtype}
        for key in self._without_effect(uses_teacher):
            del common[key]
        common |= rollout_identity(self.settings)
        if self.settings.watch:
            common["watch"] = self._watch_identity()
        return {
            "settings": common,
            "parameters": {
                name: with_contents(value, name, self._content)
                for name, value in self.method.model_dump().items()
            }
            | ({"method_code": stamp} if (stamp := stamp_of(type(self.method))) else {}),
            "student": self.student.identity,
            "teacher": {"name": given.name, "sha256": given.sha256, **top_k}
            if given and uses_teacher
            else None,
            "data": {"train": self.train.identity, "valid": self.valid.identity},
        }


def _device(setting: str) -> str:
    """The device of this process; with several processes, torchrun sets its number."""
    if setting.startswith("cuda:"):
        raise InputError(
            f"device={setting}: to train on this GPU, set CUDA_VISIBLE_DEVICES={setting[5:]} and "
            "pass device=cuda"
        )
    device = pick_device(setting)
    number = local_number()
    return device if device != "cuda" or number is None else f"cuda:{number}"


def _file_sha256(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"pretraining={path}: no such file{nearest_path(path)}")
    return sha256_of_file(path)
