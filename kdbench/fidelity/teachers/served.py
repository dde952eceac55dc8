"""A teacher on a server: its top k log-probabilities come over HTTP, and no responses."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from kdbench.checkpoint import find_checkpoint, load_checkpoint, one_line
from kdbench.config import EvalSettings
from kdbench.errors import InputError
from kdbench.fidelity.forward import TeacherScorer
from kdbench.fidelity.teachers.base import Teacher
from kdbench.fidelity.teachers.cache import CachedScores, digest_of
from kdbench.fidelity.texts import ComparedText
from kdbench.generate import Prompt
from kdbench.generate.prompts import encode_prompt
from kdbench.measuring.likelihood.answers import OptionAnswers
from kdbench.protocol import Protocol
from kdbench.scores.cache import CachedIdentity, Recorder, ScoreColumns, TopKCache
from kdbench.scores.served.checking import check_line, check_server, some_texts
from kdbench.scores.served.server import find_models
from kdbench.scores.served.teacher import ServedTeacher, Text, Usage
from kdbench.store.samples import Samples
from kdbench.system.console import report_progress
from kdbench.system.progress import slow_step
from kdbench.task import Task
from kdbench.views import Batch, vocabulary_size

_NO_RESPONSES = (
    "a server's responses are not drawn as kdbench draws them; measure the teacher with "
    "backend=lm_eval:local-completions"
)


class TeacherOnServer(Teacher):
    """A model on a server, compared at the references and at the student's responses.

    Its scores are the top k and the probability of all other tokens, as in a cache, so divergences
    are bounds. The entropy is not known.

    Args:
        settings: Settings of the student.
        protocols: Protocols of the teacher's responses, of which it gives none.
        tasks: The loaded tasks of the settings.

    Raises:
        InputError: The server does not answer or has no such model, there are several, or a task
            is scored by likelihood.
    """

    generated = 0
    knows_entropy = False
    no_responses = _NO_RESPONSES

    def __init__(
        self, settings: EvalSettings, protocols: Sequence[Protocol], tasks: Sequence[Task]
    ):
        self.seeds = tuple(seed for protocol in protocols for seed in protocol.seeds)
        self._settings, self._protocol = settings, protocols[0]
        self.top_k: int = settings.cache_top_k
        models = find_models(settings, str(settings.teacher))
        if "" not in models:
            raise InputError(f"teacher={settings.teacher}: an evaluation compares with one teacher")
        if other := next((task for task in tasks if not task.generates), None):
            raise InputError(
                f"teacher={settings.teacher}: '{other.name}' is scored by likelihood, for which "
                "the teacher must be a model; leave out the task"
            )
        self._model = models[""]
        self.identity: Mapping[str, Any] = {
            "name": settings.teacher_name or self._model.name,
            "sha256": self._model.sha256,
            "dtype": "served",
            "top_k": self.top_k,
        }
        self._cache = TopKCache(settings.teacher_cache) if settings.teacher_cache else None
        self._usage = Usage(settings.teacher_budget)
        self._checked = False

    def answer(self) -> None:
        """Do nothing: there are no responses."""

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of `teacher_tokenizer=`, or the student's."""
        from transformers import AutoTokenizer

        place = self._settings.teacher_tokenizer or self._settings.model
        with one_line(Path(place)):
            return AutoTokenizer.from_pretrained(
                place, trust_remote_code=self._settings.trust_remote_code
            )

    @property
    def ends(self) -> frozenset[int]:
        """The tokenizer's end token."""
        return frozenset({self.tokenizer.eos_token_id} - {None})

    def is_ready(self, task: Task) -> bool:  # noqa: ARG002
        """Whether all responses exist: there are none to wait for."""
        return True

    def samples(self, task: Task) -> Samples:
        """Refuse: there are no responses.

        Raises:
            InputError: Always.
        """
        raise InputError(f"teacher={self._settings.teacher}: {task.name}: {_NO_RESPONSES}")

    def options(self, task: Task) -> OptionAnswers:
        """Refuse: the server is not asked about options.

        Raises:
            InputError: Always.
        """
        raise InputError(f"teacher={self._settings.teacher}: {task.name}: needs a model")

    def prompts(self, task: Task) -> dict[str, Prompt]:
        """Return the prompts as the teacher reads them, by document."""
        return {
            document.id: encode_prompt(
                self.tokenizer, self._protocol, document.prompt, document.conversation
            )
            for document in task.documents
        }

    def why_not(self, texts: Sequence[ComparedText], prompts: Mapping[str, Prompt]) -> str | None:  # noqa: ARG002
        """Return None: a server can score any text."""
        return None

    def must_cache(self, text: ComparedText, prompts: Mapping[str, Prompt]) -> bool:
        """Whether the cache that is being made still lacks the scores of a text."""
        cache = self._cache
        return cache is not None and not cache.has(digest_of(text, prompts[text.rollout.id]))

    def scorer(self, prompts: Mapping[str, Prompt], vocabulary: int) -> TeacherScorer:
        """Return a function that takes the scores of a batch from the cache or the server.

        Raises:
            InputError: The student does not know all of the teacher's tokens, or the cache is
                another teacher's.
        """
        tokens = vocabulary_size(self.tokenizer)
        if vocabulary != tokens:
            raise InputError(
                f"teacher={self._settings.teacher}: the student shares {vocabulary} of its "
                f"{tokens} tokens, and a server's probabilities cannot be normalised over those "
                "alone"
            )
        self.top_k = min(self.top_k, tokens)
        settings = self._settings
        server = ServedTeacher(
            self._model,
            self.tokenizer,
            tokens,
            self.top_k,
            self._usage,
            settings.teacher_concurrency,
            stored=self._cache is not None,
        )
        cache = self._claimed(tokens)

        def score(batch: Batch, texts: Sequence[ComparedText]) -> CachedScores:
            asked = {
                digest_of(text, prompts[text.rollout.id]): Text(
                    tuple(prompts[text.rollout.id].ids),
                    tuple(text.rollout.response_ids),
                    f"a response to document '{text.rollout.id}'",
                )
                for text in texts
            }
            found = self._scores(server, cache, asked)
            columns = [found[digest_of(text, prompts[text.rollout.id])] for text in texts]
            return CachedScores(columns, batch.device)

        return score

    def _scores(
        self, server: ServedTeacher, cache: TopKCache | None, texts: Mapping[str, Text]
    ) -> dict[str, ScoreColumns]:
        """The scores of texts by hash; what came is in the cache even if the rest fails."""
        if cache is None:
            self._check(server, list(texts.values()))
            return dict(server.score(texts))
        missing = {digest: text for digest, text in texts.items() if not cache.has(digest)}
        arrived: dict[str, ScoreColumns] = {}
        try:
            if missing:
                self._check(server, list(missing.values()))
                arrived.update(server.score(missing))
        finally:
            _keep(cache, self.top_k, arrived)
        return {digest: arrived.get(digest) or cache.read(digest) for digest in texts}

    def _claimed(self, vocabulary: int) -> TopKCache | None:
        """Return the cache to be made, claimed for this teacher; None if none is wanted."""
        if self._cache is None:
            return None
        self._cache.claim(
            CachedIdentity(
                self._model.name,
                self._model.sha256,
                "served",
                vocabulary,
                self.top_k,
                tuple(sorted(self.ends)),
                self.knows_entropy,
            )
        )
        self._cache.store_tokenizer(self.tokenizer)
        return self._cache

    def _check(self, server: ServedTeacher, texts: Sequence[Text]) -> None:
        """Check the server once, on the first texts.

        Raises:
            InputError: It is not the teacher that it seems.
        """
        if self._checked:
            return
        settings, model = self._settings, None
        if settings.teacher_check is not None:
            found = find_checkpoint(
                settings.teacher_check,
                unsafe_pickle=settings.unsafe_pickle,
                key="teacher_check",
                trust_remote_code=settings.trust_remote_code,
            )
            with slow_step(f"loading {found.name}"):
                model = load_checkpoint(found, "auto", "cpu", settings.trust_remote_code)[0].eval()
        checked, _ = check_server(server, some_texts(texts), model)
        report_progress(check_line(server, checked))
        self._checked = True


def _keep(cache: TopKCache, top_k: int, arrived: Mapping[str, ScoreColumns]) -> None:
    if not arrived:
        return
    lengths = [len(columns["target"]) for columns in arrived.values()]
    recorder = Recorder(cache, top_k, list(arrived), lengths)
    for columns in arrived.values():
        recorder.add_scores(columns)
    recorder.close()
