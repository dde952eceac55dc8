"""Training rows as tokens: the prompt as evaluation asks it, and the response that is learned."""

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from kdbench.distillation.joint import Pieces, joint_tokens
from kdbench.distillation.rows import TrainingRow
from kdbench.distillation.turns import answer_text
from kdbench.errors import InputError
from kdbench.generate.prompts import encode_prompt, prompt_text, text_tokens
from kdbench.generate.thinking import Marks, find_marks, marks_in, split_thinking
from kdbench.protocol import Protocol
from kdbench.system.console import note_once
from kdbench.views.chat import find_template
from kdbench.views.rollout import Alternative, Example

_LAST_WORDS = 5  # of a thinking, which a template keeps or leaves out


@dataclass(frozen=True)
class Lengths:
    """Length limits in tokens.

    Attributes:
        prompt: Longest prompt; longer ones are dropped or cut.
        total: Longest prompt and response together; a longer response is cut and has no EOS.
        long_prompts: `drop` leaves out examples with longer prompts, as MiniLLM does; `cut` cuts
            them on the right, as DistiLLM does, and loses the marker before the response.
    """

    prompt: int
    total: int
    long_prompts: Literal["drop", "cut"]


class Encoded(NamedTuple):
    """An example, and whether prompt and response have other tokens together than as two texts."""

    example: Example
    is_joint: bool


