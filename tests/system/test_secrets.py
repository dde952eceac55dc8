"""Passwords and tokens reach neither records nor messages."""

import pytest

from kdbench.config import EvalSettings, parse
from kdbench.errors import InputError
from kdbench.generate.choice import BackendChoice
from kdbench.system.names import folder_name, is_file_name
from kdbench.system.secrets import public, without_secrets


def test_a_record_has_no_secrets() -> None:
    options = {
        "token": "s3cret",
        "hf_token": "s3cret",
        "base_url": "https://me:s3cret@host:1/v1",
        "nested": [{"api_key": "s3cret", "eos_token": "</s>"}],
        "max_model_len": 8,
    }
    assert public(options) == {
        "base_url": "https://***@host:1/v1",
        "nested": [{"eos_token": "</s>"}],
        "max_model_len": 8,
    }
    choice = BackendChoice("x", type("Kind", (), {"secret_options": ()}), "", options)  # type: ignore[arg-type]
    assert "s3cret" not in str(choice.recorded)


def test_a_message_has_no_secrets() -> None:
    assert without_secrets("a={'token': 'x1', 'max_tokens': 3}") == (
        "a={'token': '***', 'max_tokens': 3}"
    )
    key = "sk-" + "s3cret" * 4
    assert without_secrets(f"headers=Bearer {key} desk-top") == "headers=*** *** desk-top"
    with pytest.raises(InputError) as caught:
        parse(EvalSettings, ["model=x", "backend_options=token:s3cret"])
    assert "s3cret" not in str(caught.value)


def test_a_long_value_is_shortened_at_once() -> None:
    with pytest.raises(InputError) as caught:
        parse(EvalSettings, ["model=x", f"limit={'x' * 100_000}"])
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "\x1b[31m", "\u202egnp", "x" * 300])
def test_what_cannot_name_a_folder_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        folder_name(name)
    for key in ("name", "teacher_name", "undistilled_name"):
        words = ["model=x", "teacher=y", "undistilled=z", f"{key}={name}"]
        with pytest.raises(InputError, match=key):
            parse(EvalSettings, words)


def test_names_of_files() -> None:
    assert is_file_name("a.b-c_1+")
    assert not any(map(is_file_name, ["", "..", "a/b", "a b", "é", 5, None]))


@pytest.mark.parametrize("text", ["limit: true", "limit: .nan", "seeds: [true]", 'name: "a\\0b"'])
def test_values_that_would_turn_into_others_are_refused(text: str, tmp_path) -> None:
    (tmp_path / "c.yaml").write_text(f"model: x\n{text}\n")
    with pytest.raises(InputError, match=text.partition(":")[0]):
        parse(EvalSettings, [f"config={tmp_path / 'c.yaml'}"])
