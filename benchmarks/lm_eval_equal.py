"""lm-eval and kdbench give the same texts the same scores.

kdbench generates responses of the toy student to the first documents of the five tasks. lm-eval
then runs `kd_dolly` and the other exported tasks with a model that returns the stored texts, so its
scores come from the tasks' own `process_results`, which uses the `rouge-score` package. The
benchmark compares the prompts, the ROUGE-L of each document to the last bit, and the stored scores
and means at their six decimals.
"""

import logging
import tempfile
from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kdbench
from benchmarks.inputs import NEW_TOKENS, data, data_title, world
from benchmarks.report import BenchmarkRow, Outcome, target
from kdbench.config import FIVE
from kdbench.metrics import Answer
from kdbench.metrics.rouge import RougeL
from kdbench.protocol import postprocess
from kdbench.store.folder import RunFolder
from kdbench.system.bundled import bundled
from kdbench.task import Task, load_tasks

DOCUMENTS = 20
SEED = 10


def run() -> Outcome:
    """Compare the scores of each task."""
    with tempfile.TemporaryDirectory() as folder:
        evaluation = kdbench.evaluate(
            model=str(world().student),
            data=data(),
            limit=DOCUMENTS,
            seeds=[SEED],
            max_new_tokens=NEW_TOKENS,
            metrics=["rougeL"],
            results=Path(folder),
            device="cpu",
        )
        stored = RunFolder(evaluation.run)
        rows = [_row(task, stored) for task in load_tasks(FIVE, data(), DOCUMENTS)]
    return Outcome(f"toy student, {data_title()}", tuple(rows))


def _row(task: Task, stored: RunFolder) -> BenchmarkRow:
    records = {record["id"]: record for record in stored.lines(task.name).read()}
    texts = [records[document.id]["output"] for document in task.documents]
    outcome = _lm_eval(task, texts)
    samples = sorted(outcome["samples"][f"kd_{task.name}"], key=lambda sample: sample["doc_id"])
    theirs = [sample["rougeL"] for sample in samples]
    prompts = [sample["arguments"][0][0] for sample in samples]
    metric = RougeL()
    ours = [
        metric.score(Answer(postprocess(text), document.references))
        for text, document in zip(texts, task.documents, strict=True)
    ]
    result = stored.read_task(task.name)
    assert result is not None
    mean = outcome["results"][f"kd_{task.name}"]["rougeL,none"]
    value = result.metrics["rougeL"].per_seed[str(SEED)]
    assert value is not None
    differences = [
        max(abs(a - b) for a, b in zip(theirs, ours, strict=True)),
        max(
            abs(round(score, 6) - records[document.id]["scores"]["rougeL"])
            for score, document in zip(theirs, task.documents, strict=True)
        ),
        abs(round(mean, 6) - value),
    ]
    same = sum(a == b.prompt for a, b in zip(prompts, task.documents, strict=True))
    shown = ", ".join(f"{difference:g}" for difference in differences)
    return BenchmarkRow(
        f"{task.name}: {len(ours)} documents",
        f"mean {mean:.6f} (lm-eval)",
        f"mean {value:.6f}",
        f"differences {shown} (documents, stored, mean); equal prompts {same}/{len(prompts)}",
        target=target("0, all equal", not any(differences) and same == len(task.documents)),
    )


def _lm_eval(task: Task, texts: Sequence[str]) -> dict[str, Any]:
    """lm-eval's results and samples for a model that returns these texts."""
    import lm_eval
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    by_prompt: dict[str, deque[str]] = defaultdict(deque)  # a prompt can occur twice
    for document, text in zip(task.documents, texts, strict=True):
        by_prompt[document.prompt].append(text)

    class Stored(LM):  # type: ignore[misc]
        """A model that returns the stored texts, by prompt."""

        def generate_until(self, requests: list[Any], **_: Any) -> list[str]:
            return [by_prompt[request.args[0]].popleft() for request in requests]

        def loglikelihood(self, requests: list[Any], **_: Any) -> list[tuple[float, bool]]:
            raise NotImplementedError

        def loglikelihood_rolling(self, requests: list[Any], **_: Any) -> list[float]:
            raise NotImplementedError

    manager = TaskManager(
        include_path=str(bundled("tasks")), include_defaults=False, metadata={"data": str(data())}
    )
    outcome = lm_eval.simple_evaluate(
        model=Stored(),
        tasks=[f"kd_{task.name}"],
        task_manager=manager,
        limit=len(texts),
        bootstrap_iters=0,
    )
    return dict(outcome)
