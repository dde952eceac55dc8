"""What the doctor looks at: what an evaluation and a training have in common."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kdbench.doctor.finding import CannotRunError
from kdbench.doctor.member import Member, Role
from kdbench.doctor.rows import Rows
from kdbench.doctor.turns import template_of
from kdbench.generate import Prompt
from kdbench.generate.prompts import encode_prompt, text_tokens
from kdbench.protocol import Protocol
from kdbench.task import data_folder
from kdbench.views.chat import ChatMessage


class ProbePrompt(NamedTuple):
    """A prompt with a good response.

    Attributes:
        prompt: Text of the prompt in the task's form.
        message: What a user says.
        response: A reference; empty if there is none.
        is_whole: Whether the prompt is the very text that models get, with its special tokens, as
            in a training set that is encoded already.
    """

    prompt: str
    message: ChatMessage
    response: str
    is_whole: bool = False


class Patient:
    """What an evaluation and a training have in common.

    Attributes:
        of: The verb: `eval` or `train`.
        members: The checkpoints, the student first; none if a server holds the model.
        protocol: The form of prompts, and for an evaluation also lengths and decoding.
        data: Folder of the data sets; None if they come from the Hub.
        sections: Lines that a check wants to be printed, by title.
        facts: Numbers that a check worked out, ready for JSON.
        unseen: What cannot be looked at, with the reason.
        validation: Name of the validation set among the test sets; None if there is none.
    """

    of: str
    members: Sequence[Member]
    protocol: Protocol
    validation: str | None = None

    def __init__(self, data: Path | None):
        self.data = data_folder(data)
        self.sections: dict[str, list[str]] = {}
        self.facts: dict[str, Any] = {}
        self.unseen: dict[str, str] = {}

    def member(self, role: Role) -> Member | None:
        """The checkpoint with a part; None if there is none."""
        return next((member for member in self.members if member.role == role), None)

    @property
    def local_data(self) -> Path:
        """Folder of the data sets.

        Raises:
            CannotRunError: There is none.
        """
        if self.data is None:
            raise CannotRunError("there is no local data folder; pass data=DIR to have it checked")
        return self.data

    @property
    def training_sets(self) -> Mapping[str, Rows]:
        """The rows that the student learns from, or may have learned from, by set."""
        raise NotImplementedError

    @property
    def test_sets(self) -> Mapping[str, Rows]:
        """The rows that students are measured on, by set."""
        raise NotImplementedError

    def prompts(self, number: int) -> Sequence[ProbePrompt]:
        """The first prompts that models are given."""
        raise NotImplementedError

    def encoded(self, member: Member, probe: ProbePrompt) -> Prompt:
        """A prompt as a model is given it.

        Raises:
            CannotRunError: Prompts are chats, and the member has no chat template.
        """
        form, tokenizer = self.protocol, member.tokenizer
        if probe.is_whole:
            return Prompt(tuple(text_tokens(tokenizer, probe.prompt, add_bos=False)), cut=False)
        if form.prompt == "chat" and template_of(tokenizer, form.chat_template) is None:
            raise CannotRunError(f"{member.whose} has no chat template to make prompts with")
        return encode_prompt(tokenizer, form, probe.prompt, probe.message)

    def close(self) -> None:
        """Remove what was only needed for looking."""
