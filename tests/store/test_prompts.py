"""What a task asked, in the file beside its samples."""

import json
from pathlib import Path
from typing import Any

import pytest

from kdbench.errors import InputError
from kdbench.store.folder import RunFolder
from kdbench.store.prompts import StoredPrompt, prompt_record, read_prompt

TURNS = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"})
PROMPTS = [
    StoredPrompt("a", "Say\n“ja”", " twice", 3, (), ("ja", "yes"), "words"),
    StoredPrompt("b", "<user>Hi", "", 2, TURNS),
    StoredPrompt("c", "Hi", None, None),
]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.prompts("t") == []
    run.write_prompts("t", PROMPTS)
    assert run.prompts("t") == PROMPTS
    lines = (tmp_path / "samples" / "t.prompts.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[2]) == {
        "id": "c",
        "prompt": "Hi",
        "cut": None,
        "n_prompt_tokens": None,
        "references": [],
    }


def test_equal_prompts_are_not_written_again_and_damaged_ones_are(tmp_path: Path) -> None:
    run, file = RunFolder(tmp_path), tmp_path / "samples" / "t.prompts.jsonl"
    run.write_prompts("t", PROMPTS)
    whole = file.read_bytes()
    file.parent.chmod(0o500)
    run.write_prompts("t", PROMPTS)
    file.parent.chmod(0o700)
    for damaged in (whole[:-1], whole + whole, b"", b"{}\n", whole.replace(b'"prompt"', b'"p"')):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"prompts\.jsonl"):
            run.prompts("t")
        run.write_prompts("t", PROMPTS)
        assert file.read_bytes() == whole


def test_the_file_is_none_of_the_samples(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_prompts("t", PROMPTS)
    (tmp_path / "samples" / "t.prompts.jsonl").write_text("torn")
    assert run.damaged_files("t") == []
    assert run.shard_files("t") == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"id": 1}, "id: must be text"),
        ({"prompt": None}, "prompt: must be text"),
        ({"cut": 3}, "cut: must be text or null"),
        ({"n_prompt_tokens": -1}, "n_prompt_tokens: must be a whole number"),
        ({"references": "yes"}, "references: must be a list of texts"),
        ({"messages": ["Hi"]}, "messages: must be a list of turns"),
        ({"category": 1}, "category: must be text or null"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], what: str) -> None:
    record = {**json.loads(json.dumps(prompt_record(PROMPTS[0]))), **change}
    with pytest.raises(InputError, match=f"f:1: not a prompt: {what}"):
        read_prompt(record, "f:1")
