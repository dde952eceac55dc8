# ruff: noqa: ARG002 - this backend does not need all of its arguments
"""The thinking is measured beside the answer: generated, rescored, and in texts from elsewhere."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from rouge_score.rouge_scorer import RougeScorer

import kdbench
from kdbench.checkpoint import Checkpoint
from kdbench.errors import InputError
from kdbench.generate import Backend, Options, Prompt, Row, Sample, backends
from kdbench.generate.prompts import check_template, encode_prompt
from kdbench.generate.row.response import Response
from kdbench.generate.thinking import find_marks
from kdbench.measuring.advice import template_advice
from kdbench.protocol import Protocol, get_protocol
from kdbench.toy.chat import chat_tokenizer
from kdbench.toy.models import World

ANSWERS = {"a": "Anna lives in Rome.", "b": "Ben works as a doctor."}
THOUGHTS = {"a": "<think>\nAnna is 13.\n</think>\n\n", "b": "<think>\nBen has a dog."}


class Scripted(Backend):
    """Writes a thought and an answer; document b never ends its thinking."""

    def __init__(self, checkpoint: Checkpoint, protocol: Protocol, options: Options):
        self.protocol, self.tokenizer = protocol, chat_tokenizer(checkpoint.path.parent / "data")
        check_template(self.tokenizer, protocol, checkpoint.path)

    def encode(self, prompt: str, message: Any) -> Prompt:
        """Encode a document."""
        return encode_prompt(self.tokenizer, self.protocol, prompt, message)

    def batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """One batch."""
        yield list(rows)

    def generate(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        """One sample for each row."""
        marks = find_marks(self.tokenizer, self.protocol)
        ends = frozenset({self.tokenizer.eos_token_id})
        for row in rows:
            response = Response(row, self.protocol, self.tokenizer, ends, until, marks)
            answer = ANSWERS["a"] if row.document == "a" else ""
            text = THOUGHTS[row.document] + answer
            for token in [*self.tokenizer(text)["input_ids"], *ends]:
                if (sample := response.take(token)) is not None:
                    yield sample
                    break


@pytest.fixture
def place(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a task of two documents, in which a scripted model can be measured."""
    if "scripted" not in backends.names():
        backends.register("scripted")(Scripted)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    rows = [{"id": key, "q": f"Who is {key}?", "a": text} for key, text in ANSWERS.items()]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {
        "task": "who",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "rows.jsonl")}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{q}}",
        "doc_to_target": "{{a}}",
        "generation_kwargs": {"until": ["\n"]},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
    }
    (tmp_path / "who.yaml").write_text(yaml.safe_dump(task))
    return tmp_path


def evaluated(world: World, **keys: Any) -> Any:
    return kdbench.evaluate(
        model=str(world.student),
        backend="scripted",
        tasks="who.yaml",
        protocol="chat",
        seeds=1,
        metrics="rougeL,exact_match,empty",
        **keys,
    )


def rouge(reference: str, text: str) -> float:
    return 100 * RougeScorer(["rougeL"], use_stemmer=True).score(reference, text)["rougeL"].fmeasure


def values(evaluation: Any, *names: str) -> list[float]:
    return [pytest.approx(evaluation.results["who"].metrics[name].value) for name in names]


