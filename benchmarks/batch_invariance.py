"""Whether the text of a (document, seed) is the same at batch sizes 1, 7 and 32, in float32.

The first documents of Dolly, two seeds, protocol minillm with 64 new tokens. Against: the same
backend at batch size 1. Promised for the CPU (docs/gpu.md), so only there it is a target.
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
from benchmarks.report import Outcome, Row, target
from kdbench.checkpoint import find_checkpoint
from kdbench.generate import Options
from kdbench.generate.hf import HFBackend
from kdbench.protocol import get_protocol

BATCHES = (1, 7, 32)


def run() -> Outcome:
    """A row for each batch size but the first."""
    protocol = get_protocol("minillm", {"max_new_tokens": NEW_TOKENS, "seeds": (10, 20)})
    options = Options(dtype="float32", device=device())
    backend = HFBackend(find_checkpoint(str(model())), protocol, options)
    documents = dolly(documents_wanted(20))
    alone, *others = (answer(backend, documents, batch) for batch in BATCHES)
    total = len(documents) * len(protocol.seeds)
    rows = []
    for batch, texts in zip(BATCHES[1:], others, strict=True):
        equal = sum(a == b for one in alone for a, b in zip(alone[one], texts[one], strict=True))
        rows.append(
            Row(
                f"equal texts of {total} rows, batch size {batch}",
                f"{total}/{total} (batch size {BATCHES[0]})",
                f"{equal}/{total}",
                target=target("all", equal == total) if device() == "cpu" else "",
            )
        )
    return Outcome(f"{model_title()}, float32, {data_title()}", tuple(rows), gpu())
