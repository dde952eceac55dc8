"""A small analysis in a file of its own: whether a student of the teacher ends nearer to it."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from kdbench.analyses import Analysis, analyses
from kdbench.analyses.core.bench import AnalysisWorld
from kdbench.analyses.core.filled import FilledRows
from kdbench.stats.over_seeds import difference_over_seeds, mean_over_seeds
from kdbench.store.conclusions import (
    Conclusion,
    ConclusionColumn,
    ConclusionTable,
    Panel,
    PanelCurve,
    Quantity,
)


@analyses.register("teacher_helps")
class TeacherHelps(Analysis, group="Teacher helps"):
    """Whether a student that learns from the teacher's probabilities ends nearer to them.

    Rows are SFT, which sees the responses alone, and a second method.
    """

    title: ClassVar[str] = "Teacher helps"
    question: ClassVar[str] = "Is a distilled student nearer to its teacher?"
    paper: ClassVar[str] = "Hinton et al., 2015"
    basis: ClassVar[str] = "paper"

    method: str = Field("kd", description="Method to compare with SFT")

    def table(self, world: AnalysisWorld) -> Mapping[str, Any]:  # noqa: ARG002
        return {
            "rows": [
                {"label": "SFT", "train": {"method": "sft"}},
                {"label": "second", "train": {"method": self.method}},
            ],
            "train": {"steps": 4, "batch_size": 4, "log_every": 2, "learning_rate": 1e-3},
            "evaluate": {"metrics": ["lm_loss", "fkl"], "limit": 4, "seeds": [10]},
            "tasks": ["dolly"],
        }

    def answer(self, filled: FilledRows) -> Conclusion:
        sft, second = (filled.values(label, "fkl@ref") for label in ("SFT", "second"))
        found = difference_over_seeds(second, sft)
        words = {1: "farther from", 0: "as far from", -1: "nearer to"}
        columns = (
            ConclusionColumn(title="row"),
            ConclusionColumn(title="KL to the teacher", unit="nats"),
            ConclusionColumn(title="difference", unit="nats", signed=True),
        )
        rows = (
            ("SFT", Quantity.of(mean_over_seeds(sft)), None),
            ("second", Quantity.of(mean_over_seeds(second)), Quantity.of(found, p=found.p)),
        )
        curves = []
        for label in ("SFT", "second"):
            losses = filled.curves(label, "loss")
            steps = sorted(next(iter(losses.values())))
            means = [mean_over_seeds({s: losses[s][step] for s in losses}) for step in steps]
            curves.append(
                PanelCurve(label=label, x=tuple(steps), y=tuple(mean.value for mean in means))
            )
        return self.conclude(
            f"The student of {self.method} is {words[found.direction]} its teacher as one of SFT.",
            tables=(ConclusionTable(title="End of training", columns=columns, rows=rows),),
            panels=(
                Panel(
                    title="Training", x_label="step", y_label="loss (nats)", curves=tuple(curves)
                ),
            ),
            notes=("Brackets hold 95 % intervals over training seeds.",),
        )
