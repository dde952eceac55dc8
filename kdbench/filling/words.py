"""The command line of `kdbench fill`: a file, keys, and dotted keys of the file."""

from collections.abc import Sequence

from kdbench.config import FillSettings, parse


def parse_fill(arguments: Sequence[str]) -> FillSettings:
    """Settings from words: `TABLE.yaml workers=2 evaluate.limit=20 --plan`.

    Raises:
        InputError: an unknown key or a bad value.
    """
    named = [word for word in arguments if "=" not in word and not word.startswith("--")]
    dotted = [word for word in arguments if "=" in word and "." in word.partition("=")[0]]
    words = [f"table={word}" if word in named[:1] else word for word in arguments]
    settings = parse(FillSettings, [word for word in words if word not in dotted])
    changes = {key: value for key, _, value in (word.partition("=") for word in dotted)}
    return settings.model_copy(update={"changes": changes})
