"""A backend follows the protocol, and nothing of the checkpoint's own generation settings."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from answering import samples

from kdbench.checkpoint import find_checkpoint
from kdbench.generate import Options
from kdbench.generate.hf import HFBackend
from kdbench.generate.lm_eval import LMEvalBackend
from kdbench.generate.vllm import VLLMBackend
from kdbench.protocol import get_protocol
from kdbench.toy.models import World

PROMPTS = ["a b c", "Reverse the list: 1 2 3 4 5 6 7 8", "the the the"]
SETTINGS: dict[str, Any] = {
    "repetition_penalty": 0.01,
    "min_p": 0.9,
    "typical_p": 0.2,
    "bad_words_ids": [[token] for token in range(20, 400)],
    "suppress_tokens": list(range(20, 400)),
    "begin_suppress_tokens": list(range(20, 400)),
    "no_repeat_ngram_size": 1,
    "num_beams": 3,
    "min_new_tokens": 9,
    "forced_bos_token_id": 30,
    "max_new_tokens": 2,
    "exponential_decay_length_penalty": [1, 5.0],
    "stop_strings": ["e"],
}
BACKENDS = {"hf": HFBackend, "lm_eval": LMEvalBackend}


def outputs(folder: Path, backend: str, temperature: float) -> dict[tuple[str, int], str]:
    seeds = (1, 2) if temperature else (0,)
    fields = {"max_new_tokens": 9, "temperature": temperature, "seeds": seeds}
    protocol = get_protocol("greedy", fields)
    options = Options("float32", "cpu", 2, argument="hf" if backend == "lm_eval" else "")
    made = BACKENDS[backend](find_checkpoint(str(folder)), protocol, options)
    return {key: sample.output for key, sample in samples(made, PROMPTS).items()}


@pytest.fixture(scope="module")
def plain(world: World) -> dict[tuple[str, float], dict[tuple[str, int], str]]:
    return {
        (backend, temperature): outputs(world.teacher, backend, temperature)
        for backend in BACKENDS
        for temperature in (0.0, 1.0)
    }


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("key", SETTINGS)
def test_the_checkpoints_own_setting_changes_no_text(
    key: str,
    backend: str,
    world: World,
    tmp_path: Path,
    plain: dict[tuple[str, float], dict[tuple[str, int], str]],
) -> None:
    folder = shutil.copytree(world.teacher, tmp_path / "model")
    file = folder / "generation_config.json"
    content = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**content, key: SETTINGS[key]}))
    temperature = 1.0 if key in ("min_p", "typical_p") else 0.0
    assert outputs(folder, backend, temperature) == plain[backend, temperature]


def test_vllm_is_told_to_ignore_them(world: World) -> None:
    backend = object.__new__(VLLMBackend)
    backend.protocol = get_protocol("greedy")
    backend.checkpoint = find_checkpoint(str(world.student))
    backend.options = Options("float32", "cpu", 2)
    backend.tokenizer = SimpleNamespace(get_vocab=lambda: {"a": 0, "end": 600})
    backend.unloaded = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=512))
    backend._dtype = "float32"
    arguments = backend._arguments()
    assert arguments["generation_config"] == "vllm"
    assert arguments["additional_config"].vocabulary == 601
