"""Validation as the papers do it: the loss, and ROUGE-L of sampled responses with one seed.

Source: the in-training evaluation of MiniLLM and DistiLLM (finetune.py): validation rows, plain
sampling at temperature 1 with seed 10, no n-gram rule. It is for choosing a checkpoint; results
come from `kdbench eval` alone.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kdbench.generate import Row
from kdbench.generate.decoding.generator import Generator
from kdbench.generate.decoding.kinds import Begin
from kdbench.metrics.rouge import rouge_l, rouge_words
from kdbench.protocol import Protocol, postprocess
from kdbench.training.loss import STUDENT, distillation_loss
from kdbench.training.objective import CrossEntropy, Term
from kdbench.views.rollout import Batch, Example, of_dataset
from kdbench.views.view import ModelView, bare_model

if TYPE_CHECKING:
    import torch

SEED = 10


def loss_sum(
    view: ModelView, examples: Sequence[Example], rows: int, device: "torch.device | str"
) -> tuple[float, int]:
    """Cross-entropy on the references, summed over tokens, and the number of tokens."""
    import torch

    total, tokens = 0.0, 0
    ordered = sorted(examples, key=lambda one: -len(one.prompt_ids) - len(one.response_ids))
    with torch.no_grad():
        for start in range(0, len(ordered), rows):
            batch = Batch([of_dataset(one) for one in ordered[start : start + rows]], device)
            loss = distillation_loss([Term(CrossEntropy())], batch, {STUDENT: view}, {"dataset": 1})
            total += float(loss.value)
            tokens += len(batch.targets)
    return total, tokens


def rouge_sum(
    model: Any,
    tokenizer: Any,
    examples: Sequence[Example],
    protocol: Protocol,
    batch_size: int | None,
    begin: Begin,
) -> tuple[float, int, int]:
    """ROUGE-L in points summed over sampled responses, their number, and their tokens."""
    generator = Generator(bare_model(model), tokenizer, protocol, batch_size, begin)
    by_id = {one.id: one for one in examples}
    rows = [Row(one.id, SEED, one.prompt_ids) for one in examples]
    total, tokens = 0.0, 0
    for batch in generator.batches(rows):
        for sample in generator.generate(batch, ()):
            words = rouge_words(postprocess(sample.output))
            references = by_id[sample.document].references
            total += 100 * max(rouge_l(rouge_words(text), words) for text in references)
            tokens += len(sample.tokens)
    return total, len(rows), tokens
