"""Two tokenizations of one text: the positions where both begin a token, and the tokens they share.

Where both models have read the same text and predict what follows, their next-token distributions
compare over the tokens that both know by text. All other tokens of a model form one class, the
rest, as in the bucketed variant of GOLD's comparison; it can only lower a divergence. If only one
model has other tokens, these are cut off, as where a vocabulary extends the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.views.token_text import token_starts, token_texts

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TokenClasses:
    """The classes over which two vocabularies compare.

    Attributes:
        student_ids: The student's id of each shared token.
        teacher_ids: The teacher's id of each shared token.
        student_size: Number of the student's tokens V.
        teacher_size: Number of the teacher's tokens.
        student_has_rest: Whether the student has tokens that the teacher does not.
        teacher_has_rest: Whether the teacher has tokens that the student does not.
    """

    student_ids: tuple[int, ...]
    teacher_ids: tuple[int, ...]
    student_size: int
    teacher_size: int
    student_has_rest: bool
    teacher_has_rest: bool

    @property
    def has_rest(self) -> bool:
        """Whether the rest is a class of its own."""
        return self.student_has_rest and self.teacher_has_rest


def token_classes(student: Any, teacher: Any) -> TokenClasses:
    """Match the tokens of two tokenizers by text; the end tokens match whatever they are called.

    Tokens of equal text, such as a letter and its byte, match in order of their ids.

    Args:
        student: The student's tokenizer.
        teacher: The teacher's tokenizer.
    """
    ours, theirs = _by_text(student), _by_text(teacher)
    shared = sorted((ours[key], theirs[key]) for key in ours.keys() & theirs.keys())
    return TokenClasses(
        tuple(pair[0] for pair in shared),
        tuple(pair[1] for pair in shared),
        1 + max(ours.values()),
        1 + max(theirs.values()),
        len(shared) < len(ours),
        len(shared) < len(theirs),
    )


def _by_text(tokenizer: Any) -> dict[tuple[object, int], int]:
    """Ids by text and by how many smaller ids have the same text."""
    seen: dict[object, int] = {}
    ids: dict[tuple[object, int], int] = {}
    for number, text in enumerate(token_texts(tokenizer)):
        if text is not None:
            key: object = "end" if number == tokenizer.eos_token_id else (type(text), text)
            seen[key] = seen.get(key, -1) + 1
            ids[key, seen[key]] = number
    return ids


@dataclass(frozen=True)
class Alignment:
    """How the teacher reads a text of the student's tokens.

    Attributes:
        teacher_response: The text as the teacher's tokens, with its end token if the student's
            response has one.
        meeting: For each token of the student, the teacher's token that begins at the same place;
            None where none does.
        broken: The numbers of those groups between two meetings in which the two do not write the
            same text: the teacher reads another one, or a character is not whole.
    """

    teacher_response: tuple[int, ...]
    meeting: tuple[int | None, ...]
    broken: frozenset[int] = frozenset()

    def groups(self) -> list[tuple[int, int]]:
        """For each meeting the teacher's tokens up to the next one, [start, stop)."""
        starts = [place for place in self.meeting if place is not None]
        return list(zip(starts, [*starts[1:], len(self.teacher_response)], strict=True))

    def matched(self) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """The groups in which both write the same text: the student's tokens, and the teacher's.

        The tokens of a side are [start, stop). Tokens of the student that are in none of them, as
        those before the first meeting, have no counterpart.
        """
        starts = [place for place, meeting in enumerate(self.meeting) if meeting is not None]
        stops = [*starts[1:], len(self.meeting)]
        pairs = zip(zip(starts, stops, strict=False), self.groups(), strict=True)
        return [pair for number, pair in enumerate(pairs) if number not in self.broken]


def align(
    student: Any, teacher: Any, response: Sequence[int], ends: frozenset[int], before: str = ""
) -> Alignment:
    """Find where the teacher's tokens of a response begin with the student's.

    Args:
        student: The student's tokenizer.
        teacher: The teacher's tokenizer.
        response: The student's tokens of the response.
        ends: The student's end tokens.
        before: The end of the prompt, if the response's first token holds it too; the teacher reads
            it in its prompt.
    """
    ended = bool(response) and response[-1] in ends
    text, student_starts = token_starts(student, response[:-1] if ended else response)
    if before and text.startswith(before):
        text, size = text.removeprefix(before), len(before.encode())
        student_starts = [
            None if start is None or start < size else start - size for start in student_starts
        ]
    tokens = teacher(text, add_special_tokens=False)["input_ids"]
    _, teacher_starts = token_starts(teacher, tokens, within=text)
    written = teacher.decode(tokens, clean_up_tokenization_spaces=False)
    if ended:
        student_starts.append(len(text.encode()))
        teacher_starts.append(len(text.encode()))
        tokens = [*tokens, teacher.eos_token_id]
    meeting = tuple(_meetings(student_starts, teacher_starts))
    pairs = zip(student_starts, meeting, strict=True)
    places = [start for start, meets in pairs if start is not None and meets is not None]
    broken = _broken(text, places, ended)
    if written not in (text, f" {text}") and len(places) > ended:
        broken.add(len(places) - 1 - ended)  # all text from the first difference on
    return Alignment(tuple(tokens), meeting, frozenset(broken))


def _broken(text: str, starts: Sequence[int], ended: bool) -> set[int]:
    """The groups that hold a part of a character, which the student's tokens write as U+FFFD."""
    content = text.encode()
    stops = [*starts[1:], len(content)]
    groups = range(len(starts) - ended)
    return {
        group
        for group in groups
        if "\ufffd" in content[starts[group] : stops[group]].decode(errors="replace")
    }


def _meetings(student: Sequence[int | None], teacher: Sequence[int | None]) -> list[int | None]:
    """For each place of the student the first index of the teacher's equal place, each once."""
    first: dict[int | None, int | None] = {None: None}
    for index, place in enumerate(teacher):
        first.setdefault(place, index)
    used = set()
    meetings = []
    for place in student:
        meetings.append(None if place in used else first.get(place))
        used.add(place)
    return meetings


def classes_of(
    log_probs: "torch.Tensor", ids: "torch.Tensor", has_rest: bool
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Log-probabilities over the classes, and the probability of tokens that are not shared.

    Args:
        log_probs: Log-probabilities over a vocabulary, (n, V).
        ids: Ids of the shared tokens, (C,).
        has_rest: Whether all other tokens form one more class; if not, they are cut off.

    Returns:
        Shapes (n, C + 1) or (n, C), and (n,).
    """
    import torch

    shared = log_probs[:, ids]
    others = log_probs.index_fill(-1, ids, -torch.inf).logsumexp(-1, keepdim=True)
    whole = torch.cat([shared, others], -1) if has_rest else shared.log_softmax(-1)
    return whole, others[:, 0].exp()


def joint_ids(classes: TokenClasses) -> "Mapping[str, torch.Tensor]":
    """Ids that name a shared token alike for both models, and every other token differently.

    Returns:
        Under `student` and `teacher`, the joint id of each id of that model, int64.
    """
    import torch

    count = len(classes.student_ids)
    student = torch.arange(classes.student_size) + count
    teacher = torch.arange(classes.teacher_size) + count + classes.student_size
    student[list(classes.student_ids)] = torch.arange(count)
    teacher[list(classes.teacher_ids)] = torch.arange(count)
    return {"student": student, "teacher": teacher}
