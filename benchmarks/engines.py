"""Samples a second and texts of kdbench's vllm backend against its hf backend.

Task: Dolly's first prompts, two seeds, protocol minillm with 64 new tokens, and the same greedily
without the n-gram rule; the checkpoint in float32 and in bfloat16. Model and engine are loaded
before, and timed apart. A round has prompts that no other round has, so that the engine's prefix
cache knows none of them; seeds of one prompt share it. Every sample of hf's round is in one batch.
Both draw from the same noise: texts differ where the arithmetic does, at near-ties.
Needs vLLM (docs/backends.md); run it where that is installed. On a CPU, OMP_NUM_THREADS is hf's
number of threads and VLLM_CPU_OMP_THREADS_BIND the cores of vLLM: give both as many.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.inputs import (
    NEW_TOKENS,
    answer,
    data_title,
    documents_wanted,
    dolly,
    model,
    model_title,
)
from benchmarks.quality import agree, in_words, rouge_of
from benchmarks.report import Outcome, Row, target
from benchmarks.timing import Timed, in_turns
from kdbench.checkpoint import find_checkpoint
from kdbench.generate import Backend, Options
from kdbench.generate.choice import choose_backend
from kdbench.protocol import Protocol, get_protocol
from kdbench.stats.estimates import Estimate
from kdbench.task import Document

ROUNDS = 2
SEEDS = (10, 20)
EQUAL_IN_FLOAT32 = 0.95  # "nearly all" greedy texts
DTYPES = ("float32", "bfloat16")
PROTOCOLS = {
    "sampled": get_protocol("minillm", {"max_new_tokens": NEW_TOKENS, "seeds": SEEDS}),
    "greedy": get_protocol("greedy", {"max_new_tokens": NEW_TOKENS}),
}
Texts = dict[str, list[str]]  # of each document, by seed


def run() -> Outcome:
    """Each precision and protocol: rates, scores, equal texts."""
    import torch
    import vllm

    from kdbench.generate.vllm.engine import device_kind

    documents = dolly(documents_wanted(20) * ROUNDS)
    rows = [
        row
        for dtype in DTYPES
        for word, protocol in PROTOCOLS.items()
        for row in _compare(documents, dtype, word, protocol)
    ]
    where = f"threads: {torch.get_num_threads()}" if device_kind() == "cpu" else device_kind()
    on = f"{model_title()}, {data_title()}, vllm {vllm.__version__}, {where}"
    return Outcome(on, tuple(rows))


def _compare(
    documents: Sequence[Document], dtype: str, word: str, protocol: Protocol
) -> Iterator[Row]:
    size = len(documents) // ROUNDS
    batch = size * len(protocol.seeds)
    loaded, start = {}, {}
    for name in ("hf", "vllm"):
        begun = time.perf_counter()
        loaded[name] = _load(name, dtype, protocol, batch, documents[0])
        start[name] = time.perf_counter() - begun
    texts: dict[str, Texts] = {name: {} for name in loaded}

    def rounds(name: str) -> Callable[[], None]:
        parts = iter([documents[at : at + size] for at in range(0, len(documents), size)])
        return lambda: texts[name].update(answer(loaded[name], next(parts), batch))

    timed = in_turns({name: rounds(name) for name in loaded}, ROUNDS)
    loaded["vllm"].stop()
    title = f"{dtype}, {word}"
    yield _speed(title, timed, batch, start)
    yield _quality(title, {name: rouge_of(documents, each) for name, each in texts.items()})
    yield _equal(title, texts, target_share=EQUAL_IN_FLOAT32 if title == "float32, greedy" else 0)


def _load(name: str, dtype: str, protocol: Protocol, batch: int, first: Document) -> Any:
    """A backend that has answered once."""
    engine = {"enforce_eager": True} if name == "vllm" else {}
    chosen = choose_backend(name, engine)
    options = Options(dtype=dtype, batch_size=batch, engine=engine)
    backend: Backend = chosen.kind(find_checkpoint(str(model())), protocol, options)
    other = Document(
        "warm-up", f"Name a colour. {first.prompt}"[:80], "Name a colour.", ("red",), {}
    )
    answer(backend, [other], batch)
    return backend


def _speed(title: str, timed: Timed, samples: int, start: Mapping[str, float]) -> Row:
    seconds = ", ".join(f"{name} {each:.0f} s" for name, each in start.items())
    return Row(
        f"{title}: samples/s, {samples} at once (start-up and first sample, apart: {seconds})",
        f"{samples / timed.median('hf'):.2f}/s (hf)",
        f"{samples / timed.median('vllm'):.2f}/s (vllm)",
        f"{timed.ratio('hf', 'vllm'):.2f}",
        timed.spread("hf", "vllm"),
    )


def _quality(title: str, scores: Mapping[str, Estimate]) -> Row:
    hf, vllm = scores["hf"], scores["vllm"]
    inside = agree(hf, vllm)
    met = target("inside each other's interval", inside)
    return Row(f"{title}: ROUGE-L", in_words(hf), in_words(vllm), target=met)


def _equal(title: str, texts: Mapping[str, Texts], target_share: float) -> Row:
    pairs = [
        pair
        for document, theirs in texts["hf"].items()
        for pair in zip(theirs, texts["vllm"][document], strict=True)
    ]
    equal = sum(a == b for a, b in pairs)
    met = equal / len(pairs) >= target_share
    aim = target(f"≥ {target_share:.0%}", met) if target_share else ""
    return Row(f"{title}: equal texts", "", f"{equal}/{len(pairs)}", target=aim)
