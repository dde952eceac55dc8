"""Edits of prompts by rules, which need no model and keep the form of the prompts."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from kdbench.views.rollout import Example

_COMMON = 0.2  # what begins or ends this share of the prompts belongs to their form
_OPENINGS = ("Please answer this.", "I have a question.", "Do the following.", "Now this:")
Uniform = Callable[[str], float]


class PromptEditor:
    """Edits the questions of prompts; what many prompts begin or end with stays as it is.

    Args:
        examples: The training set, from whose prompts form and words are learned.
        tokenizer: Of the prompts.
    """

    def __init__(self, examples: Sequence[Example], tokenizer: Any):
        prompts = [example.prompt_ids for example in examples]
        self._tokenizer = tokenizer
        self._starts = _common_starts(prompts)
        self._ends = _common_starts([prompt[::-1] for prompt in prompts])
        self._words = words_of(self._question(ids)[1] for ids in prompts[:1000])

    def edited(self, example: Example, name: str, uniform: Uniform) -> Example | None:
        """The example with another prompt and no response; None if there is nothing to edit.

        See `edited_text`.

        Args:
            example: The example.
            name: Is added to its id.
            uniform: Returns a number of [0, 1) for a name, on which alone the edit depends.
        """
        start, question, end = self._question(example.prompt_ids)
        edited = edited_text(question, self._words, name, uniform)
        if edited is None:
            return None
        ids = self._tokenizer(edited, add_special_tokens=False)["input_ids"]
        prompt = (*start, *ids, *end)
        return replace(
            example,
            id=f"{example.id}~{name}",
            prompt_ids=prompt,
            response_ids=(),
            references=(),
            context_ids=None,
            replies={},
        )

    def _question(self, ids: tuple[int, ...]) -> tuple[tuple[int, ...], str, tuple[int, ...]]:
        """What a prompt begins with, its question as text, and what it ends with."""
        start = _length(ids, self._starts)
        end = min(_length(ids[::-1], self._ends), len(ids) - start)
        middle = ids[start : len(ids) - end]
        return ids[:start], self._tokenizer.decode(middle), ids[len(ids) - end :]


def words_of(texts: Iterable[str]) -> list[str]:
    """The different words of texts, by which `edited_text` replaces others."""
    return sorted({word for text in texts for word in text.split() if _is(word)})


def edited_text(text: str, words: Sequence[str], name: str, uniform: Uniform) -> str | None:
    """A question with one edit; None if it has no word.

    One of four rules is drawn: a word is left out, two words change places, a word is replaced by
    one of another prompt, or an opening is put before. Lines that begin with # stay.

    Args:
        text: The question.
        words: Words of other prompts.
        name: Name of the edit, a part of what is drawn.
        uniform: Returns a number of [0, 1) for a name, on which alone the edit depends.
    """
    lines = text.split("\n")
    places = [
        (row, place)
        for row, line in enumerate(lines)
        for place, word in enumerate(line.split(" "))
        if not line.lstrip().startswith("#") and _is(word)
    ]
    if not places:
        return None

    def drawn(what: str, items: Sequence[Any]) -> Any:
        return items[int(uniform(f"{what} {name}") * len(items))]

    row, place = drawn("place", places)
    own = lines[row].split(" ")
    rule = drawn("rule", ("leave out", "swap", "replace", "open"))
    if rule == "leave out" and len(places) > 1:
        del own[place]
    elif rule == "swap" and len(places) > 1:
        other_row, other = drawn("other", [at for at in places if at != (row, place)])
        others = own if other_row == row else lines[other_row].split(" ")
        own[place], others[other] = others[other], own[place]
        lines[other_row] = " ".join(others)
    elif rule == "replace":
        own[place] = drawn("word", words)
    else:
        first = next(at for in_row, at in places if in_row == row)
        own[first] = f"{drawn('opening', _OPENINGS)} {own[first]}"
    lines[row] = " ".join(own)
    return "\n".join(lines)


def _is(word: str) -> bool:
    return any(character.isalnum() for character in word)


_Levels = list[dict[tuple[int, int], int]]


def _common_starts(prompts: Sequence[tuple[int, ...]]) -> _Levels:
    """For each place, the starts up to it that many prompts share.

    A start has a number; it is found by the number of the start before it, and the token.
    """
    least, levels = max(2.0, _COMMON * len(prompts)), _Levels()
    groups = {0: list(prompts)}
    while groups:
        longer: dict[tuple[int, int], list[tuple[int, ...]]] = {}
        for number, members in groups.items():
            for prompt in members:
                if len(prompt) > len(levels):
                    longer.setdefault((number, prompt[len(levels)]), []).append(prompt)
        kept = sorted(key for key, members in longer.items() if len(members) >= least)
        levels.append({key: number for number, key in enumerate(kept)})
        groups = {number: longer[key] for number, key in enumerate(kept)}
    return levels


def _length(ids: tuple[int, ...], levels: _Levels) -> int:
    """How many tokens of a prompt belong to a common start."""
    number = 0
    for place, (token, level) in enumerate(zip(ids, levels, strict=False)):
        if (number, token) not in level:
            return place
        number = level[number, token]
    return min(len(ids), len(levels))
