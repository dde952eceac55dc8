"""kdbench's vllm backend compared with its hf backend: samples per second, scores, equal texts.

Both generate from the first prompts of Dolly, in float32 and in bfloat16: with two seeds under the
protocol minillm with 64 new tokens, and greedily without the n-gram rule. Loading is timed
separately. No two rounds share a prompt, so the engine's prefix cache helps only between seeds of
the same prompt. All samples of a round of hf are in one batch. Both backends use the same noise, so
texts differ only where differences in arithmetic decide a near-tie.

The benchmark needs vLLM (docs/backends.md). On a CPU, OMP_NUM_THREADS sets the threads of hf and
VLLM_CPU_OMP_THREADS_BIND the cores of vLLM; give both the same number.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.inputs import (
    NEW_TOKENS,
    Texts,
    answer,
    data_title,
    documents_wanted,
    dolly,
    model,
    model_title,
)
from benchmarks.quality import agree, rouge_of, with_interval
from benchmarks.report import BenchmarkRow, Outcome, target
from benchmarks.timing import Timed, in_turns
from kdbench.checkpoint import find_checkpoint
from kdbench.generate import Backend, Options
from kdbench.generate.choice import choose_backend
from kdbench.protocol import Protocol, get_protocol
from kdbench.stats.estimates import Estimate
from kdbench.task import Document

ROUNDS = 2
SEEDS = (10, 20)
EQUAL_IN_FLOAT32 = 0.95  # minimum share of equal greedy texts
DTYPES = ("float32", "bfloat16")
PROTOCOLS = {
    "sampled": get_protocol("minillm", {"max_new_tokens": NEW_TOKENS, "seeds": SEEDS}),
    "greedy": get_protocol("greedy", {"max_new_tokens": NEW_TOKENS}),
}


def run() -> Outcome:
    """Measure rates, scores and equal texts for each precision and protocol."""
    import torch
    import vllm

    from kdbench.generate.vllm.engine import device_kind

    documents = dolly(documents_wanted(20) * ROUNDS)
    rows = [
        row
        for dtype in DTYPES
        for name, protocol in PROTOCOLS.items()
        for row in _compare(documents, dtype, name, protocol)
    ]
    where = f"threads: {torch.get_num_threads()}" if device_kind() == "cpu" else device_kind()
    on = f"{model_title()}, {data_title()}, vllm {vllm.__version__}, {where}"
    return Outcome(on, tuple(rows))


def _compare(
    documents: Sequence[Document], dtype: str, title: str, protocol: Protocol
) -> Iterator[BenchmarkRow]:
    size = len(documents) // ROUNDS
    batch = size * len(protocol.seeds)
    loaded, start = {}, {}
    for name in ("hf", "vllm"):
        began = time.perf_counter()
        loaded[name] = _load(name, dtype, protocol, batch, documents[0])
        start[name] = time.perf_counter() - began
    texts: dict[str, Texts] = {name: {} for name in loaded}

    def rounds(name: str) -> Callable[[], None]:
        starts = range(0, len(documents), size)
        chunks = iter([documents[first : first + size] for first in starts])
        return lambda: texts[name].update(answer(loaded[name], next(chunks), batch))

    timed = in_turns({name: rounds(name) for name in loaded}, ROUNDS)
    loaded["vllm"].stop()
    title = f"{dtype}, {title}"
    yield _speed(title, timed, batch, start)
    yield _quality(
        title, {name: rouge_of(documents, of_backend) for name, of_backend in texts.items()}
    )
    yield _equal(title, texts, target_share=EQUAL_IN_FLOAT32 if title == "float32, greedy" else 0)


def _load(name: str, dtype: str, protocol: Protocol, batch: int, first: Document) -> Any:
    """Load a backend and generate once with it."""
    engine = {"enforce_eager": True} if name == "vllm" else {}
    chosen = choose_backend(name, engine)
    options = Options(dtype=dtype, batch_size=batch, engine=engine)
    backend: Backend = chosen.kind(find_checkpoint(str(model())), protocol, options)
    warm_up = Document(
        "warm-up", f"Name a colour. {first.prompt}"[:80], "Name a colour.", ("red",), {}
    )
    answer(backend, [warm_up], batch)
    return backend


def _speed(title: str, timed: Timed, samples: int, start: Mapping[str, float]) -> BenchmarkRow:
    seconds = ", ".join(f"{name} {duration:.0f} s" for name, duration in start.items())
    return BenchmarkRow(
        f"{title}: samples/s, {samples} at once (excluding start-up and first sample: {seconds})",
        f"{samples / timed.median('hf'):.2f}/s (hf)",
        f"{samples / timed.median('vllm'):.2f}/s (vllm)",
        f"{timed.ratio('hf', 'vllm'):.2f}",
        timed.spread("hf", "vllm"),
    )


def _quality(title: str, scores: Mapping[str, Estimate]) -> BenchmarkRow:
    hf, vllm = scores["hf"], scores["vllm"]
    return BenchmarkRow(
        f"{title}: ROUGE-L",
        with_interval(hf),
        with_interval(vllm),
        target=target("each mean in the other's interval", agree(hf, vllm)),
    )


def _equal(title: str, texts: Mapping[str, Texts], target_share: float) -> BenchmarkRow:
    pairs = [
        pair
        for document, theirs in texts["hf"].items()
        for pair in zip(theirs, texts["vllm"][document], strict=True)
    ]
    equal = sum(of_hf == of_vllm for of_hf, of_vllm in pairs)
    met = equal / len(pairs) >= target_share
    aim = target(f"≥ {target_share:.0%}", met) if target_share else ""
    return BenchmarkRow(f"{title}: equal texts", "", f"{equal}/{len(pairs)}", target=aim)
