"""A comparison with a teacher on a server is that with its cached top k, without its responses."""

import pytest
import torch
from scripted_teacher import ScriptedTeacher, every
from transformers import AutoModelForCausalLM, AutoTokenizer

from kdbench.errors import InputError


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("kdbench.system.asking._FIRST_PAUSE", 1e-3)


@pytest.fixture
def server(world):
    model = AutoModelForCausalLM.from_pretrained(world.teacher, dtype=torch.float32)
    with ScriptedTeacher(model, AutoTokenizer.from_pretrained(world.teacher)) as made:
        yield made


def test_bounds_are_those_of_a_cache_and_responses_are_missing(
    compare, server, tmp_path, capsys, world
) -> None:
    server.script = every(5)
    kept = {"teacher_cache": tmp_path / "c", "token_details": False}
    served = compare(
        tmp_path / "s", teacher=server.url, teacher_check=str(world.teacher), **kept
    ).results["dolly"]
    assert "differ from teacher_check= by " in capsys.readouterr().err
    made = {"teacher_cache": tmp_path / "local", "token_details": False}
    compare(tmp_path / "l", **made)
    local = compare(
        tmp_path / "cached", teacher=f"cache:{tmp_path / 'local'}", token_details=False
    ).results["dolly"]
    compared = 0
    for name, metric in served.metrics.items():
        theirs = local.metrics[name]
        if name.endswith(("@ref", "@student")) and metric.value is not None:
            assert metric.value == pytest.approx(theirs.value, rel=1e-4, abs=1e-5), name
            compared += 1
        elif name.endswith("@teacher") or name == "rougeL_teacher":
            assert metric.value is None
    assert compared >= 10
    assert "not drawn as kdbench draws" in served.metrics["rougeL_teacher"].reason
    assert "entropy is not known" in served.metrics["entropy_ratio@ref"].reason
    assert served.teacher["name"] == "tiny"
    assert served.teacher["top_k"] == 64
    asked = len(server.bodies)
    compare(tmp_path / "again", teacher=server.url, **kept)
    assert len(server.bodies) == asked  # the cache has them


def test_what_a_server_cannot_do_is_one_line(compare, server, tmp_path, world) -> None:
    for settings, line in (
        ({"teacher": f"a={server.url},b={server.url}"}, "an evaluation compares with one teacher"),
        ({"tasks": ("skills",)}, "is scored by likelihood"),
        ({"teacher_check": str(world.student)}, "differ from teacher_check= by up to"),
        ({"teacher_budget": 10}, "teacher_budget=10: 0 tokens were sent"),
    ):
        with pytest.raises(InputError, match=line) as error:
            compare(tmp_path / "x", **{"teacher": server.url, **settings})
        assert "\n" not in str(error.value)


def test_what_came_before_the_budget_ended_is_not_paid_again(compare, server, tmp_path) -> None:
    settings = {"teacher": server.url, "token_details": False}
    compare(tmp_path / "whole", **settings)
    budget = sum(len(body["prompt"]) for body in server.bodies) - 1  # ends within a batch
    with pytest.raises(
        InputError, match=f"={budget}: .* 1 texts .* give teacher_cache=DIR, in which"
    ):
        compare(tmp_path / "half", teacher_budget=budget, **settings)
    settings["teacher_cache"] = tmp_path / "cache"
    server.bodies.clear()
    with pytest.raises(InputError, match="what came is stored, and the same command continues"):
        compare(tmp_path / "stored", teacher_budget=budget, **settings)
    paid = {str(body["prompt"]) for body in server.bodies}
    server.bodies.clear()
    compare(tmp_path / "stored", **settings)
    assert len(paid) > 4
    assert not paid & {str(body["prompt"]) for body in server.bodies}
