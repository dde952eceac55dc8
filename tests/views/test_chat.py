# ruff: noqa: E501 - one line per case
"""Chat templates: which one is used, and every fault of one in a line."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer

import kdbench
from kdbench.errors import InputError
from kdbench.generate import prompts
from kdbench.generate.prompts import prompt_text
from kdbench.protocol import get_protocol
from kdbench.toy.models import World
from kdbench.views.chat import find_template

ENDLESS = (
    "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
    "{% endfor %}{% endfor %}{% endfor %}"
)


@pytest.fixture(scope="module")
def tokenizer(world: World) -> Any:
    return AutoTokenizer.from_pretrained(world.student)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% if messages[0]['role'] != 'system' %}{{ raise_exception('no system') }}{% endif %}", "no system"),
        ("{% for m in messages %}{{ m['content'] }", "unexpected"),
        ("{{ tools[0].name }}", "no element 0"),
        ("{{ nope() }}", "'nope' is undefined"),
        ("{% include 'x' %}", "no loader"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ [] + 1 }}", "can only concatenate"),
        ("{% for a in range(10**12) %}{% endfor %}", "Range too big"),
        (ENDLESS, "does not end within"),
    ],
)  # fmt: skip
def test_a_template_that_fails_is_one_line(
    template: str, reason: str, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts, "_SECONDS", 0.3)
    protocol = get_protocol("chat", {"chat_template": template})
    start = time.monotonic()
    with pytest.raises(InputError, match=f"the chat template fails: .*{reason}") as error:
        prompt_text(tokenizer, protocol, "", "hello")
    assert "\n" not in str(error.value)
    assert "chat_template=" in str(error.value)
    assert time.monotonic() - start < 30


def named(templates: object) -> Any:
    return SimpleNamespace(chat_template=templates)


def test_a_template_is_chosen_by_name() -> None:
    several = named({"tool_use": "T{{x}}", "rag": "R{{x}}"})
    assert find_template(several, "rag", "m") == "R{{x}}"
    assert find_template(several, "{{x}}", "m") == "{{x}}"
    assert find_template(named({"default": "D", "rag": "R"}), None, "m") == "D"
    assert find_template(named("D"), None, "m") == "D"
    with pytest.raises(InputError, match="no default; pass chat_template=NAME: rag, tool_use"):
        find_template(several, None, "m")
    with pytest.raises(InputError, match="did you mean 'rag'"):
        find_template(several, "rags", "m")
    with pytest.raises(InputError, match="m: no chat template; use protocol=minillm or greedy"):
        find_template(named(None), None, "m")


def test_a_template_is_part_of_the_protocol() -> None:
    plain = get_protocol("chat")
    assert "chat_template" not in plain.as_dict()
    by_name = get_protocol("chat", {"chat_template": "rag"})
    assert by_name.name == "chat+chat_template=rag"
    assert by_name.as_dict()["chat_template"] == "rag"
    texts = [get_protocol("chat", {"chat_template": f"{{{{x}}}}{end}"}) for end in "ab"]
    assert texts[0].name != texts[1].name
    assert "{" not in texts[0].name
    with pytest.raises(InputError, match="chat_template= has no effect without protocol=chat"):
        get_protocol("minillm", {"chat_template": "rag"})


def test_a_template_comes_from_a_file(world: World, tmp_path: Path) -> None:
    file = tmp_path / "plain.jinja"
    file.write_text("{% for m in messages %}<{{ m['content'] }}>{% endfor %}")
    settings: dict[str, Any] = {
        "model": str(world.student),
        "data": world.data,
        "tasks": "dolly",
        "limit": 2,
        "protocol": "chat",
        "seeds": 1,
        "max_new_tokens": 2,
        "results": tmp_path / "results",
        "device": "cpu",
    }
    first = kdbench.evaluate(**settings)
    second = kdbench.evaluate(**settings, chat_template=str(file))
    assert first.run != second.run
    stored = second.results["dolly"].fingerprint["protocol"]
    assert stored["chat_template"] == file.read_text()
    file.write_text("no braces")
    with pytest.raises(InputError, match="so no chat template"):
        kdbench.evaluate(**settings, chat_template=str(file))
    assert kdbench.score(run=second.run, data=world.data).results["dolly"].fingerprint == (
        second.results["dolly"].fingerprint
    )
