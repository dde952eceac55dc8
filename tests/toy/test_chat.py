"""The toy chat model: its template has a thinking mode, and it learns both modes."""

import json
from pathlib import Path

from kdbench.generate.thinking import find_marks, split_thinking
from kdbench.protocol import get_protocol
from kdbench.toy.chat import chat_tokenizer, encode_chat_row, make_chat_model, thought_of
from kdbench.toy.finetuning import IGNORED
from kdbench.toy.models import Size, World

ROW = {"instruction": "What is the city of Anna?", "input": "", "output": ["Anna lives in Rome."]}


def test_a_row_is_learnt_with_and_without_a_thought(world: World) -> None:
    tokenizer = chat_tokenizer(world.data)
    thought = "Anna is a baker of Rome, has a cat and likes red."
    assert thought_of(ROW) == thought
    texts = {}
    for thinks in (True, False):
        row = encode_chat_row(tokenizer, ROW, thinks)
        learnt = [token for token in row.targets if token != IGNORED]
        texts[thinks] = (tokenizer.decode(row.ids), tokenizer.decode(learnt))
        assert row.ids[-1] == learnt[-1] == tokenizer.eos_token_id
    assert texts[True][1] == f"<think>\n{thought}\n</think>\n\nAnna lives in Rome.<|eos|>"
    assert texts[False][1] == "Anna lives in Rome.<|eos|>"
    assert texts[False][0].endswith("<think>\n\n</think>\n\nAnna lives in Rome.<|eos|>")
    marks = find_marks(tokenizer, get_protocol("chat"))
    assert marks is not None
    split = split_thinking(texts[True][1], marks)
    assert texts[True][1][split.answer :] == texts[False][1]


def test_a_model_is_made_once(world: World, tmp_path: Path) -> None:
    losses: list[float] = []
    size = Size(layers=1, width=16, heads=2, inner=16)
    folder = make_chat_model(
        tmp_path / "chat", world.data, 3, size, report=lambda _, loss: losses.append(loss)
    )
    assert len(losses) == 3
    config = json.loads((folder / "config.json").read_text())
    assert config["vocab_size"] == len(chat_tokenizer(world.data))
    assert make_chat_model(folder, tmp_path / "nowhere") == folder
