"""Prompt and response as the tokens of one text, as the MiniLLM and DistiLLM papers encode them.

Source: tools/process_data_dolly.py of MiniLLM, where the response's tokens are those of prompt and
response together, without as many as the prompt has alone. With GPT-2's and SmolLM2's tokenizers
these are the tokens of the response alone. A SentencePiece-style tokenizer begins a text with a
space of its own, so its first response token differs. A BPE can merge the end of the prompt and the
start of the response into one token; MiniLLM's code then cuts the response at a wrong place.
"""

from typing import Any, NamedTuple

from kdbench.generate.prompts import text_tokens


class Pieces(NamedTuple):
    """Prompt and response as tokens.

    Attributes:
        context: The tokens before the response.
        response: The tokens of the response.
        is_joint: Whether these are other tokens than those of prompt and response as two texts.
    """

    context: tuple[int, ...]
    response: tuple[int, ...]
    is_joint: bool


def joint_tokens(tokenizer: Any, prompt: str, response: str, add_bos: bool = False) -> Pieces:
    """Encode prompt and response together, and split the tokens where the response begins.

    The response begins with the first token that contains any of its text. If that token also
    contains the end of the prompt, the tokens before it are fewer than the prompt's own; if they
    were none at all, prompt and response are encoded as two texts.

    Args:
        tokenizer: The student's tokenizer.
        prompt: Text of the prompt.
        response: Text of the response; may be empty.
        add_bos: Whether the prompt keeps what the tokenizer puts before a text.
    """
    asked = text_tokens(tokenizer, prompt, add_bos)
    answer = text_tokens(tokenizer, response, add_bos=False)
    whole = text_tokens(tokenizer, prompt + response, add_bos)
    start = len(asked)
    if whole == [*asked, *answer]:
        return Pieces(tuple(asked), tuple(answer), is_joint=False)
    if whole[:start] != asked:
        start = _start_of_response(tokenizer, prompt, response, asked, whole)
    if not start:
        return Pieces(tuple(asked), tuple(answer), is_joint=False)
    return Pieces(tuple(whole[:start]), tuple(whole[start:]), is_joint=True)


def _start_of_response(
    tokenizer: Any, prompt: str, response: str, asked: list[int], whole: list[int]
) -> int:
    """The place of the first token that contains text of the response."""
    if not tokenizer.is_fast:  # it has no offsets; the tokens that both have are the prompt's
        pairs = zip(asked, whole, strict=False)
        return next((place for place, (one, other) in enumerate(pairs) if one != other), 0)
    encoded = tokenizer(prompt + response, add_special_tokens=False, return_offsets_mapping=True)
    offsets: list[tuple[int, int]] = encoded["offset_mapping"]
    added = len(whole) - len(offsets)  # what the tokenizer puts before a text
    inside = (place for place, (_, end) in enumerate(offsets) if end > len(prompt))
    return added + next(inside, len(offsets))
