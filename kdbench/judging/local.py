"""A judge that is a checkpoint: it replies greedily, in its chat template if it has one."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from kdbench.checkpoint import Checkpoint, load_tokenizer
from kdbench.generate import Options, Row
from kdbench.generate.choice import choose_backend
from kdbench.generate.prompts import prompt_text, text_tokens
from kdbench.judging.judge import Judge
from kdbench.judging.reply import Reply
from kdbench.protocol import Protocol
from kdbench.system.progress import slow_step


class LocalJudge(Judge):
    """A checkpoint that runs with transformers.

    Args:
        checkpoint: The checkpoint.
        options: How it runs.
        max_tokens: Length limit of a reply, in tokens.
    """

    def __init__(self, checkpoint: Checkpoint, options: Options, max_tokens: int):
        settings = {"temperature": 0, "max_tokens": max_tokens, "dtype": options.dtype}
        identity = {"kind": "checkpoint", "sha256": checkpoint.sha256, "settings": settings}
        super().__init__(checkpoint.name, identity)
        self._checkpoint, self._options, self._max_tokens = checkpoint, options, max_tokens
        self._backend: Any = None

    def ask(self, questions: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Reply]]:
        """Yield the reply to each question; one that does not fit into the model is declined.

        Raises:
            InputError: The checkpoint cannot be loaded, or its chat template fails.
        """
        backend = self._load()
        rows, lengths = [], dict[str, int]()
        for key, text in questions:
            ids = self._encode(text)
            lengths[key] = len(ids)
            if self._fits(ids):
                rows.append(Row(key, 0, tuple(ids)))
            else:
                yield key, Reply("", "too long", prompt_tokens=len(ids))
        for batch in backend.batches(rows):
            for sample in backend.generate(batch, ()):
                reply = Reply(sample.output, None, None, lengths[sample.document], sample.n_tokens)
                yield sample.document, reply

    def release(self) -> None:
        """Free the model's memory."""
        if self._backend is not None:
            self._backend.stop()
        self._backend = None

    def _load(self) -> Any:
        if self._backend is None:
            tokenizer = load_tokenizer(self._checkpoint, self._options.trust_remote_code)
            form: Literal["chat", "task"] = "chat" if tokenizer.chat_template else "task"
            protocol = Protocol(
                "judge",
                form,
                max_prompt_tokens=None,
                max_new_tokens=self._max_tokens,
                temperature=0.0,
                no_repeat_ngram_size=0,
                add_bos=form == "task",
                seeds=(0,),
            )
            with slow_step(f"loading {self.name}"):
                kind = choose_backend("hf", {}).kind
                self._backend = kind(self._checkpoint, protocol, self._options)
        return self._backend

    def _encode(self, text: str) -> list[int]:
        tokenizer, protocol = self._backend.tokenizer, self._backend.protocol
        return text_tokens(
            tokenizer, prompt_text(tokenizer, protocol, text, text), protocol.add_bos
        )

    def _fits(self, ids: Sequence[int]) -> bool:
        room = getattr(self._backend.model.config, "max_position_embeddings", None)
        return not room or len(ids) + self._max_tokens <= room
