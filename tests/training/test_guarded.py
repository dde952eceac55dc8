"""Students that a batch would disturb are trained and measured as if each row were alone."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, GPTNeoConfig, GPTNeoForCausalLM, MambaConfig
from transformers import MambaForCausalLM as Mamba

import kdbench
from kdbench.errors import InputError

FEW = {
    "batch_size": 4,
    "device": "cpu",
    "learning_rate": 1e-3,
    "limit": 12,
    "max_new_tokens": 8,
    "precision": "float32",
    "steps": 2,
    "validate_every": 2,
    "validation_limit": 6,
}
KINDS = ["mamba", "gpt-neo"]


@pytest.fixture(scope="module", params=KINDS)
def student(request, tmp_path_factory, world) -> Path:
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    size = len(tokenizer)
    ends = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(0)
    if request.param == "mamba":
        model = Mamba(MambaConfig(vocab_size=size, hidden_size=16, num_hidden_layers=2, **ends))
    else:
        config = GPTNeoConfig(
            vocab_size=size,
            hidden_size=16,
            num_heads=2,
            num_layers=2,
            attention_types=[[["global", "local"], 1]],
            window_size=8,
            initializer_range=0.5,
            **ends,
        )
        model = GPTNeoForCausalLM(config)
    path = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.mark.filterwarnings("ignore")
def test_validation_does_not_depend_on_the_rows_that_decode_together(
    student: Path, world, tmp_path: Path, capsys
) -> None:
    found = []
    for rows in (1, 4):
        trained = kdbench.train(
            method="gkd",
            student=str(student),
            teacher=str(world.teacher),
            data=world.data,
            out=tmp_path / str(rows),
            generation_batch_size=rows,
            **FEW,
        )
        log = (trained.checkpoint / "training.jsonl").read_text("utf-8")
        found.append([line for line in log.splitlines() if "rougeL" in line][:1])
    assert found[0]
    assert found[0] == found[1]
    assert "ForCausalLM: rows " in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_greedy_texts_do_not_depend_on_the_batch(
    student: Path, world, tmp_path: Path, capsys
) -> None:
    texts = []
    for rows in (1, 8):
        evaluation = kdbench.evaluate(
            model=str(student),
            data=world.data,
            tasks="dolly",
            protocol="greedy",
            limit=8,
            max_new_tokens=8,
            batch_size=rows,
            device="cpu",
            dtype="float32",
            results=tmp_path / str(rows),
        )
        lines = (evaluation.run / "samples" / "dolly.jsonl").read_text("utf-8").splitlines()
        texts.append(sorted(lines))
    assert texts[0] == texts[1]
    assert "ForCausalLM: rows " in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_an_encoder_is_refused_before_it_answers(world, tmp_path: Path) -> None:
    from transformers import BertConfig, BertLMHeadModel

    tokenizer = AutoTokenizer.from_pretrained(world.student)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_attention_heads=2,
        num_hidden_layers=1,
    )
    BertLMHeadModel(config).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    with pytest.raises(InputError, match="model_type=bert is an encoder"):
        kdbench.evaluate(
            model=str(tmp_path / "bert"),
            data=world.data,
            tasks="dolly",
            limit=2,
            results=tmp_path / "results",
        )
