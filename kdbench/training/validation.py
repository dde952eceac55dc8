"""Validation as the papers do it: the loss, and ROUGE-L of one sampled response per example.

Source: the in-training evaluation of MiniLLM and DistiLLM (finetune.py): the validation set, plain
sampling at temperature 1 with seed 10, no n-gram rule. The loss counts the end token, as the metric
`lm_loss` does. The `lm_loss` that MiniLLM logs does not: 1.292 where ours is 0.936 on the toy data.

Validation chooses a checkpoint. Results come from `kdbench eval` alone.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from kdbench.generate import Row
from kdbench.generate.decoding.generator import Generator
from kdbench.generate.decoding.guard import SoundDecodings
from kdbench.generate.decoding.kinds import Begin
from kdbench.metrics.rouge import rouge_l, rouge_words
from kdbench.protocol import Protocol, postprocess
from kdbench.training.loss import STUDENT, distillation_loss
from kdbench.training.notes import Notes
from kdbench.training.objective import CrossEntropy, Term
from kdbench.training.phases import Phases
from kdbench.training.schedule import ValidationSignals
from kdbench.training.work import Work
from kdbench.views.rollout import Batch, Example, of_dataset
from kdbench.views.view import View, bare_model

if TYPE_CHECKING:
    import torch

SEED = 10


class Validator:
    """Measures a model on the validation set; each process takes its share of the examples.

    Args:
        work: Validation examples, decoding and batch sizes.
        accelerator: Of the run's processes.
        decodings: How each model decodes.
        autocast: The precision of the training.
        phases: Where tokens are counted.
    """

    def __init__(
        self,
        work: Work,
        accelerator: Any,
        decodings: SoundDecodings,
        autocast: Callable[[], AbstractContextManager[None]],
        phases: Phases,
    ):
        self._work, self._accelerator, self._decodings = work, accelerator, decodings
        self._autocast, self._phases = autocast, phases

    def measure(self, view: View, model: Any) -> dict[str, float]:
        """Validate one model, over all processes.

        Args:
            view: The model as a view.
            model: The model itself.

        Returns:
            `loss`, the mean cross-entropy on the references in nats per token, and `rougeL`, the
            mean ROUGE-L of the sampled responses in points; without it if none is sampled.
        """
        import torch

        work, device = self._work, self._accelerator.device
        share = slice(self._accelerator.process_index, None, self._accelerator.num_processes)
        model.eval()
        loss, tokens = loss_sum(view, work.valid[share], work.micro_batch_size, device)
        with self._autocast():
            rouge, responses, generated = rouge_sum(
                model,
                work.tokenizer,
                work.sampled[share],
                work.validation_sampling,
                work.generation_batch_size,
                self._decodings.of(bare_model(model)),
            )
        self._phases.count("validate", tokens + generated)
        sums = torch.tensor([loss, tokens, rouge, responses], device=device)
        loss, tokens, rouge, responses = self._accelerator.reduce(sums, "sum").tolist()
        rouge_l_mean = {"rougeL": rouge / max(responses, 1)} if work.sampled else {}
        return {"loss": loss / max(tokens, 1), **rouge_l_mean}

    def signals(
        self, loss: float, views: Mapping[str, View], domain: str | None
    ) -> ValidationSignals:
        """The losses of several views on the validation set, over all processes.

        Args:
            loss: The student's loss on all of it.
            views: The views to measure.
            domain: The field of examples by whose values the losses are given as well; None gives
                none.
        """
        work, device = self._work, self._accelerator.device
        share = slice(self._accelerator.process_index, None, self._accelerator.num_processes)
        parts: dict[str, list[Example]] = {}
        for example in work.valid[share]:
            value = "" if domain is None else str(example.field(domain))
            parts.setdefault(value, []).append(example)
        by_view, by_domain = {}, {}
        for name, view in views.items():
            notes, whole = Notes(), Notes()
            for value, examples in parts.items():
                total, tokens = loss_sum(view, examples, work.micro_batch_size, device)
                notes.add(value, total, tokens)
                whole.add("", total, tokens)
            by_domain[name], by_view[name] = notes.take_means(), whole.take_means().get("", 0.0)
        return ValidationSignals(loss, by_view, by_domain if domain is not None else {})


def loss_sum(
    view: View, examples: Sequence[Example], rows: int, device: "torch.device | str"
) -> tuple[float, int]:
    """Sum the cross-entropy on the references over all tokens.

    Args:
        view: The model as a view.
        examples: The validation examples; may be empty.
        rows: Rows per forward pass.
        device: Of the tensors.

    Returns:
        The sum in nats, and the number of tokens.
    """
    import torch

    total, tokens = 0.0, 0
    longest_first = sorted(examples, key=lambda row: -len(row.prompt_ids) - len(row.response_ids))
    with torch.no_grad():
        for start in range(0, len(longest_first), rows):
            rollouts = [of_dataset(example) for example in longest_first[start : start + rows]]
            batch = Batch(rollouts, device)
            loss = distillation_loss([Term(CrossEntropy())], batch, {STUDENT: view}, [1])
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
    """Sample a response to each example and sum its ROUGE-L against the best reference.

    Args:
        model: The model that answers.
        tokenizer: Its tokenizer.
        examples: The validation examples; may be empty.
        protocol: Length limits and decoding.
        batch_size: Rows that decode at once; None chooses it.
        begin: How the model decodes.

    Returns:
        The sum in points, the number of responses, and the number of sampled tokens.
    """
    generator = Generator(bare_model(model), tokenizer, protocol, batch_size, begin)
    references = {example.id: example.references for example in examples}
    rows = [Row(example.id, SEED, example.prompt_ids) for example in examples]
    total, tokens = 0.0, 0
    for batch in generator.batches(rows):
        for sample in generator.generate(batch, ()):
            words = rouge_words(postprocess(sample.answer))
            texts = references[sample.document]
            total += 100 * max(rouge_l(rouge_words(text), words) for text in texts)
            tokens += len(sample.tokens)
    return total, len(rows), tokens