def texts_of(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's samples without the scores."""
    lines = (run / "samples" / "who.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "scores"} for line in lines]


def test_the_same_answers_with_and_without_the_thinking(world: World, place: Path) -> None:
    stripped = evaluated(world)
    names = ("rougeL", "exact_match,none", "empty", "unclosed_thinking")
    assert values(stripped, *names) == [50.0, 0.5, 0.5, 0.5]
    tokenizer = chat_tokenizer(world.data)
    thoughts = [THOUGHTS["a"].partition("</think>")[0], THOUGHTS["b"]]
    counts = [len(tokenizer(thought)["input_ids"]) for thought in thoughts]
    assert values(stripped, "thinking_tokens") == [sum(counts) / 2]

    kept = kdbench.score(run=stripped.run, thinking="keep", task="who.yaml")
    assert kept.run != stripped.run
    whole = [THOUGHTS["a"] + ANSWERS["a"], THOUGHTS["b"]]
    expected = [rouge(ref, text) for ref, text in zip(ANSWERS.values(), whole, strict=True)]
    assert values(kept, *names) == [sum(expected) / 2, 0.0, 0.0, 0.5]
    assert values(kept, "thinking_tokens") == values(stripped, "thinking_tokens")
    assert kept.results["who"].fingerprint["protocol"]["thinking"] == "keep"
    record = json.loads((kept.run / "run.json").read_text())
    assert (record["status"], record["protocol"]["name"]) == (
        "complete",
        "chat+seeds=1+thinking=keep",
    )

    prompts = [run / "samples" / "who.prompts.jsonl" for run in (stripped.run, kept.run)]
    assert prompts[0].read_bytes() == prompts[1].read_bytes()

    # It is the run that kdbench eval would make, with the same samples.
    again = evaluated(world, thinking="keep")
    assert (again.run, again.generated) == (kept.run, 0)
    back = kdbench.score(run=kept.run, thinking="strip", task="who.yaml")
    assert back.run == stripped.run
    assert values(back, *names) == values(stripped, *names)
    samples = texts_of(kept.run)
    (kept.run / "samples" / "who.jsonl").unlink()
    (kept.run / "who.json").unlink()
    assert evaluated(world, thinking="keep").generated == 2
    assert texts_of(kept.run) == samples


def test_a_chat_run_of_an_earlier_version_scored_the_thinking(world: World, place: Path) -> None:
    run = evaluated(world, thinking="keep").run
    for name in ("run.json", "who.json"):  # as that version stored it
        text = (run / name).read_text().replace('"thinking": "keep"', '"x": 0')
        content = json.loads(text)
        (content.get("protocol") or content["fingerprint"]["protocol"]).pop("x")
        (run / name).write_text(json.dumps(content))
    lines = texts_of(run)
    kept = ("finish", "id", "n_tokens", "output", "seed", "tokens")
    old = [json.dumps({key: line[key] for key in kept}) + "\n" for line in lines]
    (run / "samples" / "who.jsonl").write_text("".join(old))
    before = json.loads((run / "who.json").read_text())
    again = kdbench.score(run=run, task="who.yaml", metrics="rougeL")
    assert again.run == run
    assert again.results["who"].fingerprint == before["fingerprint"]
    now = kdbench.score(run=run, task="who.yaml", thinking="strip")
    assert now.run != run
    assert values(now, "rougeL", "empty", "unclosed_thinking") == [50.0, 0.5, 0.5]
    assert now.results["who"].metrics["thinking_tokens"].value is None


@pytest.mark.parametrize(
    ("marks", "texts"),
    [
        (None, ["<think>x y</think>Anna lives in Rome.", "<think>Ben works"]),
        (None, ["[THINK]x[/THINK]\nAnna lives in Rome.", "[THINK]Ben"]),
        ("BEGIN,END", ["BEGIN x END Anna lives in Rome.", "BEGIN <think>"]),
    ],
)
def test_texts_from_elsewhere_are_stripped(
    marks: str | None, texts: list[str], place: Path
) -> None:
    lines = [{"id": key, "output": text} for key, text in zip("ab", texts, strict=True)]
    (place / "texts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    given: dict[str, Any] = {
        "samples": "texts.jsonl",
        "task": "who.yaml",
        "metrics": "rougeL,empty",
    }
    more = {} if marks is None else {"thinking_marks": marks}
    stripped = kdbench.score(**given, **more)
    assert values(stripped, "rougeL", "empty", "unclosed_thinking") == [50.0, 0.5, 0.5]
    kept = kdbench.score(**given, **more, thinking="keep")
    assert kept.run != stripped.run
    expected = [rouge(ref, text) for ref, text in zip(ANSWERS.values(), texts, strict=True)]
    assert values(kept, "rougeL", "empty") == [sum(expected) / 2, 0.0]
    moved = kdbench.score(run=stripped.run, thinking="keep", task="who.yaml")
    assert moved.run == kept.run


def test_texts_without_a_thinking_have_no_columns_of_it(place: Path) -> None:
    lines = [json.dumps({"id": key, "output": text}) + "\n" for key, text in ANSWERS.items()]
    (place / "texts.jsonl").write_text("".join(lines))
    plain = kdbench.score(samples="texts.jsonl", task="who.yaml")
    assert not {"thinking_tokens", "unclosed_thinking"} & set(plain.results["who"].metrics)
    assert "thinking" not in plain.results["who"].fingerprint["protocol"]
    asked = kdbench.score(samples="texts.jsonl", task="who.yaml", metrics="thinking_tokens")
    reason = asked.results["who"].metrics["thinking_tokens"].reason
    assert reason is not None
    assert "no thinking" in reason


def test_bad_samples_and_keys_are_one_line(world: World, place: Path) -> None:
    (place / "texts.jsonl").write_text('{"id": "a", "output": "x", "answer_start": 9}\n')
    with pytest.raises(InputError, match=r"texts.jsonl:1: 'answer_start' must be an index"):
        kdbench.score(samples="texts.jsonl", task="who.yaml")
    with pytest.raises(InputError, match="the chat template reads no such variable"):
        evaluated(world, chat_template_kwargs={"no": 1})
    assert not (place / "results").exists()


def test_nothing_is_copied_of_a_run_that_cannot_be_scored(world: World, place: Path) -> None:
    run = evaluated(world).run
    text = (place / "rows.jsonl").read_text()
    (place / "rows.jsonl").write_text(text.replace("Who is a?", "Who is A?"))
    with pytest.raises(InputError, match="were generated from different prompts"):
        kdbench.score(run=run, task="who.yaml", thinking="keep")
    (place / "rows.jsonl").write_text(text)
    (run / "samples" / "who.jsonl").unlink()
    with pytest.raises(InputError, match="there are no samples to score again"):
        kdbench.score(run=run, task="who.yaml", thinking="keep")
    assert list(run.parent.iterdir()) == [run]


def test_advice_about_an_unused_chat_template() -> None:
    chatml, task, chat = "<|im_start|>{{m}}", get_protocol("greedy"), get_protocol("chat")
    advice = template_advice({}, chatml, task)
    assert advice is not None
    assert "protocol=chat" in advice
    assert template_advice({}, {"default": chatml}, task) == advice
    assert template_advice({}, chatml, chat) is None
    assert template_advice({}, None, task) is None
    assert template_advice({}, "### Response:\n", task) is None  # it asks as the task
    assert template_advice({"training": {"settings": {"method": "gkd"}}}, chatml, task) is None
