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
from kdbench.views.chat import (
    Description,
    Turn,
    check_variables,
    find_template,
    template_variables,
)

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


SYSTEM = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] | trim }}{% endfor %}"
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
    "{% for m in messages %}{{ m['content'] }}{% endfor %}"
)
FORGETS = "{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}{% endfor %}"


def rendered(tokenizer: Any, template: str, message: Any = "hello", **fields: Any) -> str:
    protocol = get_protocol("chat", {"chat_template": template, **fields})
    return prompt_text(tokenizer, protocol, "", message)


def test_a_system_turn_comes_first(tokenizer: Any) -> None:
    text = rendered(tokenizer, SYSTEM, system="Be brief.")
    assert text == "<system>Be brief.<user>hello"
    turns = (Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c"))
    assert rendered(tokenizer, SYSTEM, turns, system="s\n") == "<system>s<user>a<assistant>b<user>c"
    own = (Turn("system", "own"), Turn("user", "a"))
    assert rendered(tokenizer, SYSTEM, own) == "<system>own<user>a"
    with pytest.raises(InputError, match="have a system turn of their own; leave out system="):
        rendered(tokenizer, SYSTEM, own, system="s")
    task = (Description("system", "Add.", "\n\n"), Turn("user", "a"))
    assert rendered(tokenizer, SYSTEM, task, system="s") == "<system>s\n\nAdd.<user>a"


def test_a_template_without_a_system_turn_names_the_way_out(tokenizer: Any) -> None:
    with pytest.raises(InputError, match=r"No system role; it takes no system turn: leave out sys"):
        rendered(tokenizer, NO_SYSTEM, system="s")
    assert rendered(tokenizer, NO_SYSTEM) == "hello"
    with pytest.raises(InputError, match="leaves out the system turn; leave out system="):
        rendered(tokenizer, FORGETS, system="s")
    needs = "{% if messages[0].role != 'system' %}{{ raise_exception('no') }}{% endif %}x"
    with pytest.raises(InputError, match="fails: no; it needs a system turn: pass system=TEXT"):
        rendered(tokenizer, needs)


def test_variables_reach_the_template(tokenizer: Any) -> None:
    template = (
        "{% if enable_thinking is defined and not enable_thinking %}no {% endif %}{{ depth }}"
    )
    assert rendered(tokenizer, template) == ""
    given = {"enable_thinking": False, "depth": 3}
    assert rendered(tokenizer, template, chat_template_kwargs=given) == "no 3"


def test_variables_are_those_that_the_caller_can_set() -> None:
    template = (
        "{% set ns = namespace(n=0) %}{% for turn in messages %}{% generation %}{{ turn.role }}"
        "{%- endgeneration -%}{% if loop.first %}{% continue %}{% endif %}{% do [].append(1) %}"
        "{% endfor %}{% set depth = depth | default(1) %}{% if think is defined %}{% endif %}"
    )
    assert template_variables(template) == {"messages", "depth", "think"}
    assert template_variables("{% if %}") == frozenset()


def test_a_template_without_variables_says_so() -> None:
    with pytest.raises(InputError, match=r"nothing; it reads none that can be set$"):
        check_variables("{% for turn in messages %}{{ turn.content }}{% endfor %}", ["think"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("enable_thinkin", "reads no such variable.*did you mean 'enable_thinking'"),
        ("word", "reads no such variable"),  # a word of the text, not a name
        ("tools", "kdbench sets it"),
        ("add_generation_prompt", "kdbench sets it"),
    ],
)
def test_a_variable_that_changes_nothing_is_refused(name: str, reason: str, tokenizer: Any) -> None:
    template = "{% if enable_thinking %}a word{% endif %}{{ 'word' }}"
    with pytest.raises(InputError, match=f"^chat_template_kwargs={name}=….*{reason}"):
        rendered(tokenizer, template, chat_template_kwargs={name: 1})
    protocol = get_protocol("chat", {"chat_template": template, "chat_template_kwargs": {name: 1}})
    with pytest.raises(InputError, match=reason):
        prompts.check_template(tokenizer, protocol, "m")
