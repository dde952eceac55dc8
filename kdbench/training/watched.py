"""Models that are watched: how far the student is from each, at every validation.

The distance is the forward KL of whole responses, KL(p‖q) = E_{y~p} Σ_t KL(p_t‖q_t), per token of
y: it is averaged over responses that the watched model p itself has sampled to the validation
prompts, once, at temperature 1, and the sum over the vocabulary at each token is exact. So its
noise is that of the prompts and of one response to each, which all validations share.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from kdbench.divergence import forward_kl
from kdbench.errors import InputError
from kdbench.generate import Row
from kdbench.generate.decoding.generator import Generator
from kdbench.generate.decoding.guard import SoundDecodings
from kdbench.training.companions.models import load_model, view_of
from kdbench.training.context import Context
from kdbench.training.loss import STUDENT, distillation_loss
from kdbench.training.objective import Match, Term
from kdbench.training.phases import Phases
from kdbench.training.work import Work
from kdbench.views.rollout import Batch, Rollout
from kdbench.views.view import ModelView, View

_SEED = 10


class WatchedModel:
    """A model with its own responses to the validation prompts.

    Attributes:
        view: The model as a view.
        rollouts: Its responses.
    """

    def __init__(self, view: ModelView, rollouts: list[Rollout]):
        self.view, self.rollouts = view, rollouts


class Watch:
    """Measures how far the student is from some models; each process takes its share of prompts.

    Args:
        models: Checkpoint of each, by name; None is the run's own teacher.
        context: Of the run.
        work: Validation examples, decoding and batch sizes.
        accelerator: Of the run's processes.
        decodings: How each model decodes.
        phases: Where tokens are counted.
        autocast: The precision of the training.

    Raises:
        InputError: A model does not exist, has another tokenizer, or is a teacher that is not in
            memory.
    """

    def __init__(
        self,
        models: Mapping[str, Path | None],
        context: Context,
        work: Work,
        accelerator: Any,
        decodings: SoundDecodings,
        phases: Phases,
        autocast: Callable[[], AbstractContextManager[None]],
    ):
        self._work, self._accelerator, self._phases = work, accelerator, phases
        self._decodings, self._autocast = decodings, autocast
        self._models = {name: self._watched(path, context) for name, path in models.items()}

    def _watched(self, path: Path | None, context: Context) -> WatchedModel:
        model = context.teacher if path is None else load_model(path, "watch", context)
        if model is None:
            raise InputError(
                "watch=…=teacher: the scores of this run's teacher are cached; name its checkpoint"
            )
        if path is not None:
            model.requires_grad_(False)
        view = view_of(model, context)
        return WatchedModel(view, self._responses(model))

    def _responses(self, model: Any) -> list[Rollout]:
        """One response of a model to each validation prompt of this process."""
        work, process = self._work, self._accelerator.process_index
        examples = work.valid[process :: self._accelerator.num_processes]
        generator = Generator(
            model,
            work.tokenizer,
            work.validation_sampling,
            work.generation_batch_size,
            self._decodings.of(model),
        )
        by_id = {example.id: example for example in examples}
        rollouts = []
        with self._autocast():
            for batch in generator.batches([Row(e.id, _SEED, e.prompt_ids) for e in examples]):
                for sample in generator.generate(batch, ()):
                    prompt = by_id[sample.document].prompt_ids
                    rollouts.append(Rollout(sample.document, prompt, (), "watched"))
                    rollouts[-1] = rollouts[-1].answered(sample.tokens)
        rollouts = [rollout for rollout in rollouts if rollout.response_ids]
        self._phases.count("validate", sum(len(one.response_ids) for one in rollouts))
        return sorted(rollouts, key=lambda one: (-len(one.prompt_ids + one.response_ids), one.id))

    def measure(self, student: View) -> dict[str, float]:
        """The mean KL(p‖q) per token of each model, as `kl_NAME`, over all processes.

        Args:
            student: The student's view, in evaluation mode.
        """
        import torch

        means = {}
        for name, watched in self._models.items():
            total, tokens = self._sum(watched, student)
            sums = torch.tensor([total, tokens], device=self._accelerator.device)
            total, tokens = self._accelerator.reduce(sums, "sum").tolist()
            means[f"kl_{name}"] = total / max(tokens, 1)
        return means

    def _sum(self, watched: WatchedModel, student: View) -> tuple[float, int]:
        """The sum over the tokens of this process, in nats, and their number."""
        import torch

        total, tokens, rows = 0.0, 0, self._work.micro_batch_size
        views: dict[str, View] = {STUDENT: student, "watched": watched.view}
        terms = [Term(Match(forward_kl, view="watched"))]
        with torch.no_grad():
            for start in range(0, len(watched.rollouts), rows):
                batch = Batch(watched.rollouts[start : start + rows], self._accelerator.device)
                total += float(distillation_loss(terms, batch, views, [1]).value)
                tokens += len(batch.targets)
        self._phases.count("validate", tokens)
        return total, tokens
