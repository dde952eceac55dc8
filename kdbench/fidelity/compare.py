"""A student beside its teacher, task by task: token metrics, text metrics, ceiling and floor."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from kdbench.fidelity.floor import Floor, with_floor, with_floor_of
from kdbench.fidelity.pairs import add_pairs
from kdbench.fidelity.results import Results
from kdbench.fidelity.teachers.base import Samples, Teacher
from kdbench.fidelity.texts import (
    REFERENCE_SEED,
    Text,
    reference_texts,
    sampled_texts,
    shared_texts,
)
from kdbench.fidelity.tokens import Pass, SetScores, lines_of, score_set
from kdbench.fidelity.wanted import GAP, SETS, Wanted, wanted
from kdbench.measuring.measurement import Measurement
from kdbench.measuring.scoring import answers_of, with_final_answers
from kdbench.metrics import (
    Answer,
    CurveMetric,
    PairMetric,
    PositionMetric,
    PositionSet,
    TokenMetric,
    compares_with_teacher,
)
from kdbench.store.results import TaskResult
from kdbench.task import Task
from kdbench.views import ModelView, SharedTokens, shared_tokens


def measured_floor(undistilled: Measurement, teacher: Teacher) -> Floor:
    """Compare the undistilled student with the teacher, and free its memory.

    Raises:
        InputError: as for `compare_with_teacher`.
    """
    results = compare_with_teacher(undistilled, teacher)
    undistilled.record.label(method="Undistilled")
    undistilled.release()
    return Floor(undistilled.name, undistilled.checkpoint.sha256, results)


def compare_with_teacher(
    student: Measurement, teacher: Teacher, floor: Floor | None = None
) -> dict[str, TaskResult]:
    """Add the metrics of fidelity to the student's results; what is there stays.

    Args:
        student: measured, with its results.
        teacher: whom to compare with.
        floor: the undistilled student, beside the same teacher.

    Returns:
        The results by task, as they stand on disk.

    Raises:
        InputError: models or caches that cannot be compared with; unknown metrics.
    """
    asked = wanted(student.settings.metrics)
    results = {}
    for task in student.tasks:
        if task.name not in student.results:
            continue
        results[task.name] = student.results[task.name]
        if not teacher.is_ready(task):
            sys.stderr.write(f"{task.name}: the teacher's other shards are still to come\n")
        else:
            with student.run.lock(task.name, wait=student.waits):
                compared = _Comparison(student, teacher, task, asked)
                results[task.name] = compared.result(floor)
    return results


class _Comparison:
    """One task."""

    def __init__(self, student: Measurement, teacher: Teacher, task: Task, asked: Wanted):
        self.student, self.teacher, self.task = student, teacher, task
        self.stored = student.run.read_task(task.name) or student.results[task.name]
        same = self._same_teacher()
        kept = [name for name in self.stored.metrics if same and compares_with_teacher(name)]
        self.asked = asked
        self.wanted = wanted([*asked.names, *kept]) if kept else asked
        self.where: dict[str, Any] = {}

    def result(self, floor: Floor | None) -> TaskResult:
        """The task's result with the metrics of fidelity."""
        to_keep = self.student.settings.teacher_cache is not None
        result = self.stored if self._is_current() and not to_keep else self._measured()
        if floor is not None and self.task.name in floor.results:
            result = with_floor(result, floor)
        return result if result == self.stored else self.student.run.write_task(result)

    def _same_teacher(self) -> bool:
        stored = self.stored.teacher
        return stored is not None and all(
            stored.get(key) == one for key, one in self.teacher.identity.items()
        )

    def _is_current(self) -> bool:
        """Whether all is there, measured beside this teacher by these versions."""
        versions = {metric.name: str(metric.version) for metric in self.asked.metrics}
        return self._same_teacher() and all(
            name in self.stored.metrics
            and self.stored.metrics[name].version == versions[name.partition("@")[0]]
            for name in self.asked.names
        )

    def _measured(self) -> TaskResult:
        results = Results()
        self._add_tokens(results)
        samples = self.student.samples(self.task)
        its_samples = self.teacher.samples(self.task)
        student = self._answers(samples, self.student.protocol.seeds)
        teacher = self._answers(its_samples, self.teacher.seeds)
        no_shared_noise = None
        if other_tokens := self._other_tokens():
            # Ids do not compare; the noise, if there is any, belongs to them.
            teacher = {
                seed: [replace(a, tokens=None) for a in each] for seed, each in teacher.items()
            }
            no_shared_noise = other_tokens if self.student.protocol.temperature > 0 else None
        add_pairs(results, self.wanted, student, teacher, no_shared_noise)
        old = self.stored
        own = {name: m for name, m in old.metrics.items() if not compares_with_teacher(name)}
        columns = {n: c for n, c in old.documents.items() if not compares_with_teacher(n)}
        measured = replace(
            old,
            metrics={**own, **results.metrics},
            documents={**columns, **results.documents},
            teacher={**self.teacher.identity, **self.where},
            curves=results.curves,
        )
        return with_floor_of(measured, old) if self._same_teacher() else measured

    def _answers(self, samples: Samples, seeds: Sequence[int]) -> dict[int, list[Answer]]:
        return with_final_answers(self.task, samples, answers_of(self.task, seeds, samples))

    def _add_tokens(self, results: Results) -> None:
        names = [
            name
            for name in sorted(self.wanted.names)
            for metric in self.wanted.metrics
            if metric.name == name.partition("@")[0]
            and isinstance(metric, PositionMetric | CurveMetric)
        ]
        if not names:
            return
        if reason := self._why_no_tokens():
            results.add_nulls(names, self.wanted, reason)
            return
        sets: dict[PositionSet, SetScores] = {}
        for where in SETS:
            metrics = self.wanted.at(where)
            if metrics:
                self._add_set(results, sets, where, metrics)
        self._add_what_needs_two(results, sets)
        if self.teacher.top_k is not None:
            self.where["outside_top_k"] = {at: one.mass("outside") for at, one in sets.items()}
        cut = {where: scores.mass("cut_mass") for where, scores in sets.items()}
        if any(any(masses.values()) for masses in cut.values()):
            self.where["cut_mass"] = cut

    def _add_set(
        self,
        results: Results,
        sets: dict[PositionSet, SetScores],
        where: PositionSet,
        metrics: Sequence[PositionMetric],
    ) -> None:
        seeds, texts = self._texts(where)
        kept = shared_texts(texts, self._shared, self._ends)
        reason = self.teacher.why_not(kept, self._teacher_prompts)
        if where != "ref" and not self.student.protocol.samples_plainly:
            metrics = self._leave_out_plain(results, where, metrics)
        if not self.teacher.knows_entropy:
            metrics = self._leave_out_entropy(results, where, metrics)
        if not kept:
            reason = "no response of which both know every token"
        if reason:
            results.add_nulls([f"{one.name}@{where}" for one in metrics], self.wanted, reason)
            return
        if left_out := len(texts) - len(kept):
            self.where.setdefault("left_out", {})[where] = left_out
        view = ModelView(self.student.backend.model, self._shared.size)
        view.check()
        both = Pass(
            where,
            metrics,
            view,
            self.teacher.look(self._teacher_prompts, self._shared.size),
            lambda text: self.teacher.has_kept(text, self._teacher_prompts),
            self.student.protocol.max_new_tokens,
        )
        key = [self.teacher.identity, self._shared.size, list(seeds)]
        file = lines_of(self.student.run, self.task.name, both, key)
        lines = score_set(file, f"{self.task.name} @{where}", kept, both)
        ids = [document.id for document in self.task.documents]
        sets[where] = SetScores(where, ids, seeds, both.limit, lines)
        results.add_set(sets[where], metrics, self.teacher.top_k)

    def _leave_out_plain(
        self, results: Results, where: PositionSet, metrics: Sequence[PositionMetric]
    ) -> list[PositionMetric]:
        """The metrics that mean something on such responses."""
        plain = [one for one in metrics if isinstance(one, TokenMetric) and one.of_plain_samples]
        reason = "needs samples of temperature=1, top_p=1, top_k=0"
        results.add_nulls([f"{one.name}@{where}" for one in plain], self.wanted, reason)
        return [one for one in metrics if one not in plain]

    def _leave_out_entropy(
        self, results: Results, where: PositionSet, metrics: Sequence[PositionMetric]
    ) -> list[PositionMetric]:
        """The metrics that the teacher's top k decide."""
        names = [f"{one.name}@{where}" for one in metrics if one.needs_entropy]
        reason = f"the teacher's entropy is not known from its top {self.teacher.top_k}"
        results.add_nulls(names, self.wanted, reason)
        return [one for one in metrics if not one.needs_entropy]

    def _add_what_needs_two(self, results: Results, sets: Mapping[PositionSet, SetScores]) -> None:
        for metric in self.wanted.gaps():
            name = f"{metric.name}@{GAP}"
            missing = [one for one in ("student", "ref") if one not in sets]
            if missing or (self.teacher.top_k is not None and metric.from_top_k != "exact"):
                reason = f"needs the exact @{missing[0] if missing else 'student'} scores"
                results.add_nulls([name], self.wanted, reason)
            else:
                results.add_gap(metric, sets["student"], sets["ref"])
        for one in self.wanted.curve_metrics():
            if absent := [where for where in one.sets if where not in sets]:
                results.add_nulls([one.name], self.wanted, f"needs the @{absent[0]} scores")
            else:
                results.add_curve_metric(one, sets, self.teacher.top_k)

    def _texts(self, where: PositionSet) -> tuple[Sequence[int], list[Text]]:
        task, student, prompts = self.task, self.student, self._prompts
        tokenizer = student.backend.tokenizer
        if where == "ref":
            limit = student.protocol.max_new_tokens
            return [REFERENCE_SEED], reference_texts(task.documents, prompts, tokenizer, limit)
        own = where == "student"
        seeds = student.protocol.seeds if own else self.teacher.seeds
        samples = student.samples(task) if own else self.teacher.samples(task)
        ordered = [samples[document.id, seed] for document in task.documents for seed in seeds]
        return seeds, sampled_texts(ordered, prompts, tokenizer, where)

    def _why_no_tokens(self) -> str | None:
        if self.student.backend.model is None:
            return f"backend={self.student.settings.backend} does not show probabilities"
        if self._shared.difference:
            return f"student and teacher have different tokenizers ({self._shared.difference})"
        return None

    def _other_tokens(self) -> str | None:
        """Why the two share no token ids, if so."""
        if not any(isinstance(one, PairMetric) and one.same_noise for one in self.wanted.metrics):
            return None  # nobody asks, and the answer costs loading them
        if self.student.backend.tokenizer is None or self.teacher.tokenizer is None:
            return None
        if self._shared.difference is None:
            return None
        return f"student and teacher have different tokenizers ({self._shared.difference})"

    @cached_property
    def _shared(self) -> SharedTokens:
        return shared_tokens(self.student.backend.tokenizer, self.teacher.tokenizer)

    @cached_property
    def _ends(self) -> frozenset[int]:
        return self.student.backend.ends | self.teacher.ends

    @cached_property
    def _prompts(self) -> dict[str, Any]:
        return self.student.prompts(self.task)

    @cached_property
    def _teacher_prompts(self) -> dict[str, Any]:
        return self.teacher.prompts(self.task)
