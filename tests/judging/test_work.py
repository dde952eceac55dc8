"""A stored run is judged from the command line: numbers, files, reruns, and what is refused."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from outcomes import Outcome, contents, run
from scripted_server import ScriptedServer, says
from tiny_world import TinyWorld, make_tiny_world, write_lines

from kdbench.store.results import TaskResult, read_task

KEY = "not-to-be-seen-1234567890"
PROVIDERS_KEY = "sk-" + "SECRET" * 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return make_tiny_world(tmp_path_factory.mktemp("tiny") / "world")


@pytest.fixture
def tiny(made: TinyWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyWorld]:
    for name in ("OPENAI_API_KEY", "MINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with made.copied() as world:
        yield world


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def judge(server: ScriptedServer, words: str, *more: str) -> Outcome:
    """Judge with the scripted server; {one} and {two} need no folder."""
    address = [f"judge_url={server.url}"]
    return run(["judge", *words.split(), "judge=openai:scripted", *address, "data=data", *more])


def result(name: str) -> TaskResult:
    (file,) = Path("results").glob(f"{name}/*/dolly.json")
    return read_task(file)


def record(name: str) -> dict[str, Any]:
    (file,) = Path("results").glob(f"{name}/*/run.json")
    return json.loads(file.read_text())


def test_responses_are_graded_beside_the_reference(tiny: TinyWorld, server: ScriptedServer) -> None:
    """The server grades by the number of words: 3 each; the references have 4 and 1."""
    done = judge(server, "one")
    assert done.code == 0, done
    metrics = result("one").metrics
    assert metrics["judge"].value == pytest.approx(100 * 12 / 10)
    assert metrics["judge_score"].value == 3
    assert metrics["judge_reference"].value == 2.5
    assert metrics["judge"].n == 2
    assert metrics["judge"].version.startswith("1 scripted ")
    assert "120.00" in done.out
    assert "4 replies, 0 judged before" in done.err
    cost = record("one")["judging"]["dolly"]["score"]
    assert (cost["replies"], cost["prompt_tokens"], cost["reply_tokens"]) == (4, 400, 28)
    assert cost["models"] == ["scripted-1"]
    way = result("one").judge["score"]
    assert way["judge"]["settings"] == {"temperature": 0, "max_tokens": 1024}
    assert (way["prompt"]["name"], way["prompt"]["version"]) == ("score-reference", 1)


def test_again_nothing_is_asked_and_no_byte_changes(
    tiny: TinyWorld, server: ScriptedServer
) -> None:
    judge(server, "one")
    before = {file: file.stat().st_mtime_ns for file in Path("results").rglob("*.json*")}
    done = judge(server, "one")
    assert done.code == 0
    assert "0 replies, 4 judged before" in done.err
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert len(server.bodies) == 4


def test_two_runs_are_compared_in_both_orders_and_either_way_round(
    tiny: TinyWorld, server: ScriptedServer
) -> None:
    """Words of one: 3, 3; of two: 3, 4. So `a` ties and `b` is lost."""
    assert judge(server, "one two").code == 0
    values = {name: m.value for name, m in result("one").metrics.items() if name.endswith("@two")}
    assert values == {
        "win_rate@two": 0.25,
        "wins@two": 0,
        "ties@two": 0.5,
        "losses@two": 0.5,
        "judge_flips@two": 0,
        "judge_unparsable@two": 0,
        "judge_refused@two": 0,
        "words_ratio@two": pytest.approx(6 / 7, abs=1e-6),
    }
    assert len(server.bodies) == 8
    assert judge(server, "two one").code == 0  # the same questions, already asked
    assert result("two").metrics["win_rate@one"].value == 0.75
    assert len(server.bodies) == 8


def test_a_judge_that_always_prefers_the_first_is_seen(tiny: TinyWorld) -> None:
    with ScriptedServer(lambda number, question: says("Better: A")) as server:
        judge(server, "one two")
    metrics = result("one").metrics
    assert metrics["judge_flips@two"].value == 1
    assert metrics["win_rate@two"].value == 0.5
    assert metrics["ties@two"].value == 1


def test_the_references_can_be_the_opponent(tiny: TinyWorld, server: ScriptedServer) -> None:
    assert judge(server, "one judge_against=reference").code == 0
    metrics = result("one").metrics
    assert metrics["win_rate@reference"].value == 0.5  # 3 words to 4, and 3 to 1


def test_seeds_and_documents_can_be_chosen(tiny: TinyWorld, server: ScriptedServer) -> None:
    assert judge(server, "one judge_seeds=2 judge_limit=1").code == 0
    found = result("one")
    assert len(server.bodies) == 1
    assert found.documents["judge_score"] == [3, None]
    assert set(found.metrics["judge_score"].per_seed) == {"2"}
    version = found.metrics["judge"].version
    assert judge(server, "one").code == 0
    assert len(server.bodies) == 4  # the first one is not asked again
    assert result("one").metrics["judge"].version != version


def test_another_prompt_or_setting_is_another_judge(
    tiny: TinyWorld, server: ScriptedServer
) -> None:
    Path("mine.j2").write_text(
        "{# version 3 #}{{ question }}\n<response-0>\n{{ answer }}\n</response"
    )
    judge(server, "one")
    versions = {result("one").metrics["judge"].version}
    assert judge(server, "one judge_prompt=mine.j2").code == 0
    versions.add(result("one").metrics["judge"].version)
    assert result("one").metrics["judge"].reason == "the judge saw no reference"
    assert "judge_reference" not in result("one").metrics
    asked = len(server.bodies)
    Path("mine.j2").rename("yours.j2")
    assert judge(server, "one judge_prompt=yours.j2").code == 0
    assert len(server.bodies) == asked  # a name decides nothing
    assert result("one").metrics["judge"].version in versions
    assert judge(server, "one judge_options=temperature=none,top_k=1").code == 0
    versions.add(result("one").metrics["judge"].version)
    assert len(versions) == 3
    assert "temperature" not in server.bodies[-1]
    assert server.bodies[-1]["top_k"] == 1
    asked = len(server.bodies)
    assert judge(server, "one").code == 0  # back to the first: nothing to ask
    assert len(server.bodies) == asked
    assert result("one").metrics["judge"].version in versions


def test_tables_and_comparisons_take_the_judges_metrics(
    tiny: TinyWorld, server: ScriptedServer
) -> None:
    for name in ("one", "two"):
        assert judge(server, name).code == 0
    judge(server, "two one")
    table = run(["table", "columns=judging", "tasks=dolly", "published=none"])
    assert table.code == 0, table
    header, *rows = table.out.splitlines()
    for name in (
        "judge ↑",
        "judge_score ↑",
        "win_rate@one ↑",
        "judge_flips@one",
        "words_ratio@one",
    ):
        assert name in header
    assert any("140.00" in row for row in rows)  # two: (3 + 4) / (4 + 1)
    compared = run(["compare", *tiny.words("{one} {two}"), "tolerance=judge:5,judge_score:0.2"])
    assert compared.code == 0, compared
    assert "+20.00" in compared.out
    judge(server, "two judge_seeds=1")
    refused = run(["compare", *tiny.words("{one} {two}"), "tolerance=judge:5"])
    assert refused.code == 2
    assert "version of judge differs" in refused.out + refused.err


def test_runs_that_are_not_judged_are_named(tiny: TinyWorld, server: ScriptedServer) -> None:
    words = ["compare", *tiny.words("{one} {two}"), "tolerance=judge:5"]
    refused = run(words)
    assert "tolerance=judge:…: no run was judged; kdbench judge does it" in refused.err
    judge(server, "two")
    refused = run(words)
    assert "judge is missing in the base; measure it with judge=" in refused.out + refused.err


def test_scoring_again_keeps_what_the_judge_said(tiny: TinyWorld, server: ScriptedServer) -> None:
    judge(server, "one")
    before = result("one")
    assert run(["score", f"run={tiny.run('one')}", "data=data", "metrics=rougeL"]).code == 0
    after = result("one")
    assert after.metrics["judge"] == before.metrics["judge"]
    assert after.judge == before.judge
    assert run(["score", "samples=one.jsonl", "task=dolly", "data=data"]).code == 0
    assert result("one") == after


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(
    tiny: TinyWorld, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "of-openai-alone")
    assert judge(server, "one").code == 0
    assert set(server.keys) == {None}  # the key of OpenAI is not for other servers
    done = judge(server, "one judge_key_env=MINE judge_options=seed=1")
    assert done.code == 0
    assert server.keys[-1] == f"Bearer {KEY}"
    files = b"".join(content or b"" for content in contents(Path()).values())
    assert KEY.encode() not in files
    assert KEY not in done.out + done.err


@pytest.mark.parametrize(
    ("words", "says_what"),
    [
        ("judge nobody judge=openai:m judge_url={url}", "run=nobody: is not a run folder"),
        ("judge one judge_url={url}", "judge_url= needs judge="),
        ("judge one", "judge= is missing"),
        ("judge one judge=openai:", "must be openai:MODEL"),
        ("judge one judge=http://h/v1", "is an address; give judge=openai:MODEL judge_url="),
        ("judge one judge=openai:m judge_url=h/v1", "must be an address such as http://"),
        ("judge one judge=openai:m judge_url=http://k@h/v1", "must have no login"),
        ("judge one judge=openai:m judge_url=http://h/v1?key=SECRET", "must have no login"),
        (f"judge one judge=openai:m judge_url=http://h/{PROVIDERS_KEY}/v1", "must have no login"),
        (f"judge one judge=openai:m judge_options=user={PROVIDERS_KEY}", "user may be a secret"),
        ("judge one judge=openai:m judge_url=http://h:99999/v1", "must be an address such as"),
        ("judge one judge=openai:m judge_key_env=sk-SECRET", "must be the name of an environment"),
        ("judge one judge=openai:m judge_key=sk-SECRET", "unknown key 'judge_key'"),
        ("judge one judge=openai:m judge_options=api_key=SECRET", "api_key may be a secret"),
        ("judge one judge=openai:m judge_options=model=x", "model is set by kdbench"),
        ("judge one judge=openai:m judge_options=a=2020-01-01", "must hold values that JSON has"),
        ("judge one judge=openai:m judge_options=a=.nan", "must hold values that JSON has"),
        ("judge one judge=openai:m", "environment variable OPENAI_API_KEY must hold the key"),
        ("judge one judge=openai:m judge_key_env=MINE", "environment variable MINE must hold"),
        ("judge one judge=nowhere", "judge=nowhere: no such folder"),
        ("judge one judge=student judge_timeout=3", "needs a judge on a server"),
        ("judge one one judge=openai:m judge_url={url}", "is the judged run itself"),
        ("judge one three judge=openai:m judge_url={url}", "judge_against=three: is not a run"),
        ("judge one teacher judge=openai:m judge_url={url}", "was compared with no teacher"),
        (
            "judge one two three judge=openai:m",
            "'three' is not key=value (run= and judge_against= given already)",
        ),
        ("judge one judge=openai:m judge_url={url} judge_seeds=9", "judge_seeds=9: "),
        ("judge one judge=openai:m judge_url={url} judge_seeds=1,1", "judge_seeds=1,1: must be"),
        ("judge one judge=openai:m judge_url={url} tasks=vicuna", "vicuna"),
        ("judge one judge=openai:m judge_url={url} judge_prompt=none.j2", "No such file"),
        ("judge one judge=openai:m judge_url={url} judge_concurrency=0", "greater than or equal"),
        ("judge one judge=openai:m judge_url={url} judge_timeout=nan", "judge_timeout=nan"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    tiny: TinyWorld, server: ScriptedServer, words: str, says_what: str
) -> None:
    before = contents(Path())
    done = run([*words.format(url=server.url).split(), "data=data"])
    assert done.code == 2, done
    assert says_what in done.err
    assert "SECRET" not in done.err
    assert len(done.err.splitlines()) == 1
    assert contents(Path()) == before
    assert not server.bodies


def test_an_incomplete_run_and_missing_samples_are_named(
    tiny: TinyWorld, server: ScriptedServer
) -> None:
    shutil.rmtree(Path(tiny.run("one")) / "samples")
    assert "there are no samples to judge" in judge(server, "one").err
    (Path(tiny.run("two")) / "dolly.json").unlink()
    assert "has no result for 'dolly'" in judge(server, "two").err


def test_other_data_are_refused(tiny: TinyWorld, server: ScriptedServer) -> None:
    rows = [{"id": "a", "instruction": "Other?", "input": "", "output": ["x"]}]
    write_lines(Path("data/dolly/test.jsonl"), rows)
    done = judge(server, "one")
    assert done.code == 2
    assert "generated from different prompts" in done.err


def test_a_broken_entry_of_the_result_is_named(tiny: TinyWorld, server: ScriptedServer) -> None:
    judge(server, "one")
    file = Path(tiny.run("one")) / "dolly.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "judge": {"score": 3}}))
    assert "judge.score: must be a mapping" in judge(server, "one").err


def test_a_dry_run_shows_the_questions_and_asks_none(
    tiny: TinyWorld, server: ScriptedServer
) -> None:
    before = contents(Path())
    shown = judge(server, "one", "--dry-run")
    assert shown.code == 0, shown
    assert "4 to ask, 0 of 4 judged before; 2 documents × 2 seeds" in shown.out
    for text in ("max_tokens=1024", "document a, seed 1", "Name a colour.", "red is a colour"):
        assert text in shown.out
    assert contents(Path()) == before
    assert not server.bodies
    judge(server, "one")
    assert "0 to ask, 4 of 4 judged before" in judge(server, "one", "--dry-run").out
    assert "against reference" in " ".join(judge(server, "one reference", "--dry-run").out.split())
    done = judge(server, "one tasks=vicuna", "--dry-run")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
