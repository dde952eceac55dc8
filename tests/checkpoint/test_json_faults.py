"""Faults of a checkpoint's JSON files are one line that names the file, found in no time."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoints import change_json

from kdbench.checkpoint import find_checkpoint, load_checkpoint
from kdbench.distillation.students import StudentSource
from kdbench.errors import InputError
from kdbench.toy.models import World

Change = Callable[[Path], object]


def setting(name: str, **values: Any) -> Change:
    return lambda folder: change_json(folder / name, **values)


def content(name: str, value: object) -> Change:
    return lambda folder: (folder / name).write_text(json.dumps(value))


def text(name: str, value: str) -> Change:
    return lambda folder: (folder / name).write_text(value)


def added_id(number: int) -> Change:
    def change(folder: Path) -> None:
        file = folder / "tokenizer.json"
        tokenizer = json.loads(file.read_text())
        tokenizer["added_tokens"][0]["id"] = number
        file.write_text(json.dumps(tokenizer))

    return change


CARD, CONFIG, GENERATION = "kdbench.json", "config.json", "generation_config.json"
TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"
FAULTS: dict[str, tuple[Change, str]] = {
    "card of NaN": (text(CARD, '{"tokens": NaN}'), "kdbench.json: not JSON: NaN is no finite"),
    "card of 1e999": (
        text(CARD, '{"tokens": 1e999}'),
        "kdbench.json: not JSON: 1e999 is no finite",
    ),
    "card of a surrogate": (text(CARD, r'{"method": "\ud800"}'), "kdbench.json: not a run card"),
    "card, deep": (text(CARD, "[" * 100_000), "kdbench.json: not JSON"),
    "no JSON": (text(CONFIG, "{"), "config.json: cannot be loaded: not JSON"),
    "deep": (text(CONFIG, "[" * 100_000), "config.json: cannot be loaded: not JSON: too deeply"),
    "a list": (content(CONFIG, []), "config.json: cannot be loaded: must be a JSON object, not a"),
    "text": (content(CONFIG, "x"), "config.json: cannot be loaded: must be a JSON object, not a"),
    "null": (
        content(CONFIG, None),
        "config.json: cannot be loaded: must be a JSON object, not null",
    ),
    "no layers": (setting(CONFIG, num_hidden_layers=0), "num_hidden_layers=0 must be a positive"),
    "layers below 0": (setting(CONFIG, num_hidden_layers=-1), "num_hidden_layers=-1 must be a pos"),
    "half layers": (setting(CONFIG, num_hidden_layers=2.5), "num_hidden_layers=2.5 must be a posi"),
    "10^9 layers": (
        setting(CONFIG, num_hidden_layers=10**9),
        "num_hidden_layers=1000000000 is too",
    ),
    "2000 layers": (setting(CONFIG, num_hidden_layers=2000), "the weights hold 20 tensors"),
    "inner layers": (
        setting(CONFIG, text_config={"num_layers": 10**9}),
        r"text_config\.num_layers=1000000000 is too large",
    ),
    "experts": (setting(CONFIG, num_local_experts=10**9), "num_local_experts=1000000000 is too"),
    "heads": (
        setting(CONFIG, num_attention_heads=3),
        "config.json: cannot be loaded: .*attention hea",
    ),
    "kind": (setting(CONFIG, model_type=["x"]), r"config.json: .*model_type=\['x'\] is unknown"),
    "unknown kind": (
        setting(CONFIG, model_type="xyz"),
        "config.json: .*model_type='xyz' is unknown",
    ),
    "dtype": (
        setting(CONFIG, dtype="float128"),
        "config.json: .*dtype='float128' is no type of torch",
    ),
    "dtype of a function": (setting(CONFIG, dtype="zeros"), "dtype='zeros' is no type of torch"),
    "rope": (
        setting(CONFIG, rope_parameters="x"),
        "config.json: cannot be loaded: .*rope_parameters",
    ),
    "positions": (
        setting(CONFIG, max_position_embeddings="many"),
        "config.json: cannot be loaded: .*max_position_embeddings",
    ),
    "generation list": (content(GENERATION, []), "generation_config.json: .*not a list"),
    "generation end": (
        setting(GENERATION, eos_token_id={"a": 1}),
        "generation_config.json: .*eos_token_id",
    ),
    "generation ends": (
        setting(GENERATION, eos_token_id=[[1]]),
        "generation_config.json: .*eos_token_id",
    ),
    "generation end outside": (
        setting(GENERATION, eos_token_id=[1, 512]),
        r"generation_config.json: eos_token_id=\[1, 512\] has the id 512, .* has 512 tokens",
    ),
    "watermark": (
        setting(GENERATION, watermarking_config={"x": 1}),
        "generation_config.json: cannot be loaded: TypeError: Watermark",
    ),
    "tokenizer list": (content(TOKENIZER, [1]), "tokenizer.json: .*must be a JSON object"),
    "tokenizer model": (setting(TOKENIZER, model=None), "tokenizer.json: cannot be loaded"),
    "added id": (added_id(10**9), "tokenizer.json: .*added token has the id 1000000000"),
    "added id below 0": (added_id(-1), "tokenizer.json: .*added token has the id -1"),
    "end number": (
        setting(SETTINGS, eos_token=5),
        "tokenizer_config.json: .*eos_token=5 must be text",
    ),
    "end list": (
        setting(SETTINGS, eos_token=["a"]),
        "tokenizer_config.json: .*eos_token=.* must be text",
    ),
    "end unknown": (
        setting(SETTINGS, eos_token="<zzz>"),
        "tokenizer_config.json: eos_token='<zzz>' has the id 512, but the model has 512 tokens",
    ),
    "length": (
        setting(SETTINGS, model_max_length="x"),
        "tokenizer_config.json: .*model_max_length='x' must be a number",
    ),
    "settings list": (content(SETTINGS, []), "tokenizer_config.json: .*not a list"),
    "settings class": (
        setting(SETTINGS, tokenizer_class=[1]),
        "tokenizer_config.json: .*tokenizer_class",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_one_line_that_names_the_file(world: World, tmp_path: Path, case: str) -> None:
    folder = shutil.copytree(world.student, tmp_path / "model")
    change, line = FAULTS[case]
    change(folder)
    begin = time.monotonic()
    with pytest.raises(InputError, match=line) as error:
        load_checkpoint(find_checkpoint(str(folder)), "auto", "cpu")
    assert "\n" not in str(error.value)
    assert time.monotonic() - begin < 60  # without the checks, hours


def test_a_random_student_of_too_many_layers(world: World, tmp_path: Path) -> None:
    folder = shutil.copytree(world.student, tmp_path / "model")
    change_json(folder / CONFIG, num_hidden_layers=10**9)
    with pytest.raises(InputError, match="num_hidden_layers=1000000000 is too large"):
        StudentSource(f"random:{folder}", None, 0)
