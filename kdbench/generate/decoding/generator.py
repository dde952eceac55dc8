"""Generation with a loaded model.

The forward pass and the logits warpers are those of transformers. The loop is kdbench's, for what
`model.generate` does not do: noise that belongs to a row (`noise`), one prefill for all seeds of a
prompt, continuous batching (`placed`) and an incremental n-gram rule.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.generate import Prompt, Row, Sample
from kdbench.generate.decoding.guard import guarded
from kdbench.generate.decoding.kinds import Begin
from kdbench.generate.decoding.memory import rows_that_fit
from kdbench.generate.prompts import check_fits, encode_prompt, end_tokens
from kdbench.generate.row.choosing import choose
from kdbench.generate.row.response import Response
from kdbench.generate.thinking import find_marks
from kdbench.protocol import Protocol
from kdbench.views.chat import ChatMessage
from kdbench.views.tokenizers import vocabulary_size

if TYPE_CHECKING:
    import torch

# Batches of rows in one queue. In low precision a text can depend on the batch composition, so a
# resume generates whole queues again: a long queue wastes less at its end, and more after a crash.
_QUEUED = 4


class Generator:
    """Generates with a loaded model under one protocol.

    Args:
        model: transformers model in evaluation mode.
        tokenizer: Tokenizer of the model.
        protocol: Protocol with the lengths and decoding settings.
        batch_size: Number of rows that decode together; None chooses it from the free memory.
        begin: How a batch decodes, such as a mixture with a teacher; None is the model alone,
            in the fastest way that `guard` finds correct, with weights that stay as they are.

    Raises:
        InputError: No way of decoding agrees with the model's plain forward pass.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        protocol: Protocol,
        batch_size: int | None = None,
        begin: Begin | None = None,
    ):
        self.model, self.tokenizer, self.protocol = model, tokenizer, protocol
        self.batch_size = batch_size
        self._begin = begin or guarded(model, vocabulary_size(tokenizer), frozen=True)
        self._eos = end_tokens(model, tokenizer)
        self._marks = find_marks(tokenizer, protocol)

    def encode(self, prompt: str, message: ChatMessage) -> Prompt:
        """Encode a document and keep its first `max_prompt_tokens` tokens.

        Raises:
            InputError: The prompt has no tokens, or prompt and response are too long.
        """
        encoded = encode_prompt(self.tokenizer, self.protocol, prompt, message)
        positions = getattr(self.model.config, "max_position_embeddings", None)
        tokens = self.model.get_input_embeddings().num_embeddings
        check_fits(encoded, self.protocol, tokens, positions)
        return encoded

    def batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Yield queues of rows, the longest prompts first, so that a lack of memory shows early."""
        ordered = sorted(rows, key=lambda row: -len(row.prompt_ids))
        if self.batch_size is None and ordered:
            length = len(ordered[0].prompt_ids) + self.protocol.max_new_tokens
            self.batch_size = rows_that_fit(self.model, length)
        start = 0
        while start < len(ordered):  # `generate` may lower the batch size
            batch = ordered[start : start + _QUEUED * (self.batch_size or 1)]
            start += len(batch)
            yield batch

    def generate(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        """Yield the samples of one queue; if memory runs out, continue with half the batch size.

        Raises:
            InputError: Logits are not finite.
        """
        from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

        done = set()
        try:
            for sample in self._decode(rows, until):
                done.add((sample.document, sample.seed))
                yield sample
        except RuntimeError as error:
            if self._places(rows) == 1 or not should_reduce_batch_size(error):
                raise
        # Outside of the handler, whose traceback keeps the batch's tensors alive.
        rest = [row for row in rows if (row.document, row.seed) not in done]
        if rest:
            clear_device_cache(garbage_collection=True)
            self.batch_size = self._places(rows) // 2
            yield from self.generate(rest, until)

    def _places(self, rows: Sequence[Row]) -> int:
        return min(self.batch_size or len(rows), len(rows))

    def _decode(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        import torch

        from kdbench.generate.decoding.loop import Loop

        places, room = self._places(rows), self.protocol.max_new_tokens
        while rows:
            queue = [
                Response(row, self.protocol, self.tokenizer, self._eos, until, self._marks)
                for row in rows
            ]
            with torch.inference_mode():  # left while the caller has a sample
                decoding = self._begin([row.prompt_ids for row in rows], places, room)
                loop = Loop(queue, decoding, self._noise_keys(rows))
            running = True
            while running:
                with torch.inference_mode():
                    tokens = self._choose(decoding.logits, loop.live, loop.keys())
                yield from loop.take(tokens)
                running = loop.advance(tokens)
            rows = rows[loop.begun :]

    def _noise_keys(self, rows: Sequence[Row]) -> "torch.Tensor":
        """Return the keys of every step of each row, int32 of shape (rows, steps, 2)."""
        import numpy as np
        import torch

        from kdbench.generate.row.noise import step_keys

        steps = self.protocol.max_new_tokens
        keys = [step_keys(row.seed, row.document, steps) for row in rows]
        return torch.from_numpy(np.stack(keys))

    def _choose(
        self, logits: "torch.Tensor", live: Sequence[Response], keys: "torch.Tensor"
    ) -> "torch.Tensor":
        """Return the next token of each row, int64."""
        import torch

        banned = [(row, token) for row, response in enumerate(live) for token in response.banned()]
        best, tokens = choose(logits, self.protocol, banned, keys)
        if not torch.isfinite(best).all():
            row = int((~torch.isfinite(best)).nonzero()[0])
            raise InputError(
                f"the logits of document '{live[row].row.document}' are not finite: the weights "
                "are broken, or too large for dtype=float16 (try bfloat16)"
            )
        return tokens
