"""Whether a server's log-probabilities are those of the teacher and of its tokenizer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.scores.served.teacher import ServedTeacher, Text

if TYPE_CHECKING:
    from kdbench.scores.cache import ScoreColumns

TOLERANCE = 0.25
"""Difference of log-probabilities, in nats, above which a model counts as another one.

It leaves room for a server in 16 bits. In float32 on both sides, vLLM and transformers differ by
less than 1e-4, and another model by several nats.
"""
_COMPARED = -10.0  # less likely tokens differ by more and matter less
_MOST_TEXTS = 4
_LONGEST = 256  # tokens of a text


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        texts: Number of texts.
        positions: Number of their scored positions.
        mass: Mean probability of the likeliest tokens together.
        worst: Largest difference from the local model's log-probabilities; None without one.
        mean: Mean difference; None without one.
    """

    texts: int
    positions: int
    mass: float
    worst: float | None = None
    mean: float | None = None


def check_line(teacher: ServedTeacher, checked: Checked, tag: str = "") -> str:
    """What a check found, as a line to show."""
    model = teacher.model
    named = f"{f'{tag}: ' if tag else ''}'{model.name}' at {model.address.url} ({model.api})"
    line = (
        f"teacher {named}: on {checked.positions} tokens of {checked.texts} texts, its "
        f"{teacher.top_k} likeliest have {checked.mass:.4f} of the probability"
    )
    if checked.worst is not None:
        line += (
            f"; log-probabilities differ from teacher_check= by {checked.worst:.2g} nats at most, "
            f"{checked.mean:.2g} on average"
        )
    return line


def some_texts(texts: Sequence[Text]) -> list[Text]:
    """The few texts of a check: the first ones, cut."""
    cut = [
        Text(text.prompt[-_LONGEST:], text.response[:_LONGEST], text.name)
        for text in texts[:_MOST_TEXTS]
    ]
    return [text for text in cut if text.response]


def check_server(
    teacher: ServedTeacher, texts: Sequence[Text], model: Any = None
) -> tuple[Checked, "list[ScoreColumns]"]:
    """Ask for a few texts and check the reply.

    Args:
        teacher: The teacher.
        texts: What `some_texts` gives.
        model: A loaded model that must agree with the server; None for none.

    Returns:
        What was found, and the scores of each text.

    Raises:
        InputError: The server does not give log-probabilities of the text, gives those of its
            likeliest tokens alone, has another tokenizer, or disagrees with the model.
    """
    scores = dict(teacher.score({str(n): text for n, text in enumerate(texts)}))
    columns = [scores[str(n)] for n in range(len(texts))]
    _check_tokenizer(teacher, texts[0])
    positions = sum(len(text.response) for text in texts)
    masses = [value for column in columns for value in column["log_p"].exp().sum(-1).tolist()]
    _check_whole(teacher, columns)
    checked = Checked(len(texts), positions, math.fsum(masses) / positions)
    if model is None:
        return checked, columns
    differences = [
        value
        for text, column in zip(texts, columns, strict=True)
        for value in _differences(model, text, column)
    ]
    worst, mean = max(differences), math.fsum(differences) / len(differences)
    if worst > TOLERANCE:
        raise InputError(
            f"{teacher.model.address.place}: its log-probabilities differ from teacher_check= by "
            f"up to {worst:.3g} nats ({mean:.2g} on average) at {positions} positions, more than "
            f"{TOLERANCE}: it has another model, or its distribution is not that at temperature 1"
        )
    return Checked(len(texts), positions, checked.mass, worst, mean), columns


def compare(before: "Sequence[ScoreColumns]", now: "Sequence[ScoreColumns]") -> float:
    """The largest difference of the log-probabilities of the texts' likely tokens, in nats."""
    import torch

    old, new = (torch.cat([one["target"] for one in columns]) for columns in (before, now))
    likely = torch.maximum(old, new) > _COMPARED
    return float(torch.where(likely, (old - new).abs(), 0.0).max())


def _check_tokenizer(teacher: ServedTeacher, text: Text) -> None:
    """Compare the texts of tokens, where the server gives them.

    Raises:
        InputError: Many of them differ.
    """
    given = [
        (at.token, at.text, teacher.tokenizer.decode([at.token]))
        for at in teacher.read(text)
        if at.text is not None and at.token is not None and "\ufffd" not in at.text
    ]
    differing = [item for item in given if item[1].strip() != item[2].strip()]
    if len(differing) > len(given) / 4:
        token, theirs, ours = differing[0]
        raise InputError(
            f"{teacher.model.address.place}: token {token} is {theirs!r} to it and {ours!r} to the "
            "tokenizer: give teacher_tokenizer="
        )


def _check_whole(teacher: ServedTeacher, columns: "Sequence[ScoreColumns]") -> None:
    """Refuse a server that normalises over its likeliest tokens alone.

    With fewer tokens than there are, their sum is 1 only where the last of them is unlikely.

    Raises:
        InputError: It does at most positions.
    """
    import torch

    if teacher.top_k >= teacher.vocabulary:
        return
    log_p = torch.cat([column["log_p"] for column in columns])
    full = (1 - log_p.double().exp().sum(-1)).abs() < 1e-5
    renormalised = full & (log_p[:, -1] > math.log(1e-3))
    if int(renormalised.sum()) * 2 > len(log_p):
        raise InputError(
            f"{teacher.model.address.place}: the probabilities of its {teacher.top_k} likeliest "
            "tokens sum to 1: it normalises over those alone; let it give raw log-probabilities"
        )


def _differences(model: Any, text: Text, columns: "ScoreColumns") -> list[float]:
    """Differences of the log-probabilities of likely tokens from those of a loaded model."""
    import torch

    with torch.no_grad():
        ids = torch.tensor([text.ids[:-1]], device=model.device)
        logits = model(ids).logits[0, len(text.prompt) - 1 :]
    log_p = logits.float().log_softmax(-1).cpu().gather(-1, columns["ids"].long())
    likely = torch.maximum(log_p, columns["log_p"]) > _COMPARED
    found: list[float] = (log_p - columns["log_p"])[likely].abs().tolist()
    return found
