"""A teacher on a server: a run beside it is the run beside the local teacher's top k."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from scripted_teacher import Fault, ScriptedTeacher, every
from transformers import AutoModelForCausalLM, AutoTokenizer

import kdbench
from kdbench.errors import InputError
from kdbench.scores.cache import TopKCache
from kdbench.scores.index import digests_in, sizes_of_files
from kdbench.training.chunk import TopK
from kdbench.views.view import ModelView

K = 8
FEW = {
    "method": "kd",
    "steps": 3,
    "batch_size": 8,
    "limit": 16,
    "learning_rate": 1e-2,
    "max_new_tokens": 4,
    "validation_limit": 2,
    "select": "last",
    "teacher_top_k": K,
    "device": "cpu",
    "precision": "float32",
}
GKD = {"method": "gkd", "student_fraction": 0.6, "steps": 4, "save_every": 1}


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("kdbench.system.asking._FIRST_PAUSE", 1e-3)


@pytest.fixture(scope="module")
def local(world):
    """The local teacher and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(world.teacher, dtype=torch.float32)
    return model.requires_grad_(False), AutoTokenizer.from_pretrained(world.teacher)


@pytest.fixture
def server(local):
    with ScriptedTeacher(*local) as made:
        yield made


@pytest.fixture(scope="module")
def plain(world, local, tmp_path_factory) -> Path:
    """The runs `kd` and `gkd` beside a server without faults, and `local` beside the model."""
    folder = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patch, ScriptedTeacher(*local) as server:
        patch.setenv("NO_PROXY", "127.0.0.1")
        run(world, folder / "kd", teacher=server.url)
        run(world, folder / "gkd", teacher=server.url, **GKD)
    run(world, folder / "local", teacher=world.teacher, teacher_cache=folder / "c")
    return folder


def run(world, out: Path, **settings: object):
    both = {"student": str(world.student), "data": world.data}
    return kdbench.train(**{**FEW, **both, "out": out, **settings})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def content(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "model.safetensors").read_bytes(), (folder / "training.jsonl").read_bytes()


def assert_same_training(one: Path, other: Path) -> None:
    """The same weights and losses up to the rounding of float32."""
    ours, theirs = weights(one), weights(other)
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=1e-4)
    logs = [
        [json.loads(line) for line in (f / "training.jsonl").read_text().splitlines()]
        for f in (one, other)
    ]
    losses = [[line["loss"] for line in log if "loss" in line] for log in logs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0]


@pytest.mark.parametrize("api", ["vllm", "sglang", "openai"])
def test_a_run_is_that_beside_the_local_teachers_top_k(world, local, plain, tmp_path, api) -> None:
    with ScriptedTeacher(*local, api=api) as server:
        trained = run(world, tmp_path / "served", teacher=server.url)
    assert_same_training(tmp_path / "served", plain / "local")
    served = trained.card["served_teacher"]
    assert served == {
        "api": api,
        "model": "tiny",
        "root": "models/tiny",
        "sampled": 0,
        "retries": {},
        "requests": len(server.bodies),
        "tokens": sum(len(body.get("input_ids") or body["prompt"]) for body in server.bodies),
    }
    assert "127.0.0.1" not in json.dumps(trained.card["training"])


class LiveTopK:
    """The top k of a local model and the rest, live: what the cache's form should amount to."""

    def __init__(self, model, vocabulary: int):
        self._view = ModelView(model, vocabulary)

    def top_k(self, batch) -> TopK:
        log_p = self._view.logits(self._view.states(batch)).double().log_softmax(-1)
        values, ids = log_p.topk(K, dim=-1)
        rest = log_p.scatter(-1, ids, -math.inf).logsumexp(-1)
        return TopK(ids, values.float(), rest.float())

    def states(self, _):
        raise AssertionError

    logits = states


def test_new_samples_are_scored_as_the_local_teacher_scores_them(
    world, local, plain, server, tmp_path, monkeypatch
) -> None:
    model, tokenizer = local
    live = LiveTopK(model, len(tokenizer))
    monkeypatch.setattr("kdbench.distillation.fit.CachedTeacherView", lambda *_: live)
    run(world, tmp_path / "live", teacher=server.url, **GKD)
    assert_same_training(plain / "gkd", tmp_path / "live")


def test_opd_needs_no_more_than_the_tokens_own_probability(world, server, tmp_path) -> None:
    opd = {"method": "opd", "steps": 2, "limit": 8, "teacher_top_k": 1}
    run(world, tmp_path / "served", teacher=server.url, **opd)
    recipe = {key: value for key, value in {**FEW, **opd}.items() if key != "teacher_top_k"}
    both = {"student": str(world.student), "data": world.data, "teacher": str(world.teacher)}
    kdbench.train(**recipe, **both, out=tmp_path / "model")
    assert_same_training(tmp_path / "served", tmp_path / "model")


