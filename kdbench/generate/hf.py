"""Generation on transformers.

The forward pass, the key-value caches and the logits warpers are transformers' own. The loop is
ours, for what `model.generate` does not do: noise that belongs to a row (`noise`), one prefill for
all seeds of a prompt, rows that leave the batch when they finish, an incremental n-gram rule.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.checkpoint import Checkpoint, load_checkpoint, pick_device
from kdbench.errors import InputError
from kdbench.generate import Options, Prompt, Row, Sample, backends
from kdbench.generate.memory import rows_that_fit
from kdbench.generate.response import Response
from kdbench.protocol import Protocol

if TYPE_CHECKING:
    import torch

# Rows leave when this share has finished: each time, the others' caches are copied together.
_LEAVING_SHARE = 1 / 8


@backends.register("hf")
class HFBackend:
    """transformers: a checkpoint on one device, under one protocol.

    Raises:
        InputError: the checkpoint cannot be loaded, has no EOS or no chat template though the
            protocol needs one.
    """

    def __init__(self, checkpoint: Checkpoint, protocol: Protocol, options: Options):
        self.device = pick_device(options.device)
        self.model, self.tokenizer = load_checkpoint(
            checkpoint, options.dtype, self.device, options.trust_remote_code
        )
        self.protocol = protocol
        self.batch_size = options.batch_size
        self._eos = _end_tokens(self.model, self.tokenizer)
        self._accepts = set(inspect.signature(self.model.forward).parameters)
        if "past_key_values" not in self._accepts:
            raise InputError(
                f"{checkpoint.path}: {type(self.model).__name__} keeps no key-value cache, which "
                "backend=hf decodes with"
            )
        if protocol.prompt == "chat" and not self.tokenizer.chat_template:
            raise InputError(f"{checkpoint.path}: no chat template; use protocol=minillm or greedy")

    def encode(self, prompt: str, message: str) -> Prompt:
        """Token ids of a document's prompt, cut on the right at `max_prompt_tokens`.

        Raises:
            InputError: no token, or more with the response than the model has positions.
        """
        if self.protocol.prompt == "chat":
            turns = [{"role": "user", "content": message}]
            prompt = self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True
            )
        ids = self.tokenizer(prompt, add_special_tokens=self.protocol.add_bos)["input_ids"]
        kept = tuple(ids[: self.protocol.max_prompt_tokens])
        if not kept:
            raise InputError(f"a prompt encodes to no tokens: '{prompt[:40]}'")
        if max(kept) >= self.model.get_input_embeddings().num_embeddings:
            raise InputError("the tokenizer has more tokens than the model's embedding: not a pair")
        positions = getattr(self.model.config, "max_position_embeddings", None)
        if positions and len(kept) + self.protocol.max_new_tokens > positions:
            raise InputError(
                f"a prompt of {len(kept)} tokens and {self.protocol.max_new_tokens} new ones do "
                f"not fit into the model's {positions} positions; lower max_new_tokens= or "
                "max_prompt_tokens="
            )
        return Prompt(kept, cut=len(kept) < len(ids))

    def batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """The longest prompts first, so that what does not fit fails first."""
        ordered = sorted(rows, key=lambda row: -len(row.prompt_ids))
        if self.batch_size is None and ordered:
            length = len(ordered[0].prompt_ids) + self.protocol.max_new_tokens
            self.batch_size = rows_that_fit(self.model, length)
        start = 0
        while start < len(ordered):  # generate() may lower the batch size on the way
            batch = ordered[start : start + (self.batch_size or 1)]
            start += len(batch)
            yield batch

    def generate(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        """Yield the samples of one batch; when memory runs out, go on with half the rows.

        Raises:
            InputError: logits that are not finite.
        """
        from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

        done = set()
        try:
            for sample in self._decode(rows, until):
                done.add((sample.document, sample.seed))
                yield sample
        except RuntimeError as error:
            if len(rows) == 1 or not should_reduce_batch_size(error):
                raise
        # Out of the handler, whose traceback would keep the batch's tensors alive.
        rest = [row for row in rows if (row.document, row.seed) not in done]
        if rest:
            clear_device_cache(garbage_collection=True)
            self.batch_size = max(1, len(rows) // 2)
        while rest:
            part, rest = rest[: self.batch_size], rest[self.batch_size :]
            yield from self.generate(part, until)

    def _decode(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        import torch

        live = [Response(row, self.protocol, self.tokenizer, self._eos, until) for row in rows]
        with torch.inference_mode():
            context, logits = self._prefill(rows)
        while live:
            with torch.inference_mode():  # not held while the caller has a sample
                tokens = self._choose(logits, live)
            for response, token in zip(live, tokens.tolist(), strict=True):
                if not response.finished and (sample := response.take(token)):
                    yield sample
            going = [index for index, response in enumerate(live) if not response.finished]
            if not going:
                return
            with torch.inference_mode():
                if len(live) - len(going) >= _LEAVING_SHARE * len(live):
                    live = [live[index] for index in going]
                    kept = torch.tensor(going, device=self.device)
                    context.keep(kept)
                    tokens = tokens[kept]
                logits = self._forward(context, tokens[:, None])

    def _prefill(self, rows: Sequence[Row]) -> "tuple[_Context, torch.Tensor]":
        """Run every distinct prompt once; the context and first logits of each row."""
        import torch
        from transformers import DynamicCache

        from kdbench.generate.cache import fan_out

        prompts = list(dict.fromkeys(row.prompt_ids for row in rows))
        place = {prompt: index for index, prompt in enumerate(prompts)}
        longest = max(map(len, prompts))
        ids = torch.zeros(len(prompts), longest, dtype=torch.long)
        # The columns of tokens to come are attended to as soon as `length` reaches them.
        mask = torch.ones(len(prompts), longest + self.protocol.max_new_tokens, dtype=torch.long)
        for index, prompt in enumerate(prompts):
            ids[index, longest - len(prompt) :] = torch.tensor(prompt)
            mask[index, : longest - len(prompt)] = 0
        context = _Context(DynamicCache(config=self.model.config), mask.to(self.device))
        logits = self._forward(context, ids.to(self.device))
        of_row = torch.tensor([place[row.prompt_ids] for row in rows], device=self.device)
        fan_out(context.cache, of_row, self.protocol.max_new_tokens)
        context.mask = context.mask[of_row]
        return context, logits[of_row]

    def _forward(self, context: "_Context", ids: "torch.Tensor") -> "torch.Tensor":
        """Logits after the last token, shape (rows, V), cut to the tokenizer's vocabulary."""
        end = context.length + ids.shape[1]
        mask = context.mask[:, :end]
        extra: dict[str, Any] = {}
        if "position_ids" in self._accepts:
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            extra["position_ids"] = positions[:, context.length :]
        if "logits_to_keep" in self._accepts:
            extra["logits_to_keep"] = 1
        output = self.model(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=context.cache,
            use_cache=True,
            **extra,
        )
        context.length = end
        return output.logits[:, -1, : len(self.tokenizer)]

    def _choose(self, logits: "torch.Tensor", live: Sequence[Response]) -> "torch.Tensor":
        """The next token of each row, int64."""
        import torch
        from transformers import TopKLogitsWarper, TopPLogitsWarper

        from kdbench.generate.noise import gumbel

        protocol = self.protocol
        scores = logits.float()
        banned = [(row, token) for row, one in enumerate(live) for token in one.banned()]
        if banned:
            where = torch.tensor(banned, device=scores.device)
            scores[where[:, 0], where[:, 1]] = -torch.inf
        if protocol.temperature > 0:
            scores = scores / protocol.temperature
            if protocol.top_k:
                scores = TopKLogitsWarper(protocol.top_k)(None, scores)
            if protocol.top_p < 1:
                scores = TopPLogitsWarper(protocol.top_p)(None, scores)
            keys = torch.tensor([response.key() for response in live], dtype=torch.int32)
            scores = scores + gumbel(keys.to(scores.device), scores.shape[1])
        best, tokens = scores.max(dim=-1)
        if not torch.isfinite(best).all():
            row = int((~torch.isfinite(best)).nonzero()[0])
            raise InputError(
                f"the logits of document '{live[row].row.document}' are not finite: the weights "
                "are broken, or too large for dtype=float16 (try bfloat16)"
            )
        return tokens


@dataclass
class _Context:
    """What the rows have behind them: caches, a mask with room for what comes, the length."""

    cache: Any
    mask: "torch.Tensor"
    length: int = 0

    def keep(self, rows: "torch.Tensor") -> None:
        self.mask = self.mask[rows]
        for layer in self.cache.layers:
            if hasattr(layer, "batch_select_indices"):
                layer.batch_select_indices(rows)
            else:
                layer.reorder_cache(rows)


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """EOS of the tokenizer and of the generation configuration, which may name several."""
    named = getattr(model.generation_config, "eos_token_id", None)
    several = named if isinstance(named, list) else [named]
    return frozenset({tokenizer.eos_token_id, *several} - {None})
