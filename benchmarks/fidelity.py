"""The fidelity pass against the plain computation: all logits of a batch, then the same metrics.

The student is the teacher without a middle block (a third of its layers), the texts are Dolly's
references, all token metrics are measured, in float32. Each side runs in fresh processes, in turns;
extra peak memory is that of `ExtraMemory`.
`KDBENCH_BENCH_MODEL` and `KDBENCH_DATA` name a real teacher and real texts.
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
from benchmarks.report import Outcome, Row, target
from kdbench.checkpoint import find_checkpoint, load_checkpoint
from kdbench.distillation.pruning import prune
from kdbench.fidelity.forward import TextScores, compare_batch
from kdbench.fidelity.teachers.live import LiveScores
from kdbench.fidelity.texts import ComparedText, reference_texts
from kdbench.fidelity.wanted import wanted_metrics
from kdbench.generate import Prompt
from kdbench.metrics import Positions, TokenMetric
from kdbench.views import Batch, ModelView, batches_by_length

ROUNDS = 3
TOKENS = 128  # of a prompt and of a reference, at most
TOLERANCE = 1e-5


def run() -> Outcome:
    """Time, extra peak memory and equality."""
    sides: dict[str, list[dict[str, Any]]] = {"plain": [], "chunked": []}
    for _ in range(ROUNDS):
        for side, found in sides.items():
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.fidelity", side],
                check=True,
                capture_output=True,
                text=True,
            )
            found.append(json.loads(done.stdout.splitlines()[-1]))
    plain, ours = sides["plain"], sides["chunked"]
    time_row = _compared("seconds", "time", "s", plain, ours, ("≥ 1", lambda ratio: ratio >= 1))
    memory_row = _compared(
        "memory", "extra peak memory", "MiB", plain, ours, ("≥ 4", lambda ratio: ratio >= 4)
    )
    off = max(abs(a - b) for a, b in zip(plain[0]["values"], ours[0]["values"], strict=True))
    texts, positions = plain[0]["texts"], plain[0]["positions"]
    values = Row(
        f"{len(plain[0]['values'])} values of token metrics, {texts} texts, {positions} positions",
        "plain full logits",
        f"greatest difference {off:.1g}",
        target=target(f"≤ {TOLERANCE:g}", off <= TOLERANCE),
    )
    on = f"{model_title()} against itself without a middle block, {data_title()}, float32"
    return Outcome(on, (time_row, memory_row, values), gpu())


def _compared(
    key: str,
    what: str,
    unit: str,
    plain: list[dict[str, Any]],
    ours: list[dict[str, Any]],
    wanted_ratio: Any,
) -> Row:
    theirs, mine = (median(one[key] for one in side) for side in (plain, ours))
    ratios = sorted(a[key] / b[key] for a, b in zip(plain, ours, strict=True))
    words, met = wanted_ratio
    return Row(
        f"the pass: {what}",
        f"{theirs:.1f} {unit}",
        f"{mine:.1f} {unit}",
        f"{theirs / mine:.2f}",
        f"{ratios[0]:.3g}–{ratios[-1]:.3g}, {len(ratios)} rounds",
        target(words, met(theirs / mine)),
    )


def measure(side: str) -> dict[str, Any]:
    """One side, in this process."""
    teacher, tokenizer = load_checkpoint(find_checkpoint(str(model())), "float32", device())
    layers = teacher.config.num_hidden_layers
    student = prune(teacher, layers - max(1, layers // 3)).eval()
    documents = dolly(documents_wanted(20))
    prompts = {
        one.id: Prompt(tuple(tokenizer(one.prompt)["input_ids"][:TOKENS]), False)
        for one in documents
    }
    texts = reference_texts(documents, prompts, tokenizer, TOKENS)
    lengths = [len(one.rollout.prompt_ids) + len(one.rollout.response_ids) for one in texts]
    batches = batches_by_length(texts, lengths)
    score = _chunked if side == "chunked" else _plain
    list(score(batches[-1][-1:], student, teacher, len(tokenizer)))  # warm
    with ExtraMemory() as memory:
        start = time.perf_counter()
        found = [one for batch in batches for one in score(batch, student, teacher, len(tokenizer))]
        wait()
        seconds = time.perf_counter() - start
    found.sort(key=lambda one: one.text.key)
    return {
        "seconds": seconds,
        "memory": memory.bytes / 2**20,
        "texts": len(texts),
        "positions": sum(len(one.text.rollout.response_ids) for one in found),
        "values": [float(v) for one in found for v in _means(one)],
    }


def _means(one: TextScores) -> Iterator[float]:
    import numpy as np

    for name in sorted(one.tokens):
        column = one.tokens[name]
        yield float(np.nanmean(column)) if not np.isnan(column).all() else 0.0
    for name in sorted(one.pooled):
        yield from (one.pooled[name] / len(one.text.rollout.response_ids)).tolist()


def _chunked(
    batch: Sequence[ComparedText], student: Any, teacher: Any, vocabulary: int
) -> Iterator[TextScores]:
    view = ModelView(teacher, vocabulary)
    yield from compare_batch(
        batch,
        ModelView(student, vocabulary),
        lambda read, _: LiveScores(view, read, None),
        wanted_metrics(("all",)).at("ref"),
        "ref",
    )


def _plain(
    batch: Sequence[ComparedText], student: Any, teacher: Any, vocabulary: int
) -> Iterator[TextScores]:
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
        metrics = wanted_metrics(("all",)).at("ref")
        values = {
            metric.name: metric.values(at) if isinstance(metric, TokenMetric) else metric.sums(at)  # type: ignore[attr-defined]
            for metric in metrics
        }
    ends = np.cumsum(read.lengths)[:-1]
    columns_of = {name: np.split(one.double().cpu().numpy(), ends) for name, one in values.items()}
    for row, text in enumerate(batch):
        mine = {name: parts[row] for name, parts in columns_of.items()}
        tokens = {m.name: mine[m.name] for m in metrics if isinstance(m, TokenMetric)}
        pooled = {name: one.sum(axis=0) for name, one in mine.items() if name not in tokens}
        yield TextScores(text, tokens, pooled, (0.0, 0.0))


if __name__ == "__main__":
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    print(json.dumps(measure(sys.argv[1])))
