"""Teacher hacking: a student that nears its teacher can move away from what the teacher stands for.

Paper: Tiapkin et al. 2025, "On Teacher Hacking in Language Model Distillation" (arXiv 2502.02671).
Written from third-party notes on it; the toy setting and the test below are ours.
Models: an oracle stands for the truth. The teacher is a model that was fine-tuned on the oracle's
    responses to some prompts, and so is the student's start. The student then minimises
    KL(p_teacher‖q) at every token of responses from one source.
Distances: gold is KL(oracle‖student), proxy is KL(teacher‖student), both of whole responses to
    held-out prompts, in nats per token: exact over the vocabulary, at the tokens of responses that
    the oracle, or the teacher, has sampled itself (`watch=` of kdbench train).
Sources: `fixed`, one response of the teacher to each prompt, sampled once and learned again and
    again; `fixed ×k`, k of them; `fresh teacher`, a new one in each step; `student`, a new sample
    of the student in each step. All take the same steps with the same number of responses.
Turning point: where the mean gold distance over the OTHER training seeds is lowest. The rise of a
    seed is its gold distance at the end minus that at this step. A minimum of the seed's own curve
    would be below its neighbours by noise alone, so that every curve would seem to rise.
Hacking: the gold distance rises from the turning point to the end, and the proxy distance falls
    over the same steps, both by 95 % intervals over training seeds.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from kdbench.analyses import Analysis, analyses
from kdbench.config.kinds import AtLeastOne
from kdbench.errors import InputError

if TYPE_CHECKING:
    from kdbench.analyses.core.bench import AnalysisBench, AnalysisWorld
    from kdbench.store.conclusions import Conclusion

FIXED, FRESH, STUDENT = "fixed", "fresh teacher", "student"


@analyses.register("teacher_hacking")
class TeacherHacking(Analysis, group="Teacher hacking"):
    """Does a student that nears its teacher move away from the truth?

    An oracle stands for the truth, the teacher is trained on the oracle's responses, and the
    student learns from the teacher for many passes: from fixed responses, from more of them, from
    fresh ones, and from its own samples. It is hacking if the distance to the oracle rises while
    the distance to the teacher still falls.

    With models of your own, oracle= is the truth, and teacher= and student= are the models that are
    fine-tuned on its responses first.
    """

    title: ClassVar[str] = "Teacher hacking"
    question: ClassVar[str] = (
        "Does a student that nears its teacher move away from the truth, and do fresh samples help?"
    )
    paper: ClassVar[str] = "Tiapkin et al. 2025, arXiv 2502.02671"
    basis: ClassVar[str] = "third-party notes"

    oracle: str | None = Field(
        None, description="Checkpoint that stands for the truth (default: the toy world's teacher)"
    )
    train_set: str = Field("dolly", description="Data set of the prompts, in data=")
    teacher_prompts: AtLeastOne = Field(
        1800, description="Prompts whose oracle's responses the teacher and the start have learned"
    )
    teacher_steps: AtLeastOne = Field(300, description="Optimiser steps of the teacher on them")
    start_steps: AtLeastOne = Field(
        100, description="Optimiser steps of the student's start on them"
    )
    prompts: AtLeastOne = Field(160, description="Prompts from which students learn")
    passes: AtLeastOne = Field(
        20, description="Passes over the prompts, where one is usual; steps= overrides it"
    )
    completions: int = Field(
        4, ge=2, le=64, description="Responses to each prompt in the source of more fixed ones"
    )
    batch_size: AtLeastOne = Field(16, description="Responses per step")
    learning_rate: float = Field(1e-3, gt=0, description="Learning rate of students, constant")
    measurements: AtLeastOne = Field(10, description="How often distances are measured")

    def run(self, bench: "AnalysisBench") -> "Conclusion":
        """Prepare the prompts with more completions, fill the table, and conclude."""
        repeated = self._repeated_prompts(bench)
        filled = bench.fill(self.rows(bench.world, repeated))
        from kdbench.analyses.hacking.answer import answer

        return answer(self, filled, self.sources, FIXED)

    @property
    def sources(self) -> tuple[str, ...]:
        """The labels of the rows, one for each source of responses."""
        return (FIXED, self.more_fixed, FRESH, STUDENT)

    @property
    def more_fixed(self) -> str:
        """The label of the row with more fixed responses."""
        return f"{FIXED} x{self.completions}"

    def rows(self, world: "AnalysisWorld", repeated: Path) -> Mapping[str, Any]:
        """The table: the teacher, the student's start, and a row for each source.

        Args:
            world: Models and data.
            repeated: File of the prompts, each as often as it gets a fixed response.
        """
        return {
            "title": self.title,
            **self._models_of_oracle(world),
            "rows": self._students(world, repeated),
            "train": {
                "train_set": self.train_set,
                "limit": self.prompts,
                "steps": self.planned_steps,
                "batch_size": self.batch_size,
                "learning_rate": self.learning_rate,
                "lr_schedule": "constant",
                "dropout": False,
                "select": "last",
                "validate_every": max(1, self.planned_steps // self.measurements),
                "validation_limit": 100,
                "validation_samples": 1,
                "watch": {"oracle": self._oracle(world), "teacher": "teacher"},
            },
            "evaluate": {"metrics": ["lm_loss"], "limit": 20, "seeds": [10]},
            "tasks": ["dolly"],
            "columns": ["AVG", "log:eval_kl_oracle", "log:eval_kl_teacher"],
        }

    def _models_of_oracle(self, world: "AnalysisWorld") -> dict[str, Any]:
        """The teacher and the student's start, which learn the oracle's responses.

        On the toy world they have the sizes of its two models and random weights.
        """
        oracle, is_toy = self._oracle(world), world.folder is not None
        common = {
            "method": "seqkd",
            "teacher": oracle,
            "limit": self.teacher_prompts,
            "batch_size": 32,
            "lr_schedule": "cosine",
            "warmup_steps": 20 if is_toy else 0,
            "validate_every": 40,  # whatever that of the students is
            "watch": {"oracle": oracle},
        }
        teacher = {
            "student": f"random:{oracle}" if is_toy else world.teacher,
            "steps": self.teacher_steps,
            "learning_rate": 2e-3 if is_toy else self.learning_rate,
        }
        start = {
            "student": f"random:{world.student}" if is_toy else world.student,
            "steps": self.start_steps,
            "learning_rate": 5e-3 if is_toy else self.learning_rate,
        }
        return {
            "teacher": {"label": "Teacher", "train": {**common, **teacher}},
            "student": {"label": "Start", "train": {**common, **start}},
        }

    def _students(self, world: "AnalysisWorld", repeated: Path) -> list[dict[str, Any]]:
        """A row for each source of responses, all with KL(teacher‖student) at every token."""
        kl = {"method": "seqkd", "kd_ratio": 1.0}
        valid = None if world.data is None else str(world.data / self.train_set / "valid.jsonl")
        more = {
            "train_set": str(repeated),
            "valid_set": valid,
            "limit": self.prompts * self.completions,
        }
        own = {"method": "gkd", "teacher_weight": 0.0, "student_fraction": 1.0}
        return [
            {"label": FIXED, "train": kl},
            {"label": self.more_fixed, "train": {**kl, **more}},
            {"label": FRESH, "train": {**kl, "fresh": True}},
            {"label": STUDENT, "train": own},
        ]

    @property
    def planned_steps(self) -> int:
        """The steps of each student."""
        return self.steps or max(1, self.passes * self.prompts // self.batch_size)

    def _oracle(self, world: "AnalysisWorld") -> str:
        oracle = self.oracle or (world.teacher if world.folder is not None else None)
        if oracle is None:
            raise InputError(
                "oracle= is missing: with models of your own, name the one that stands for truth"
            )
        return oracle

    def _repeated_prompts(self, bench: "AnalysisBench") -> Path:
        """The file of the first prompts, each several times, with an id for each response."""
        self._oracle(bench.world)
        data = bench.world.data
        if data is None:
            raise InputError("data= is missing: the prompts are read from a folder of data sets")
        file = data / self.train_set / "train.jsonl"
        try:
            lines = file.read_text(encoding="utf-8").splitlines()[: self.prompts]
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}") from None
        rows = [json.loads(line) for line in lines]
        ids = [str(row.get("id", place)) for place, row in enumerate(rows)]
        repeated = [
            {**row, "id": f"{name}-{number}"}
            for number in range(self.completions)
            for name, row in zip(ids, rows, strict=True)
        ]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in repeated)
        return bench.keep("repeated-prompts.jsonl", text)
