"""What is stored of each document: `samples/<task>.options.jsonl`, one line as it finishes.

    {"id": "17", "gold": [2],
     "options": [{"text": " Paris", "log_p": -1.25, "greedy": true,
                  "n_tokens": 1, "n_chars": 5, "n_bytes": 5}, …],
     "unconditional": [-7.5, …],
     "chosen": {"acc": 2, "acc_norm": 0},
     "scores": {"acc,none": 1.0, "acc_norm,none": 0.0}}

`options`        each continuation that was scored; one for `loglikelihood` and for
                 `loglikelihood_rolling`, where its text is left out
`log_p`          its log-probability given the prompt, in nats: the sum over its tokens
`greedy`         whether each token is the likeliest one; null for a rolling text
`n_tokens`       tokens whose log-probabilities are summed; null if the backend does not say
`n_chars`, `n_bytes`   lengths of the option itself, without the delimiter, as lm-eval divides by
                 them for `acc_norm` and `acc_bytes`
`gold`           indices of the right options; empty if the document names none
`unconditional`  log-probabilities of the options without the prompt; only for `acc_mutual_info`
`chosen`         index of the option that each way of choosing takes; only for `multiple_choice`
`scores`         lm-eval's scores of the document that are numbers; added when the task is scored

The first part of a line is stored when a document is measured, `chosen` and `scores` when all are.
`log_p` has six decimals, as everything that is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdbench.errors import InputError
from kdbench.store.schema import is_number

OptionAnswers = dict[str, "OptionAnswer"]
"""Answers by document."""


@dataclass(frozen=True)
class Option:
    """A continuation that was scored.

    Attributes:
        log_p: Log-probability given the prompt, in nats.
        greedy: Whether each token is the likeliest one; None for a rolling text.
        n_tokens: Number of its tokens; None if unknown.
        text: The continuation with its delimiter; None for a rolling text.
        n_chars: Length of the option without the delimiter, in characters.
        n_bytes: The same in bytes of UTF-8.
    """

    log_p: float
    greedy: bool | None
    n_tokens: int | None
    text: str | None
    n_chars: int
    n_bytes: int


@dataclass(frozen=True)
class OptionAnswer:
    """What a model says about the options of one document.

    Attributes:
        document: Id of the document.
        options: The options, in the task's order.
        gold: Indices of the right ones; empty if the document names none.
        unconditional: Log-probabilities of the options without the prompt; empty unless the task
            asks for them.
    """

    document: str
    options: tuple[Option, ...]
    gold: tuple[int, ...]
    unconditional: tuple[float, ...] = ()

    def chosen(self) -> dict[str, int]:
        """Return the index of the option that each of lm-eval's ways of choosing takes.

        `acc` takes the likeliest, `acc_norm` and `acc_bytes` divide by characters and bytes, and
        `acc_mutual_info` subtracts the unconditional log-probability. The first of equals wins.
        """
        plain = [option.log_p for option in self.options]
        ways = {"acc": plain}
        if all(option.n_chars for option in self.options):
            ways["acc_norm"] = [option.log_p / option.n_chars for option in self.options]
            ways["acc_bytes"] = [option.log_p / option.n_bytes for option in self.options]
        if self.unconditional:
            ways["acc_mutual_info"] = [
                p - u for p, u in zip(plain, self.unconditional, strict=True)
            ]
        return {name: max(range(len(v)), key=v.__getitem__) for name, v in ways.items()}


def answer_record(
    answer: OptionAnswer, scores: Mapping[str, float | None] | None = None
) -> dict[str, Any]:
    """Return the line of an answer.

    Args:
        answer: Answer to write.
        scores: Scores of the document by metric; None before it is scored.
    """
    record: dict[str, Any] = {
        "id": answer.document,
        "gold": list(answer.gold),
        "options": [_option_record(option) for option in answer.options],
    }
    if answer.unconditional:
        record["unconditional"] = list(answer.unconditional)
    if scores is not None:
        if len(answer.options) > 1:
            record["chosen"] = answer.chosen()
        record["scores"] = dict(scores)
    return record


def _option_record(option: Option) -> dict[str, Any]:
    record = {key: value for key, value in vars(option).items() if key != "text"}
    return record if option.text is None else {**record, "text": option.text}


def read_answer(record: Mapping[str, Any], place: str) -> OptionAnswer:
    """Return the answer of a line.

    Args:
        record: Content of the line.
        place: File and line number, for error messages.

    Raises:
        InputError: A field is missing or of the wrong type.
    """
    options, gold = record.get("options"), record.get("gold")
    unconditional = record.get("unconditional", [])
    if not isinstance(record.get("id"), str):
        raise InputError(f"{place}: 'id' must be text")
    if not isinstance(options, list) or not options:
        raise InputError(f"{place}: 'options' must be a list of options")
    if not isinstance(gold, list) or not all(_is_index(g, len(options)) for g in gold):
        raise InputError(f"{place}: 'gold' must be a list of indices of options")
    if not isinstance(unconditional, list) or not all(map(is_number, unconditional)):
        raise InputError(f"{place}: 'unconditional' must be a list of numbers")
    if unconditional and len(unconditional) != len(options):
        raise InputError(f"{place}: 'unconditional' must have a number of each option")
    return OptionAnswer(
        record["id"],
        tuple(_read_option(option, place) for option in options),
        tuple(gold),
        tuple(map(float, unconditional)),
    )


def _read_option(option: Any, place: str) -> Option:
    if not isinstance(option, Mapping) or not is_number(option.get("log_p")):
        raise InputError(f"{place}: 'log_p' of an option must be a number")
    if not isinstance(option.get("greedy"), bool | None):
        raise InputError(f"{place}: 'greedy' of an option must be true, false or null")
    if not isinstance(option.get("text"), str | None):
        raise InputError(f"{place}: 'text' of an option must be text")
    counts = [option.get(key) for key in ("n_chars", "n_bytes", "n_tokens")]
    if not all(_is_count(count) for count in counts[: 2 if counts[2] is None else 3]):
        raise InputError(f"{place}: the lengths of an option must be whole numbers")
    n_chars, n_bytes, n_tokens = counts
    greedy, text = option.get("greedy"), option.get("text")
    return Option(float(option["log_p"]), greedy, n_tokens, text, n_chars, n_bytes)  # type: ignore[arg-type]


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_index(value: object, below: int) -> bool:
    return type(value) is int and 0 <= value < below


def by_document(answers: Sequence[OptionAnswer]) -> OptionAnswers:
    """Return answers by document; of two of a document the first, which is stored first."""
    found: OptionAnswers = {}
    for answer in answers:
        found.setdefault(answer.document, answer)
    return found
