"""An engine of rollouts without an engine: a second copy of the student in the same process.

It is registered as `rollout_backend=scripted`, by an import or as a file of `plugins=`.
"""

import math
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from kdbench.errors import InputError
from kdbench.generate.decoding.generator import Generator
from kdbench.training.rollouts import EngineSample, RolloutEngine, engines

EVENTS: list[tuple[str, Any]] = []
"""What the engines were asked for, in order: `start`, `update`, `sample`, `rest` and `close`."""
WEIGHTS: dict[int, dict[str, torch.Tensor]] = {}
"""The weights of each version that was pushed."""


@engines.register("scripted")
class ScriptedEngine(RolloutEngine):
    """The generator of hf on a copy of the student; option `shift` moves its log-probabilities."""

    silent_options = ("silent",)
    facts = "scripted 1"

    def __init__(self, start):
        EVENTS.append(("start", start))
        self._protocol, self._ends = start.protocol, start.ends
        self._shift = float(start.options.get("shift", 0))
        self._model = AutoModelForCausalLM.from_pretrained(start.folder, dtype=start.dtype).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(start.folder)

    @staticmethod
    def check(options):
        for name in set(options) - {"shift", "silent"}:
            raise InputError(f"rollout_backend_options={name}=…: scripted has no such option")

    @staticmethod
    def check_student(config, device):  # noqa: ARG004
        if config.hidden_size % 2:
            raise InputError("rollout_backend=scripted: odd sizes are not supported")

    def update(self, weights, version):
        tensors = load_file(weights)
        EVENTS.append(("update", version))
        WEIGHTS[version] = {name: tensor.clone() for name, tensor in tensors.items()}
        missing, unknown = self._model.load_state_dict(tensors, strict=False)
        assert not unknown
        assert set(missing) <= {"lm_head.weight"}

    def sample(self, rows):
        EVENTS.append(("sample", [(row.document, row.seed) for row in rows]))
        generator = Generator(self._model, self._tokenizer, self._protocol)
        done = {
            (sample.document, sample.seed): sample
            for batch in generator.batches(rows)
            for sample in generator.generate(batch, ())
        }
        return [self._scored(row, done[row.document, row.seed].tokens) for row in rows]

    @torch.no_grad()
    def _scored(self, row, tokens):
        ids = torch.tensor([[*row.prompt_ids, *tokens[:-1]]])
        log_p = self._model(input_ids=ids).logits[0, len(row.prompt_ids) - 1 :].log_softmax(-1)
        own = log_p.gather(-1, torch.tensor(tokens)[:, None])[:, 0].tolist()
        assert all(map(math.isfinite, own))
        return EngineSample(tuple(tokens), tuple(value + self._shift for value in own))

    def rest(self):
        EVENTS.append(("rest", None))

    def close(self):
        EVENTS.append(("close", None))