@dataclass(frozen=True)
class Encoder:
    """How rows become examples.

    Attributes:
        tokenizer: The student's tokenizer.
        form: The form of the prompts, and whether they begin with BOS; not cut.
        lengths: Length limits.
        ends: Ids that end a response when the student generates; empty for the tokenizer's EOS.
    """

    tokenizer: Any
    form: Protocol
    lengths: Lengths
    ends: frozenset[int] = frozenset()

    def encode(self, row: TrainingRow) -> Encoded | None:
        """Encode a row with its first reference; None if its prompt is too long.

        Raises:
            InputError: The prompt has no token, or the chat template fails.
        """
        if row.is_text:
            return Encoded(self._plain_text(row), is_joint=False)
        try:
            return self._encoded(row)
        except InputError as error:
            raise InputError(f"row '{row.id}': {error}") from None

    def _encoded(self, row: TrainingRow) -> Encoded | None:
        prompt = encode_prompt(self.tokenizer, self.form, row.prompt, row.message).ids
        if len(prompt) > self.lengths.prompt and self.lengths.long_prompts == "drop":
            return None
        asked = prompt_text(self.tokenizer, self.form, row.prompt, row.message)
        pieces = self._pieces(row, asked)
        example, is_joint, replies = self._fitted(row, prompt, pieces), pieces.is_joint, {}
        for name, text in row.pair.items():
            pieces = self._pieces(replace(row, references=(text,)), asked)
            other, is_joint = self._fitted(row, prompt, pieces), is_joint or pieces.is_joint
            replies[name] = Alternative(other.context, other.response_ids)
        return Encoded(replace(example, replies=replies) if replies else example, is_joint)

    def answered(self, row: TrainingRow, text: str, ended: bool) -> Example | None:
        """Encode a row with another response; None if there is nothing to learn.

        Args:
            row: The row.
            text: The response.
            ended: Whether it ended, by itself or because an end is appended; otherwise it gets no
                end token, so that the student does not learn to stop there.
        """
        scored = self._without_foreign_thinking(text)
        if scored is None:
            return None
        text = scored
        row = replace(row, references=(text,))
        if ended:
            encoded = self.encode(row)
            return encoded.example if encoded else None
        prompt = prompt_text(self.tokenizer, self.form, row.prompt, row.message)
        pieces = joint_tokens(self.tokenizer, prompt, text, self.form.add_bos)
        asked = encode_prompt(self.tokenizer, self.form, row.prompt, row.message).ids
        return self._fitted(row, asked, pieces) if pieces.response else None

    def _without_foreign_thinking(self, text: str) -> str | None:
        """A response as its answer, if evaluation could not tell the thinking from it; or None.

        Evaluation finds the thinking of a student by the student's marks.
        """
        if self.form.thinking == "keep" or self._marks is not None:
            return text
        marks = marks_in(text)
        if marks is None:
            return text
        note_once(
            "note: the teacher thinks, and the student's tokenizer and chat template have no marks "
            "of a thinking, so the student learns the answers alone; with thinking_marks="
            f"'{marks.start},{marks.end}', here and in kdbench eval, it learns to think too"
        )
        split = split_thinking(text, marks)
        return None if split.unclosed else text[split.answer or 0 :]

    def has_end(self, example: Example) -> bool:
        """Whether the response of an example ends with an end token."""
        return example.response_ids[-1] in self.end_ids

    @property
    def template_sha256(self) -> str | None:
        """SHA-256 of the text of the chat template; None if the form has none."""
        if self.form.prompt != "chat":
            return None
        template = find_template(self.tokenizer, self.form.chat_template, "the student's tokenizer")
        return sha256(template.encode()).hexdigest()

    @property
    def end_ids(self) -> frozenset[int]:
        """The ids that end a response."""
        return self.ends or frozenset({self.tokenizer.eos_token_id})

    def _pieces(self, row: TrainingRow, prompt: str) -> Pieces:
        """The tokens before the response, and those of the response with its end token."""
        tokenizer, bos, end = self.tokenizer, self.form.add_bos, self.tokenizer.eos_token_id
        if self.form.prompt == "task":
            pieces = joint_tokens(tokenizer, prompt, row.references[0], bos)
            return pieces._replace(response=(*pieces.response, end))
        answer = answer_text(tokenizer, self.form, row, prompt)
        self._note_left_out(row.references[0], answer)
        pieces = joint_tokens(tokenizer, prompt, answer, bos)
        for place, token in enumerate(pieces.response):
            if token in self.end_ids:  # what a template writes after the end is never generated
                return pieces._replace(response=pieces.response[: place + 1])
        pieces = joint_tokens(tokenizer, prompt, answer.rstrip(), bos)
        return pieces._replace(response=(*pieces.response, end))

    def _note_left_out(self, response: str, answer: str) -> None:
        """Note a template that writes a response without its thinking."""
        marks = marks_in(response) if self._marks is None else self._marks
        end = None if marks is None else split_thinking(response, marks).closed
        thought = response[:end].split() if end else []
        if thought and "".join(thought[-_LAST_WORDS:]) not in "".join(answer.split()):
            note_once(
                "note: the chat template leaves out the thinking of the responses, so that the "
                "student learns the answers alone; chat_template=FILE gives another template"
            )

    def _fitted(self, row: TrainingRow, prompt: tuple[int, ...], pieces: Pieces) -> Example:
        """The example with its prompt and response cut at the limits."""
        context, limit = pieces.context, self.lengths.prompt
        if len(prompt) > limit:
            prompt, context = prompt[:limit], context[:limit]
        response = pieces.response[: self.lengths.total - len(context)]
        own_context = None if context == prompt else context
        return Example(row.id, prompt, response, self._answers(row), own_context, row.fields)

    def _answers(self, row: TrainingRow) -> tuple[str, ...]:
        """The references as validation scores them: without their thinking, unless it is kept."""
        marks = self._marks if self.form.thinking == "strip" else None
        if marks is None:
            return row.references
        starts = (split_thinking(text, marks).answer or 0 for text in row.references)
        return tuple(
            text[start:] or text for text, start in zip(row.references, starts, strict=True)
        )

    @cached_property
    def _marks(self) -> Marks | None:
        return find_marks(self.tokenizer, self.form)

    def _plain_text(self, row: TrainingRow) -> Example:
        """A text after its first token, and the end token.

        Raises:
            InputError: It has no token.
        """
        ids = text_tokens(self.tokenizer, row.references[0], self.form.add_bos)
        if not ids:
            raise InputError(f"row '{row.id}' encodes to no tokens")
        first, *rest = [*ids, self.tokenizer.eos_token_id][: self.lengths.total]
        return Example(row.id, (first,), tuple(rest), row.references, fields=row.fields)
