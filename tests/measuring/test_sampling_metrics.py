"""The entropy of what responses were sampled from, against transformers' logits processors."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from kdbench.config import EvalSettings, ScoreSettings, build
from kdbench.errors import InputError
from kdbench.evaluation import evaluate
from kdbench.generate.row.choosing import sampling_log_probs
from kdbench.measuring import sampling_metrics
from kdbench.measuring.given_texts import score
from kdbench.measuring.measurement import Evaluation
from kdbench.metrics import make_metrics
from kdbench.protocol import Protocol
from kdbench.toy.models import World

NAME = "sampling_entropy"


def measured(world: World, results: Path, model: Path | None = None, **changes: Any) -> Evaluation:
    settings = {"model": str(model or world.student), "data": world.data, "tasks": ("dolly",)}
    settings |= {"limit": 3, "seeds": (1, 2), "max_new_tokens": 10, "metrics": ("rougeL", NAME)}
    settings |= {"device": "cpu", "results": results, **changes}
    return evaluate(build(EvalSettings, settings))


def by_hand(model_folder: Path, run: Path, processors: list[Any]) -> dict[str, float]:
    """Each document's mean entropy: one text at a time, processed by transformers."""
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    prompts = {}
    for line in (run / "samples" / "dolly.prompts.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        prompts[record["id"]] = tokenizer(record["prompt"], add_special_tokens=False)["input_ids"]
    values: dict[str, list[float]] = {}
    for line in (run / "samples" / "dolly.jsonl").read_text("utf-8").splitlines():
        sample = json.loads(line)
        ids = torch.tensor([[*prompts[sample["id"]], *sample["tokens"]]])
        with torch.no_grad():
            logits = model(ids).logits[0]
        entropies = []
        for place in range(len(prompts[sample["id"]]), ids.shape[1]):
            scores = LogitsProcessorList(processors)(ids[:, :place], logits[place - 1 : place])
            entropies.append(float(torch.distributions.Categorical(logits=scores[0]).entropy()))
        values.setdefault(sample["id"], []).append(sum(entropies) / len(entropies))
    return {document: sum(means) / len(means) for document, means in values.items()}


@pytest.mark.parametrize(
    ("changes", "processors"),
    [
        ({"temperature": 0.6}, [TemperatureLogitsWarper(0.6)]),
        (
            {"temperature": 1.3, "top_k": 7, "top_p": 0.8},
            [TemperatureLogitsWarper(1.3), TopKLogitsWarper(7), TopPLogitsWarper(0.8)],
        ),
        ({"no_repeat_ngram_size": 1}, [NoRepeatNGramLogitsProcessor(1)]),
    ],
    ids=["temperature", "nucleus", "ngram"],
)
def test_the_value_is_that_of_transformers(
    world: World, tmp_path: Path, changes: dict[str, Any], processors: list[Any]
) -> None:
    evaluation = measured(world, tmp_path, **{"no_repeat_ngram_size": 0, **changes})
    documents = evaluation.results["dolly"].documents
    found = dict(zip(documents["id"], documents[NAME], strict=True))
    assert found == pytest.approx(by_hand(world.student, evaluation.run, processors), abs=2e-5)
    assert evaluation.results["dolly"].metrics[NAME].unit == "nats"


def test_greedy_decoding_has_no_entropy(world: World, tmp_path: Path) -> None:
    result = measured(world, tmp_path, temperature=0, seeds=(1,)).results["dolly"]
    assert set(result.documents[NAME]) == {0}


def test_a_sharper_model_is_the_same_model_at_another_temperature(
    world: World, tmp_path: Path
) -> None:
    """Logits divided by 1.7: the same texts and entropies at 1.7 times the temperature."""
    sharper = scaled(world.student, tmp_path / "sharper", 1 / 1.7)
    one = measured(world, tmp_path / "one", temperature=0.7 * 1.7).results["dolly"]
    other = measured(world, tmp_path / "other", sharper, temperature=0.7).results["dolly"]
    assert other.documents["rougeL"] == one.documents["rougeL"]
    assert other.documents[NAME] == pytest.approx(one.documents[NAME], abs=1e-4)


def scaled(model: Path, out: Path, factor: float) -> Path:
    """A copy whose logits are those of a model times a factor."""
    shutil.copytree(model, out)
    weights = load_file(out / "model.safetensors")
    norm = next(name for name in weights if name.endswith("norm.weight") and "layers" not in name)
    weights[norm] = weights[norm] * factor
    save_file(weights, out / "model.safetensors", {"format": "pt"})
    return out


def test_it_is_measured_by_its_name_alone() -> None:
    for names in ((), ("all",), ("headline",)):
        assert NAME not in [metric.name for metric in make_metrics(names)]
    assert [metric.name for metric in make_metrics([NAME])] == [NAME]


def test_values_survive_an_interruption_and_a_new_scoring(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measured(world, tmp_path / "whole", limit=4)
    own, calls = sampling_metrics._values, 0

    def torn(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return own(*arguments)

    # A document a batch, so that two are stored before the third.
    alone = lambda rows, _: [[row] for row in rows]  # noqa: E731
    monkeypatch.setattr(sampling_metrics, "batches_by_length", alone)
    monkeypatch.setattr(sampling_metrics, "_values", torn)
    with pytest.raises(KeyboardInterrupt):
        measured(world, tmp_path / "torn", limit=4)
    again = measured(world, tmp_path / "torn", limit=4)
    assert calls == 3 + 2  # the last two documents
    assert again.generated == 0
    expected = whole.results["dolly"].documents[NAME]
    assert again.results["dolly"].documents[NAME] == pytest.approx(expected, abs=1e-5)
    rescored = score(build(ScoreSettings, {"run": again.run, "data": world.data}))
    assert rescored.results["dolly"].documents[NAME] == again.results["dolly"].documents[NAME]


def test_broken_weights_are_reported(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling_metrics, "_means", lambda *given: [float("nan")] * len(given[-1]))
    with pytest.raises(InputError, match=r"sampling_entropy of document .* is not finite"):
        measured(world, tmp_path)


def test_log_probabilities_of_a_distribution_worked_by_hand() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    found = sampling_log_probs(logits, Protocol("p", temperature=0.5), [(0, 0)]).exp()
    weights = torch.tensor([0.0, 2.0, 0.0, -2.0]).exp() * torch.tensor([0.0, 1, 1, 1])
    assert found[0].tolist() == pytest.approx((weights / weights.sum()).tolist())
    assert logits[0, 0] == 2  # the given ones are left alone
    greedy = sampling_log_probs(logits, Protocol("p", temperature=0.0), [(0, 0)])
    assert greedy.exp()[0].tolist() == [0, 1, 0, 0]
