"""kdbench's chunked fidelity pass compared with the plain one that keeps all logits of a batch.

The student is the teacher without a middle block of a third of its layers, and the texts are
Dolly's references. Both sides compute all token metrics in float32. They run in fresh processes, in
turns. `ExtraMemory` defines extra peak memory. `KDBENCH_BENCH_MODEL` and `KDBENCH_DATA` name a real
teacher and real texts.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from benchmarks.device import ExtraMemory, device, gpu, wait
from benchmarks.inputs import data_title, documents_wanted, dolly, model, model_title
from benchmarks.report import BenchmarkRow, Outcome, target
from kdbench.checkpoint import find_checkpoint, load_checkpoint
from kdbench.distillation.pruning import prune
from kdbench.fidelity.forward import Outcome as ScoredText
from kdbench.fidelity.forward import look
from kdbench.fidelity.teachers.live import LiveSight
from kdbench.fidelity.texts import Text, reference_texts
from kdbench.fidelity.wanted import wanted
from kdbench.generate import Prompt
from kdbench.metrics import Positions, TokenMetric
from kdbench.views import Batch, ModelView, batches_by_length

ROUNDS = 3
TOKENS = 128  # maximum, of a prompt and of a reference
TOLERANCE = 1e-5


def run() -> Outcome:
    """Compare time, extra peak memory and values."""
    measured: dict[str, list[dict[str, Any]]] = {"plain": [], "chunked": []}
    for _ in range(ROUNDS):
        for side, rounds in measured.items():
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.fidelity", side],
                check=True,
                capture_output=True,
                text=True,
            )
            rounds.append(json.loads(done.stdout.splitlines()[-1]))
    plain, chunked = measured["plain"], measured["chunked"]
    time_row = _compared("seconds", "time", "s", plain, chunked, at_least=1)
    memory_row = _compared("memory", "extra peak memory", "MiB", plain, chunked, at_least=4)
    difference = max(
        abs(a - b) for a, b in zip(plain[0]["values"], chunked[0]["values"], strict=True)
    )
    texts, positions = plain[0]["texts"], plain[0]["positions"]
    values = BenchmarkRow(
        f"{len(plain[0]['values'])} values of token metrics, {texts} texts, {positions} positions",
        "plain full logits",
        f"largest difference {difference:.1g}",
        target=target(f"≤ {TOLERANCE:g}", difference <= TOLERANCE),
    )
    on = f"{model_title()} against itself without a middle block, {data_title()}, float32"
    return Outcome(on, (time_row, memory_row, values), gpu())


def _compared(
    key: str,
    what: str,
    unit: str,
    plain: list[dict[str, Any]],
    chunked: list[dict[str, Any]],
    at_least: float,
) -> BenchmarkRow:
    theirs, ours = (median(measured[key] for measured in side) for side in (plain, chunked))
    ratios = sorted(a[key] / b[key] for a, b in zip(plain, chunked, strict=True))
    return BenchmarkRow(
        f"forward pass: {what}",
        f"{theirs:.1f} {unit}",
        f"{ours:.1f} {unit}",
        f"{theirs / ours:.2f}",
        f"{ratios[0]:.3g}–{ratios[-1]:.3g}, {len(ratios)} rounds",
        target(f"≥ {at_least:g}", theirs / ours >= at_least),
    )


def measure(side: str) -> dict[str, Any]:
    """Measure one side in this process.

    Args:
        side: `plain` or `chunked`.
    """
    teacher, tokenizer = load_checkpoint(find_checkpoint(str(model())), "float32", device())
    layers = teacher.config.num_hidden_layers
    student = prune(teacher, layers - max(1, layers // 3)).eval()
    documents = dolly(documents_wanted(20))
    prompts = {
        document.id: Prompt(tuple(tokenizer(document.prompt)["input_ids"][:TOKENS]), False)
        for document in documents
    }
    texts = reference_texts(documents, prompts, tokenizer, TOKENS)
    rollouts = [text.rollout for text in texts]
    lengths = [len(rollout.prompt_ids) + len(rollout.response_ids) for rollout in rollouts]
    batches = batches_by_length(texts, lengths)
    score = _chunked if side == "chunked" else _plain
    list(score(batches[-1][-1:], student, teacher, len(tokenizer)))  # warm
    with ExtraMemory() as memory:
        start = time.perf_counter()
        scored = [
            outcome
            for batch in batches
            for outcome in score(batch, student, teacher, len(tokenizer))
        ]
        wait()
        seconds = time.perf_counter() - start
    scored.sort(key=lambda outcome: outcome.text.key)
    return {
        "seconds": seconds,
        "memory": memory.bytes / 2**20,
        "texts": len(texts),
        "positions": sum(len(rollout.response_ids) for rollout in rollouts),
        "values": [mean for outcome in scored for mean in _means(outcome)],
    }


def _means(scored: ScoredText) -> Iterator[float]:
    """The mean of each metric over the tokens of a text."""
    import numpy as np

    for name in sorted(scored.tokens):
        column = scored.tokens[name]
        yield float(np.nanmean(column)) if not np.isnan(column).all() else 0.0
    for name in sorted(scored.pooled):
        yield from (scored.pooled[name] / len(scored.text.rollout.response_ids)).tolist()


def _chunked(
    batch: Sequence[Text], student: Any, teacher: Any, vocabulary: int
) -> Iterator[ScoredText]:
    view = ModelView(teacher, vocabulary)
    yield from look(
        batch,
        ModelView(student, vocabulary),
        lambda read, _: LiveSight(view, read, None),
        wanted(()).at("ref"),
        "ref",
    )


def _plain(
    batch: Sequence[Text], student: Any, teacher: Any, vocabulary: int
) -> Iterator[ScoredText]:
    import numpy as np
    import torch

    read = Batch([text.rollout for text in batch], device())
    ids, rows, columns = read.inputs()
    with torch.inference_mode():
        log_q, log_p = (
            model(input_ids=ids, use_cache=False).logits[..., :vocabulary].float().log_softmax(-1)
            for model in (student, teacher)
        )
        at = Positions(log_p[rows, columns], log_q[rows, columns], read.targets, "ref")
        metrics = wanted(()).at("ref")
        values = {
            metric.name: metric.values(at) if isinstance(metric, TokenMetric) else metric.sums(at)  # type: ignore[attr-defined]
            for metric in metrics
        }
    ends = np.cumsum(read.lengths)[:-1]
    columns_of = {
        name: np.split(column.double().cpu().numpy(), ends) for name, column in values.items()
    }
    for row, text in enumerate(batch):
        of_text = {name: by_text[row] for name, by_text in columns_of.items()}
        tokens = {m.name: of_text[m.name] for m in metrics if isinstance(m, TokenMetric)}
        pooled = {
            name: column.sum(axis=0) for name, column in of_text.items() if name not in tokens
        }
        yield ScoredText(text, tokens, pooled, (0.0, 0.0))


if __name__ == "__main__":
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    print(json.dumps(measure(sys.argv[1])))
