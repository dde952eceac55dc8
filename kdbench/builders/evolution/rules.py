"""The operators by rules, which need no model: for a world whose models take no instructions."""

import random
from collections.abc import Sequence

from kdbench.builders.evolution.forms import AskedPrompt

_ADDED = {
    "add_constraint": (
        "Use as few words as you can.",
        "Write only small letters.",
        "Do not repeat any word.",
        "Put a full stop at the end.",
    ),
    "deepen": (
        "Then say why that is so.",
        "Name one consequence as well.",
        "Say also when that is wrong.",
    ),
    "concretise": (
        "Answer for a child of ten.",
        "Answer for a teacher in Rome.",
        "Answer as of last Monday.",
    ),
    "more_reasoning": (
        "Write down each step before the answer.",
        "Look at every part before you answer.",
    ),
}


def evolve(
    operator: str, prompt: AskedPrompt, others: Sequence[AskedPrompt], chance: random.Random
) -> AskedPrompt:
    """Evolve a prompt by a rule.

    In-depth operators add a sentence; `complicate_input` adds the input of another prompt, and
    `breadth` asks about it instead. Among prompts without inputs they join two, or take another
    prompt as it is.

    Args:
        operator: One of `OPERATORS`.
        prompt: The prompt.
        others: Prompts from which another one is drawn; empty returns the prompt as it is.
        chance: Decides.
    """
    if operator in _ADDED:
        return AskedPrompt(f"{prompt.text} {chance.choice(_ADDED[operator])}", prompt.given)
    if not others:
        return prompt
    other = chance.choice(others)
    if operator == "complicate_input":
        if prompt.given and other.given:
            return AskedPrompt(prompt.text, f"{prompt.given} {other.given}")
        return AskedPrompt(f"{prompt.text} {other.text}", prompt.given or other.given)
    if prompt.given and other.given:
        return AskedPrompt(prompt.text, other.given)
    return other
