"""The texts that a baseline keeps, so that a later loss can be shown without the base's samples.

Which prompts will lose is not known yet. A loss is at most what a prompt has to lose, so the
prompts with the best scores are kept: the largest losses of a later run are among them.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kdbench.comparing.scores import ComparedRun, TaskScores
from kdbench.comparing.texts import PromptTexts, TextsOfTask, stored_texts
from kdbench.comparing.tolerance import Tolerance, gain_sign
from kdbench.errors import InputError

LIMIT = 500_000
"""Bytes of all texts of a baseline: a file to commit stays small."""


def texts_to_keep(
    run: ComparedRun, tolerances: Mapping[str, Tolerance], count: int
) -> Mapping[str, TextsOfTask]:
    """The texts of the prompts that have most to lose, within `LIMIT` bytes.

    Args:
        run: Stored run.
        tolerances: Tolerances of the gate.
        count: Largest number of prompts of each task.

    Returns:
        Texts by task and document id; a task without stored texts is left out.

    Raises:
        InputError: The samples or prompts of the run are malformed.
    """
    if run.folder is None or not count:
        return {}
    kept: dict[str, dict[str, PromptTexts]] = {}
    candidates: dict[str, list[tuple[str, PromptTexts]]] = {}
    for task, scores in run.tasks.items():
        ids = _by_what_they_can_lose(scores, tolerances)[:count]
        try:
            texts = stored_texts(run.folder, task, ids)
        except InputError as error:
            raise InputError(f"{error}; texts=0 keeps no texts") from None
        candidates[task] = [(id_, texts[id_]) for id_ in ids if id_ in texts and texts[id_].samples]
    room = LIMIT
    most = max(map(len, candidates.values()), default=0)
    for rank in range(most):  # task by task, so that none takes the room of another
        for task, of_task in candidates.items():
            for document, texts_of_prompt in of_task[rank : rank + 1]:
                size = len(json.dumps(texts_record(texts_of_prompt, tolerances)))
                if size <= room:
                    kept.setdefault(task, {})[document] = texts_of_prompt
                    room -= size
    return kept


def _by_what_they_can_lose(scores: TaskScores, tolerances: Mapping[str, Tolerance]) -> list[str]:
    """The ids of the prompts, those with the best scores of any gated metric first."""
    orders = []
    for metric in tolerances:
        if metric in scores.metrics:
            of_metric = scores.metrics[metric]
            gains = gain_sign(metric, of_metric.direction) * of_metric.means
            order = np.argsort(-gains, kind="stable")  # undefined scores come last
            orders.append([scores.ids[row] for row in order if not np.isnan(gains[row])])
    return list(dict.fromkeys(_in_turn(orders)))


def _in_turn(orders: list[list[str]]) -> Iterator[str]:
    for rank in range(max(map(len, orders), default=0)):
        yield from (order[rank] for order in orders if rank < len(order))


def texts_record(texts: PromptTexts, tolerances: Mapping[str, Tolerance]) -> dict[str, Any]:
    """The texts of a prompt as a baseline stores them, with the scores of the gated metrics.

    Args:
        texts: Texts of the prompt.
        tolerances: Tolerances of the gate.
    """
    return {
        "prompt": texts.prompt,
        "references": list(texts.references),
        "responses": {
            str(seed): {
                "output": sample.output,
                "scores": {m: sample.scores[m] for m in tolerances if m in sample.scores},
                **({"choices": dict(sample.choices)} if sample.choices else {}),
            }
            for seed, sample in sorted(texts.samples.items())
        },
    }
