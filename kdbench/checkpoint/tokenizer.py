"""Loading a checkpoint's tokenizer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.checkpoint.config_file import check_config
from kdbench.checkpoint.json_file import read_object, refuse_pointer
from kdbench.checkpoint.messages import one_line
from kdbench.checkpoint.model import Checkpoint
from kdbench.errors import InputError

_JSON_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_TEXTS = ("eos_token", "bos_token", "pad_token", "unk_token", "tokenizer_class")
_FILES = ("tokenizer*", "vocab*", "merges.txt", "*.model", "*.tiktoken")
_LARGEST_ID = 10_000_000  # twenty times the largest vocabulary in use


def load_tokenizer(checkpoint: Checkpoint, trust_remote_code: bool = False) -> Any:
    """Load only the tokenizer; of an adapter without one, that of its base.

    Raises:
        InputError: There is no tokenizer, a file of it has a fault, or it has no end-of-sequence
            token.
    """
    from transformers import AutoTokenizer

    if checkpoint.base is not None and not any(checkpoint.path.glob("tokenizer*")):
        return load_tokenizer(checkpoint.base, trust_remote_code)
    folder = checkpoint.path
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if checkpoint.gguf:
        options["gguf_file"] = checkpoint.gguf
    else:
        if (folder / "config.json").is_file():
            check_config(folder, trust_remote_code)
        _check_there_is_one(folder)
        _check_files(folder)
    try:
        with one_line(checkpoint.place):
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    except InputError:
        _check_fast_file(folder)
        raise
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"{folder}: the tokenizer has no end-of-sequence token; set eos_token in "
            "tokenizer_config.json"
        )
    return tokenizer


def check_end_tokens(checkpoint: Checkpoint, tokenizer: Any, model: Any) -> None:
    """Check that the model can generate the end tokens of its tokenizer and of its settings.

    Args:
        checkpoint: Checkpoint of both, for messages.
        tokenizer: Tokenizer.
        model: Model.

    Raises:
        InputError: An end token is outside of the model's vocabulary.
    """
    rows = getattr(model.config.get_text_config(), "vocab_size", None)
    if not isinstance(rows, int):
        return
    if tokenizer.eos_token_id >= rows:
        raise InputError(
            f"{checkpoint.path / 'tokenizer_config.json'}: eos_token={tokenizer.eos_token!r} has "
            f"the id {tokenizer.eos_token_id}, but the model has {rows} tokens"
        )
    ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    for end in ends if isinstance(ends, list) else [] if ends is None else [ends]:
        if not 0 <= end < rows:
            raise InputError(
                f"{checkpoint.path / 'generation_config.json'}: eos_token_id={ends} has the id "
                f"{end}, but the model has {rows} tokens"
            )


def _check_there_is_one(folder: Path) -> None:
    """Check that a folder has a tokenizer; without one transformers makes an empty one up.

    Raises:
        InputError: It has none.
    """
    if not any(file for pattern in _FILES for file in folder.glob(pattern)):
        raise InputError(
            f"{folder}: no tokenizer here (tokenizer.json, or vocab.json and merges.txt); put the "
            "weights into a folder together with the tokenizer of the model that they were "
            "trained from"
        )


def _check_files(folder: Path) -> None:
    """Check the files of a tokenizer for faults that libraries do not name.

    Raises:
        InputError: A file is no JSON object, or a value has another type, or an id is impossible.
    """
    for name in _JSON_FILES:
        file = folder / name
        if not file.is_file():
            continue
        content = read_object(file)
        for key in _TEXTS:
            if not isinstance(content.get(key), str | Mapping | None):
                raise InputError(f"{file}: cannot be loaded: {key}={content[key]!r} must be text")
        length = content.get("model_max_length")
        if isinstance(length, bool) or not isinstance(length, int | float | None):
            raise InputError(
                f"{file}: cannot be loaded: model_max_length={length!r} must be a number"
            )
        for token in _added_ids(content):
            if not 0 <= token <= _LARGEST_ID:
                raise InputError(f"{file}: cannot be loaded: an added token has the id {token}")
    for file in folder.glob("*.model"):
        refuse_pointer(file)


def _check_fast_file(folder: Path) -> None:
    """Check the file that holds a fast tokenizer, if there is one.

    Raises:
        InputError: The file is broken.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if file.is_file():
        with one_line(file):
            Tokenizer.from_file(str(file))


def _added_ids(content: Mapping[str, Any]) -> list[int]:
    """The ids of added tokens in `tokenizer.json` or `tokenizer_config.json`."""
    added, decoder = content.get("added_tokens"), content.get("added_tokens_decoder")
    entries = added if isinstance(added, list) else []
    ids = [entry.get("id") for entry in entries if isinstance(entry, Mapping)]
    if isinstance(decoder, Mapping):
        ids += [int(token) for token in decoder if token.isdecimal()]
    return [token for token in ids if isinstance(token, int)]