def test_faults_change_nothing_and_are_counted(world, local, plain, tmp_path) -> None:
    with ScriptedTeacher(*local, script=every(2)) as server:
        for method, settings in (("kd", {}), ("gkd", GKD)):
            trained = run(world, tmp_path / method, teacher=server.url, **settings)
            assert content(tmp_path / method) == content(plain / method)
    retries = trained.card["served_teacher"]["retries"]
    assert sum(retries.values()) > 10
    assert set(retries) == {"connection", "nonsense", "rate limit", "server error"}
    card = json.loads((plain / "gkd" / "kdbench.json").read_text())
    assert card["served_teacher"]["retries"] == {}
    assert card["training"] == trained.card["training"]


PROGRAM = """
import json, sys, kdbench
kdbench.train(**json.loads(sys.argv[1]))
"""


def test_a_killed_run_asks_for_nothing_twice(world, local, plain, tmp_path) -> None:
    running: list[subprocess.Popen[bytes]] = []

    def script(number: int) -> Fault | None:
        if number == 25:
            os.kill(running[-1].pid, signal.SIGKILL)
            running[-1].wait()
        return None

    here = {"student": str(world.student), "data": str(world.data), "out": str(tmp_path / "run")}
    with ScriptedTeacher(*local, script=script) as server:
        settings = {**FEW, **GKD, **here, "teacher": server.url, "teacher_concurrency": 4}
        running.append(subprocess.Popen([sys.executable, "-c", PROGRAM, json.dumps(settings)]))
        assert running[-1].wait() == -signal.SIGKILL
        assert (tmp_path / "run.unfinished").is_dir()
        scores = TopKCache(next((tmp_path / "teacher-scores").iterdir())).scores
        stored = digests_in(scores, sizes_of_files(scores))
        assert len(stored) >= 25 - 5 - 2 * 4
        run(world, tmp_path / "run", teacher=server.url, **GKD)
        again = sum(count > 1 for count in server.asked.values())
    assert again <= 2 * 4 + 4  # on their way or not yet written, and those of the check
    assert content(tmp_path / "run") == content(plain / "gkd")


def test_a_second_run_asks_only_what_is_new(world, server, tmp_path) -> None:
    run(world, tmp_path / "one", teacher=server.url)
    asked = len(server.bodies)
    run(world, tmp_path / "two", teacher=server.url, learning_rate=1e-3)
    assert len(server.bodies) == asked
    assert run(world, tmp_path / "two", teacher=server.url, learning_rate=1e-3).steps == 0


def test_a_budget_ends_a_command_and_the_next_one_continues(world, server, tmp_path) -> None:
    with pytest.raises(InputError, match=r"teacher_budget=300: \d+ tokens were sent, and \d+ text"):
        run(world, tmp_path / "x", teacher=server.url, teacher_budget=300)
    sent = sum(len(body["prompt"]) for body in server.bodies)
    assert sent <= 300
    trained = run(world, tmp_path / "x", teacher=server.url, teacher_budget=10_000)
    total = sum(len(body["prompt"]) for body in server.bodies)
    assert trained.card["served_teacher"]["tokens"] == total  # of both commands
    assert sum(count > 1 for count in server.asked.values()) <= 4  # those of the two checks


def test_several_teachers_by_tag(world, local, tmp_path) -> None:
    student = AutoModelForCausalLM.from_pretrained(world.student, dtype=torch.float32)
    with (
        ScriptedTeacher(*local, name="one") as one,
        ScriptedTeacher(student, local[1], name="two") as two,
    ):
        both = f"keep={one.url},last={two.url}"
        with pytest.raises(InputError, match="the method needs the field 'domain'"):
            run(world, tmp_path / "x", teacher=both)
        rows = [
            json.loads(line)
            for line in (world.data / "dolly" / "train.jsonl").read_text().splitlines()
        ]
        kept = [row for row in rows if row["category"] in ("keep", "last")]
        file = tmp_path / "train.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in kept))
        (tmp_path / "valid.jsonl").write_text(file.read_text())
        settings = {"train_set": str(file), "teacher_field": "category", "limit": None}
        with pytest.raises(InputError, match=r"row .*: 'category' is '\w+', and teacher= has 'a'"):
            run(world, tmp_path / "x", teacher=f"a={one.url},b={two.url}", **settings)
        trained = run(world, tmp_path / "x", teacher=both, **settings)
        counts = {name: len(server.asked) for name, server in (("one", one), ("two", two))}
    by_tag = {tag: sum(row["category"] == tag for row in kept) for tag in ("keep", "last")}
    assert counts["one"] <= by_tag["keep"]  # equal texts are asked once
    assert 0 < counts["two"] <= by_tag["last"]
    assert set(trained.card["served_teacher"]["models"]) == {"keep", "last"}
    assert trained.card["training"]["teacher"]["name"] == "keep=one,last=two"


