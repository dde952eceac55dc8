"""Verifiers: the reward of a response, as a number; 1 is right and 0 is wrong.

A verifier is any function of an example and the text of a response, so a method or plug-in may
bring its own. `verifier("number")` returns one by name.
"""

import math
import re
from collections.abc import Callable, Mapping

from kdbench.errors import InputError, nearest
from kdbench.metrics.exact_match import normalise
from kdbench.metrics.rouge import rouge_l, rouge_words
from kdbench.protocol import postprocess
from kdbench.views.rollout import Example

Verifier = Callable[[Example, str], float]

# A sign between two numbers is a minus, as in 7-3, and belongs to neither.
_NUMBER = re.compile(
    r"(?:(?<!\w)[-+])?(?:(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?|\.\d+)", re.ASCII
)
_ROUGE = "rougeL>="
_TOLERANCE = 1e-6


def exact_match(example: Example, text: str) -> float:
    """1 if the response equals a reference in lower case, without punctuation; see its metric."""
    response = normalise(postprocess(text))
    return float(any(response == normalise(reference) for reference in example.references))


def number(example: Example, text: str) -> float:
    """1 if the last number of the response is the last number of a reference.

    Raises:
        InputError: No reference has a number.
    """
    wanted = [value for text_ in example.references if (value := last_number(text_)) is not None]
    if not wanted:
        raise InputError(f"row '{example.id}': no reference has a number to compare with")
    given = last_number(postprocess(text))
    if given is None:
        return 0.0
    return float(any(math.isclose(given, value, abs_tol=_TOLERANCE) for value in wanted))


def last_number(text: str) -> float | None:
    """The last number of a text, where commas separate thousands; None if there is none."""
    numbers = _NUMBER.findall(text)
    return float(numbers[-1].replace(",", "")) if numbers else None


def rouge_at_least(limit: float) -> Verifier:
    """A verifier that gives 1 if the largest ROUGE-L against a reference is at least a limit.

    Args:
        limit: The limit, 0 to 1.
    """

    def rouge(example: Example, text: str) -> float:
        words = rouge_words(postprocess(text))
        return float(
            any(rouge_l(rouge_words(known), words) >= limit for known in example.references)
        )

    return rouge


VERIFIERS: Mapping[str, Verifier] = {"exact_match": exact_match, "number": number}


def no_verifier(example: Example, text: str) -> float:  # noqa: ARG001
    """Refuse: it stands in lists for a key `verifier=` that was not given.

    Raises:
        InputError: Always.
    """
    raise InputError("verifier= is missing")


def verifier(name: str) -> Verifier:
    """A verifier by name: `exact_match`, `number`, or `rougeL>=0.7` with any limit of 0 to 1.

    Raises:
        InputError: There is no such verifier.
    """
    if name.startswith(_ROUGE):
        try:
            limit = float(name.removeprefix(_ROUGE))
        except ValueError:
            limit = math.nan
        if not 0 <= limit <= 1:
            raise InputError(f"verifier '{name}': the limit must be a number of 0 to 1")
        return rouge_at_least(limit)
    if name not in VERIFIERS:
        known = [*VERIFIERS, f"{_ROUGE}0.7"]
        raise InputError(f"unknown verifier '{name}': {nearest(name, known)}")
    return VERIFIERS[name]


def known_verifier(name: str) -> str:
    """The name of a verifier, if there is such a one; it checks a key `verifier=`.

    Raises:
        InputError: There is no such verifier.
    """
    verifier(name)
    return name


def reward_of(verify: Verifier, example: Example, text: str) -> float:
    """The reward of a response.

    Raises:
        InputError: The verifier gave no finite number.
    """
    reward = verify(example, text)
    try:
        value = float(reward)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"row '{example.id}': the verifier gave {reward!r}, which is no reward")
    return value
