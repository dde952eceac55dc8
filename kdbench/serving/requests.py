"""The requests of a load: prompts of one length, no two of which begin alike."""

import random

from kdbench.errors import InputError
from kdbench.generate import Backend, Row

# Common words, which most tokenizers encode as one token each.
_COMMON = (
    "time year people way day man thing woman life child world school state family student group "
    "country problem hand part place case week company system program question work number night "
    "point home water room mother area money story fact month lot right study book eye job word "
    "business issue side kind head house service friend father power hour game line end member law"
)
_WORDS = tuple(_COMMON.split())
_LONGEST = 64  # times as many words as tokens, before a tokenizer is given up


def make_requests(backend: Backend, count: int, tokens: int, name: str) -> list[Row]:
    """Make requests.

    Args:
        backend: Backend that encodes, and cuts prompts at the number of tokens.
        count: Number of requests.
        tokens: Length of each prompt in tokens.
        name: Name of the requests, which decides their words.

    Raises:
        InputError: The backend's prompts do not get that long.
    """
    return [_request(backend, tokens, f"{name}-{index}") for index in range(count)]


def _request(backend: Backend, tokens: int, name: str) -> Row:
    draw = random.Random(name)
    words = [draw.choice(_WORDS) for _ in range(tokens)]
    while len(words) <= _LONGEST * tokens:
        text = " ".join(words)
        ids = backend.encode(text, text).ids
        if len(ids) >= tokens:
            return Row(name, 0, ids)
        words += [draw.choice(_WORDS) for _ in words]
    raise InputError(f"prompt_tokens={tokens}: {len(words)} words do not make so many tokens")
