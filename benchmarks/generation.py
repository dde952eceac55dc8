"""Samples a second of kdbench's hf backend against lm-eval's `hf` model and a plain loop.

Task: the first documents of Dolly, five seeds, protocol minillm with 64 new tokens, in the
checkpoint's own dtype. Models are loaded before; from prompt text to response text is timed.
- lm-eval hf, five passes: one pass a seed, as one gets seeds from lm-eval today.
- lm-eval hf, repeats: all five samples of every prompt in one call, as `repeats: 5` makes them.
- plain generate: the papers' scripts, a pass a seed, every prompt padded on the left to 256.
All sample at temperature 1 without top-k and with the papers' 6-gram rule. The batch is that of the
row on both sides, and every batch is full; but the papers' 8, whose last batch may not be, stands
beside kdbench at the number of documents. lm-eval cuts a longer prompt on the left instead of the
right. Mean ROUGE-L must be inside the other's 95 % interval over prompts, both ways.
"""

from collections.abc import Callable, Mapping

from benchmarks.device import device, gpu
from benchmarks.generation_peers import (
    PROTOCOL,
    SEEDS,
    Texts,
    by_pass,
    lm_eval_hf,
    plain_generate,
    together,
)
from benchmarks.inputs import answer, data_title, documents_wanted, dolly, model, model_title
from benchmarks.quality import agree, in_words, rouge_of
from benchmarks.report import Outcome, Row, target
from benchmarks.timing import Timed, in_turns
from kdbench.checkpoint import find_checkpoint
from kdbench.generate import Options
from kdbench.generate.hf import HFBackend
from kdbench.stats.estimates import Estimate

ROUNDS = 3
FASTER = 2.5
PAPERS_BATCH = 8


def run() -> Outcome:
    """All in turns; the texts of the last round are scored."""
    documents = dolly(documents_wanted(12))
    backend = HFBackend(find_checkpoint(str(model())), PROTOCOL, Options(device=device()))
    few, many = len(documents), len(documents) * len(SEEDS)
    passes, repeats = lm_eval_hf(documents, few), lm_eval_hf(documents, many)
    plain = plain_generate(backend.model, documents)
    makers: dict[str, Callable[[], Texts]] = {
        "lm-eval hf, five passes": lambda: by_pass(documents, lambda: passes(1)),
        f"kdbench {few}": lambda: answer(backend, documents, few),
        "lm-eval hf, repeats": lambda: together(documents, repeats(len(SEEDS))),
        f"kdbench {many}": lambda: answer(backend, documents, many),
        "plain generate": lambda: by_pass(documents, lambda: plain(few)),
        "plain generate, papers' batch": lambda: by_pass(documents, lambda: plain(PAPERS_BATCH)),
    }
    texts: dict[str, Texts] = {}

    def keeping(name: str) -> Callable[[], None]:
        return lambda: texts.update({name: makers[name]()})

    timed = in_turns({name: keeping(name) for name in makers}, ROUNDS)
    scores = {name: rouge_of(documents, each) for name, each in texts.items()}
    pairs = (
        ("lm-eval hf, five passes", few, few, True),
        ("lm-eval hf, repeats", many, many, True),
        ("plain generate", few, few, False),
        ("plain generate, papers' batch", PAPERS_BATCH, few, False),
    )
    speed = [_speed(timed, name, batch, mine, many, aim) for name, batch, mine, aim in pairs]
    quality = [_quality(scores, name, f"kdbench {mine}") for name, _, mine, _ in pairs]
    kind = str(backend.model.dtype).removeprefix("torch.")
    return Outcome(f"{model_title()}, {kind}, {data_title()}", (*speed, *quality), gpu())


def _speed(timed: Timed, name: str, batch: int, mine: int, samples: int, aim: bool) -> Row:
    ours = f"kdbench {mine}"
    ratio = timed.ratio(name, ours)
    return Row(
        f"samples/s against {name}, batch {batch}",
        f"{samples / timed.median(name):.2f}/s",
        f"{samples / timed.median(ours):.2f}/s (batch {mine})",
        f"{ratio:.2f}",
        timed.spread(name, ours),
        target(f"≥ {FASTER}", ratio >= FASTER) if aim else "",
    )


def _quality(scores: Mapping[str, Estimate], name: str, ours: str) -> Row:
    a, b = scores[name], scores[ours]
    inside = agree(a, b)
    met = target("each mean in the other's interval", inside)
    return Row(f"ROUGE-L of {name}", in_words(a), in_words(b), target=met)
