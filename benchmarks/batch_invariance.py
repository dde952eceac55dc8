"""Whether a document and a seed give the same text at batch sizes 1, 7 and 32, in float32.

The benchmark generates from the first documents of Dolly with two seeds, under the protocol minillm
with 64 new tokens, and compares each batch size with batch size 1. kdbench promises equal texts on
the CPU only (docs/gpu.md), so there is a target only there.
"""

from benchmarks.device import device, gpu
from benchmarks.inputs import (
    NEW_TOKENS,
    answer,
    data_title,
    documents_wanted,
    dolly,
    model,
    model_title,
)
from benchmarks.report import BenchmarkRow, Outcome, target
from kdbench.checkpoint import find_checkpoint
from kdbench.generate import Options
from kdbench.generate.hf import HFBackend
from kdbench.protocol import get_protocol

BATCHES = (1, 7, 32)


def run() -> Outcome:
    """Compare each batch size with the first."""
    protocol = get_protocol("minillm", {"max_new_tokens": NEW_TOKENS, "seeds": (10, 20)})
    options = Options(dtype="float32", device=device())
    backend = HFBackend(find_checkpoint(str(model())), protocol, options)
    documents = dolly(documents_wanted(20))
    alone, *others = (answer(backend, documents, batch) for batch in BATCHES)
    total = len(documents) * len(protocol.seeds)
    rows = []
    for batch, texts in zip(BATCHES[1:], others, strict=True):
        pairs = [pair for name in alone for pair in zip(alone[name], texts[name], strict=True)]
        equal = sum(text == expected for expected, text in pairs)
        rows.append(
            BenchmarkRow(
                f"equal texts of {total} rows, batch size {batch}",
                f"{total}/{total} (batch size {BATCHES[0]})",
                f"{equal}/{total}",
                target=target("all", equal == total) if device() == "cpu" else "",
            )
        )
    return Outcome(f"{model_title()}, float32, {data_title()}", tuple(rows), gpu())
