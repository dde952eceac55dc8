"""Which evolved prompts and answers are of no use.

The kinds are those of WizardLM (Xu et al. 2023, section on elimination): no gain, an answer that
says sorry in fewer than 80 words, an answer of nothing but function words, and words of the
template in the prompt. The rest is ours: empty, cut and copied prompts, those that lost the subject
of their parent, and other refusals.
"""

import re
from collections import Counter
from collections.abc import Sequence

from kdbench.builders.evolution.operators import leaked
from kdbench.builders.overlap.words import normalised, words_of

_SHORT = 80  # words of an answer in which "sorry" is a refusal
_SORRY = re.compile(r"\bsorry\b", re.I)
_REFUSAL = re.compile(
    r"\W*(?:i\s*['’]?\s*a?m\s+(?:very\s+|so\s+|truly\s+)?(?:sorry|afraid|unable|not\s+able)"
    r"|(?:sorry|unfortunately)\s*,?\s*(?:but\s+)?i\b"
    r"|i\s+(?:can\s*not|cannot|can\s*['’]?t|could\s+not|won\s*['’]?t|must\s+decline)\b"
    r"|i\s+apologi[sz]e\b|as\s+an\s+ai\b)",
    re.I,
)
_FUNCTION_WORDS = frozenset(
    words_of(
        "a an the and or but nor of to in on at by for from with as if then than so such that this "
        "these those it its is are was were be been being am i you he she we they me him her us "
        "them my your his our their do does did has have had will would can could shall should may "
        "might must there here what which who whom whose when where how why all any some each"
    )
)


def prompt_failure(
    text: str, ended: bool, lineage: Sequence[str], new_words: int, kept: float = 0
) -> str | None:
    """Why an evolved prompt is of no use; None if it is.

    Args:
        text: The evolved prompt.
        ended: Whether it is not cut.
        lineage: The prompt that was evolved, and those from which it came, the nearest first.
        new_words: Least number of words that the parent lacks.
        kept: Least share of the parent's words, without function words, that it still has.
    """
    words, parent = words_of(text), words_of(lineage[0])
    subject = set(parent) - _FUNCTION_WORDS
    checks = {
        "empty prompt": not words,
        "cut prompt": not ended,
        "refusal": _REFUSAL.match(text) is not None,
        "copied prompt": normalised(text) in map(normalised, lineage),
        "words of the template": leaked(text, lineage[0]) is not None,
        "no gain": (Counter(words) - Counter(parent)).total() < new_words,
        "another subject": len(subject.intersection(words)) < kept * len(subject),
    }
    return next((reason for reason, fails in checks.items() if fails), None)


def answer_failure(answer: str, prompt: str) -> str | None:
    """Why the answer to an evolved prompt is of no use; None if it is.

    Args:
        answer: The answer.
        prompt: The evolved prompt.
    """
    words = words_of(answer)
    if not words:
        return "empty answer"
    if _REFUSAL.match(answer) or (len(words) < _SHORT and _SORRY.search(answer)):
        return "refused answer"
    if _FUNCTION_WORDS.issuperset(words):
        return "answer of function words"
    if normalised(answer) == normalised(prompt):
        return "copied answer"
    return None


def says_same(reply: str) -> bool:
    """Whether a reply to the question if two prompts ask the same begins with yes."""
    return words_of(reply)[:1] == ["yes"]
