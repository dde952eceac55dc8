"""Student and teacher with random weights of given sizes, a tokenizer of as many words, and data.

Speed does not depend on what a model has learned, and no checkpoint of the wanted size has to be
at hand. The models are Llamas in the shape of Qwen2.5.
"""

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.device import device

HEAD = 64  # width of an attention head
INNER = 5.43  # width of the feed-forward layer of Qwen2.5-0.5B, by its hidden size
VOCABULARY = "KDBENCH_BENCH_VOCABULARY"


@dataclass(frozen=True)
class Sizes:
    """The sizes of student and teacher.

    Attributes:
        vocabulary: Number of tokens.
        hidden: Hidden sizes of student and teacher.
        layers: Their numbers of layers.
    """

    vocabulary: int
    hidden: tuple[int, int]
    layers: tuple[int, int]

    def __str__(self) -> str:
        both = [f"{h} × {n} layers" for h, n in zip(self.hidden, self.layers, strict=True)]
        return f"random weights, V = {self.vocabulary:,}, hidden {both[0]} from {both[1]}"


def sizes() -> Sizes | None:
    """The sizes that the environment names; None without KDBENCH_BENCH_VOCABULARY.

    KDBENCH_BENCH_HIDDEN is `896,1536` by default, KDBENCH_BENCH_LAYERS `24,28` on a GPU, as in
    Qwen2.5 of 0.5 and 1.5 billion parameters, and `2,2` on a CPU.
    """
    if VOCABULARY not in os.environ:
        return None
    layers = os.environ.get("KDBENCH_BENCH_LAYERS", "2,2" if device() == "cpu" else "24,28")
    hidden = os.environ.get("KDBENCH_BENCH_HIDDEN", "896,1536")
    return Sizes(int(os.environ[VOCABULARY]), _pair(hidden), _pair(layers))


def _pair(text: str) -> tuple[int, int]:
    student, teacher = (int(part) for part in text.split(","))
    return student, teacher


def make_models(within: Path, wanted: Sizes, prompt: int, response: int, rows: int) -> Path:
    """Write `student`, `teacher` and `data` into a folder of these sizes, unless they are there.

    Args:
        within: Where the folder is made.
        wanted: The sizes.
        prompt: Tokens of a prompt.
        response: Tokens of a response, with the end token.
        rows: Training rows.

    Returns:
        The folder.
    """
    numbers = (wanted.vocabulary, *wanted.hidden, *wanted.layers, prompt, response, rows)
    folder = within / "-".join(str(number) for number in numbers)
    done = folder / "done"
    if done.exists():
        return folder
    tokenizer = _tokenizer(wanted.vocabulary)
    for number, name in enumerate(("student", "teacher")):
        _model(wanted, number, tokenizer).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    data = folder / "data" / "dolly"
    data.mkdir(parents=True)
    draw = random.Random(0)
    for split, count in (("train", rows), ("valid", 8)):
        texts = [_row(draw, wanted.vocabulary, prompt, response) for _ in range(count)]
        (data / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    done.touch()
    return folder


def _row(draw: random.Random, vocabulary: int, prompt: int, response: int) -> dict[str, str]:
    words = [f"w{draw.randrange(2, vocabulary)}" for _ in range(prompt + response - 1)]
    return {"prompt": " ".join(words[:prompt]), "response": " ".join(words[prompt:])}


def _tokenizer(vocabulary: int) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<end>": 1} | {f"w{number}": number for number in range(2, vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>")


def _model(wanted: Sizes, number: int, tokenizer: Any) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM  # whose tokenizer is read as it is

    torch.manual_seed(number)
    hidden = wanted.hidden[number]
    config = LlamaConfig(
        vocab_size=wanted.vocabulary,
        hidden_size=hidden,
        intermediate_size=int(INNER * hidden),
        num_hidden_layers=wanted.layers[number],
        num_attention_heads=max(1, hidden // HEAD),
        num_key_value_heads=2 if hidden >= 2 * HEAD else 1,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.device(device()):
        return LlamaForCausalLM(config).bfloat16()