def test_a_server_answers_prompts_once(world, server, tmp_path) -> None:
    trained = run(world, tmp_path / "a", method="seqkd", teacher=server.url, teacher_budget=9999)
    assert trained.card["served_teacher"]["sampled"] > 0
    sampled = server.sampled
    assert sampled == FEW["limit"]
    assert not any("prompt_logprobs" in body for body in server.bodies)
    run(world, tmp_path / "b", method="seqkd", teacher=server.url, kd_ratio=0.5)
    assert server.sampled == sampled
    assert any("prompt_logprobs" in body for body in server.bodies)


def test_the_local_model_must_agree_and_a_key_is_kept_nowhere(
    world, server, tmp_path, monkeypatch, capfd
) -> None:
    secret = "not-to-be-seen-1234567890"
    monkeypatch.setenv("MY_KEY", secret)
    both = {"teacher_check": str(world.teacher), "teacher_key_env": "MY_KEY"}
    run(world, tmp_path / "a", teacher=server.url, **both)
    out, line = capfd.readouterr()
    assert "teacher 'tiny' at http://127.0.0.1" in line
    differs = re.search(r"differ from teacher_check= by (\S+) nats at most", line)
    assert differs is not None
    assert float(differs[1]) < 1e-4
    assert set(server.keys) == {f"Bearer {secret}"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(secret.encode() in path.read_bytes() for path in files)
    assert secret not in out + line
    with pytest.raises(InputError, match=r"differ from teacher_check= by up to [\d.]+ nats"):
        run(world, tmp_path / "b", teacher=server.url, teacher_check=str(world.student))


def test_another_model_under_the_same_name_is_noticed(world, local, tmp_path) -> None:
    with ScriptedTeacher(*local) as server:
        run(world, tmp_path / "a", teacher=server.url)
    student = AutoModelForCausalLM.from_pretrained(world.student, dtype=torch.float32)
    same_name = pytest.raises(InputError, match="it is another model under the same name")
    with ScriptedTeacher(student, local[1]) as server, same_name:
        run(world, tmp_path / "b", teacher=server.url, limit=24)
    other_name = pytest.raises(InputError, match=r"different teacher name \(was tiny, is other\)")
    with ScriptedTeacher(*local, name="other") as server, other_name:
        run(world, tmp_path / "a", teacher=server.url)
    with ScriptedTeacher(*local) as server:  # at another address, it is the same teacher
        assert run(world, tmp_path / "a", teacher=server.url).steps == 0


def _renormalised(reply):
    for at in reply["choices"][0]["prompt_logprobs"][1:]:
        top = [entry for entry in at.values() if entry["rank"] <= K]
        mass = math.fsum(math.exp(entry["logprob"]) for entry in top)
        for entry in at.values():
            entry["logprob"] -= math.log(mass)
        for n, entry in enumerate(sorted(top, key=lambda entry: -entry["logprob"])):
            entry["logprob"] = math.log(0.3 if n == 0 else 0.1)  # so that the last one is likely
    return reply


def _short(reply):
    listed = reply["choices"][0]["prompt_logprobs"]
    listed[-1] = dict(list(listed[-1].items())[:2])
    return reply


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (_renormalised, "it normalises over those alone"),
        (_short, r"texts or more got no reply .*likely tokens at a position instead of 8"),
        (lambda _: "<html>", "no JSON"),
        (lambda _: {"choices": [{"prompt_logprobs": None}]}, "no prompt_logprobs"),
        (lambda _: {}, "got no reply"),
    ],
)
def test_a_server_that_gives_something_else_is_one_line(
    world, local, tmp_path, change, line
) -> None:
    refused = pytest.raises(InputError, match=line)
    with ScriptedTeacher(*local, change=change) as server, refused as error:
        run(world, tmp_path / "x", teacher=server.url)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("**/teacher.json"))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"method": "minillm"}, "method=minillm needs the teacher's"),
        ({"method": "taid"}, "method=taid needs the teacher's whole distribution"),
        ({"temperature": 2.0}, r"whole distribution \(forward_kl\(temperature=2"),
        ({"teacher_dtype": "bfloat16"}, "teacher_dtype=bfloat16: has no effect on a teacher that"),
        ({"teacher_offload": True}, "teacher_offload=true: has no effect"),
        ({"student": "prune:teacher,layers=2"}, "a server gives no weights; name the teacher"),
        ({"teacher_model": "big"}, r"teacher_model=big: .* does not have it: .*tiny"),
        ({"teacher_key_env": "NOT_THERE"}, "teacher_key_env=NOT_THERE: the environment variable"),
    ],
)
def test_what_a_server_cannot_do_is_one_line(world, server, tmp_path, settings, line) -> None:
    with pytest.raises(InputError, match=line) as error:
        run(world, tmp_path / "x", **{"teacher": server.url, **settings})
    assert "\n" not in str(error.value)
    assert not server.bodies
    assert not list(tmp_path.iterdir())


def test_nobody_there_is_one_line_at_once(world, tmp_path) -> None:
    with pytest.raises(InputError, match=r"no connection: .*; start the server, or"):
        run(world, tmp_path / "x", teacher="http://127.0.0.1:9/v1")
