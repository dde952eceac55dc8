"""`lm_eval --include_path tasks` has the prompts and, for the same texts, the scores of kdbench."""

from pathlib import Path
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

import kdbench
from kdbench.system.files import LinesFile
from kdbench.task import load_tasks
from kdbench.toy.models import World

TASKS = ("dolly", "self_instruct", "vicuna", "super_natural", "unnatural")


class Stored(LM):
    """Answers a prompt with the text that kdbench stored for it."""

    def __init__(self, texts: dict[str, str]):
        super().__init__()
        self.texts = texts

    def generate_until(self, requests: list[Any], **_: Any) -> list[str]:
        return [self.texts[request.args[0]] for request in requests]

    def loglikelihood(self, requests: list[Any], **_: Any) -> list[Any]:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: list[Any], **_: Any) -> list[Any]:
        raise NotImplementedError


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_same_prompts_and_same_rouge(world: World, tmp_path: Path) -> None:
    evaluation = kdbench.evaluate(
        model=str(world.teacher),
        data=world.data,
        seeds=(10,),
        max_new_tokens=32,
        results=tmp_path,
        device="cpu",
    )
    texts = {}
    for task in load_tasks(TASKS, world.data):
        samples = LinesFile(evaluation.run / "samples" / f"{task.name}.jsonl").read()
        by_id = {sample["id"]: sample["output"] for sample in samples}
        texts.update({document.prompt: by_id[document.id] for document in task.documents})
    manager = TaskManager(
        include_path=str(Path(__file__).parents[2] / "tasks"),
        include_defaults=False,
        metadata={"data": str(world.data)},
    )
    outcome = simple_evaluate(
        model=Stored(texts),
        tasks=[f"kd_{task}" for task in TASKS],
        task_manager=manager,
        bootstrap_iters=0,
        log_samples=True,
    )
    for task in TASKS:
        ours = evaluation.results[task]
        theirs = outcome["samples"][f"kd_{task}"]
        assert [sample["doc"]["id"] for sample in theirs] == ours.documents["id"]
        # Stored scores have six decimals.
        assert [round(sample["rougeL"], 6) for sample in theirs] == ours.documents["rougeL"]
        mean = outcome["results"][f"kd_{task}"]["rougeL,none"]
        assert ours.metrics["rougeL"].value == pytest.approx(mean, abs=1e-6)
