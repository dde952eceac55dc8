"""Samples per second of kdbench's hf backend, lm-eval's `hf` model and a plain loop.

All generate from the first documents of Dolly with five seeds, under the protocol minillm with 64
new tokens, in the dtype of the checkpoint. Models are loaded beforehand; the time is from prompt
text to response text. The peers are:

- lm-eval hf, five passes: one pass per seed, which is how lm-eval gives seeds today.
- lm-eval hf, repeats: all five samples of every prompt in one call, as `repeats: 5` makes them.
- plain generate: the papers' scripts, one pass per seed, every prompt padded on the left to 256.

All sample at temperature 1 without top-k and with the papers' 6-gram rule. Both sides of a row have
the same batch size, and every batch is full. The exception is the papers' batch size of 8, whose
last batch may not be full: it is compared with kdbench at a batch of all documents. lm-eval cuts
long prompts on the left, kdbench on the right. Each mean ROUGE-L must lie in the other's 95 %
interval over prompts.
"""

from collections.abc import Callable, Mapping

from benchmarks.device import device, gpu
from benchmarks.generation_peers import (
    PROTOCOL,
    SEEDS,
    by_pass,
    lm_eval_hf,
    plain_generate,
    together,
)
from benchmarks.inputs import Texts, answer, data_title, documents_wanted, dolly, model, model_title
from benchmarks.quality import agree, rouge_of, with_interval
from benchmarks.report import BenchmarkRow, Outcome, target
from benchmarks.timing import Timed, in_turns
from kdbench.checkpoint import find_checkpoint
from kdbench.generate import Options
from kdbench.generate.hf import HFBackend
from kdbench.stats.estimates import Estimate

ROUNDS = 3
FASTER = 2.5
PAPERS_BATCH = 8


def run() -> Outcome:
    """Time all in turns, and score the texts of the last round."""
    documents = dolly(documents_wanted(12))
    backend = HFBackend(find_checkpoint(str(model())), PROTOCOL, Options(device=device()))
    few, many = len(documents), len(documents) * len(SEEDS)
    passes, repeats = lm_eval_hf(documents, few), lm_eval_hf(documents, many)
    plain = plain_generate(backend.model, documents)
    generators: dict[str, Callable[[], Texts]] = {
        "lm-eval hf, five passes": lambda: by_pass(documents, lambda: passes(1)),
        f"kdbench {few}": lambda: answer(backend, documents, few),
        "lm-eval hf, repeats": lambda: together(documents, repeats(len(SEEDS))),
        f"kdbench {many}": lambda: answer(backend, documents, many),
        "plain generate": lambda: by_pass(documents, lambda: plain(few)),
        "plain generate, papers' batch": lambda: by_pass(documents, lambda: plain(PAPERS_BATCH)),
    }
    texts: dict[str, Texts] = {}

    def storing(name: str) -> Callable[[], None]:
        return lambda: texts.update({name: generators[name]()})

    timed = in_turns({name: storing(name) for name in generators}, ROUNDS)
    scores = {name: rouge_of(documents, generated) for name, generated in texts.items()}
    pairs = (  # peer, its batch size, kdbench's, whether there is a target
        ("lm-eval hf, five passes", few, few, True),
        ("lm-eval hf, repeats", many, many, True),
        ("plain generate", few, few, False),
        ("plain generate, papers' batch", PAPERS_BATCH, few, False),
    )
    speed = [_speed(timed, name, batch, ours, many, aimed) for name, batch, ours, aimed in pairs]
    quality = [_quality(scores, name, f"kdbench {ours}") for name, _, ours, _ in pairs]
    dtype = str(backend.model.dtype).removeprefix("torch.")
    return Outcome(f"{model_title()}, {dtype}, {data_title()}", (*speed, *quality), gpu())


def _speed(
    timed: Timed, peer: str, peer_batch: int, batch: int, samples: int, aimed: bool
) -> BenchmarkRow:
    ours = f"kdbench {batch}"
    ratio = timed.ratio(peer, ours)
    return BenchmarkRow(
        f"samples/s against {peer}, batch {peer_batch}",
        f"{samples / timed.median(peer):.2f}/s",
        f"{samples / timed.median(ours):.2f}/s (batch {batch})",
        f"{ratio:.2f}",
        timed.spread(peer, ours),
        target(f"≥ {FASTER}", ratio >= FASTER) if aimed else "",
    )


def _quality(scores: Mapping[str, Estimate], peer: str, ours: str) -> BenchmarkRow:
    return BenchmarkRow(
        f"ROUGE-L of {peer}",
        with_interval(scores[peer]),
        with_interval(scores[ours]),
        target=target("each mean in the other's interval", agree(scores[peer], scores[ours])),
    )
