"""Token details agree with stored numbers and with the models themselves, and change nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kdbench.measuring.measurement import Evaluation
from kdbench.store.folder import RunFolder
from kdbench.store.token_details import (
    TokenDetails,
    TokenText,
    read_details,
    stored_details,
    texts_of,
)
from kdbench.toy.models import World

Compare = Callable[..., Evaluation]
STEP = 1 / 250


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file() and ".lock" not in file.name)
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def without_details(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if ".tokens-" not in name}


def read(
    evaluation: Evaluation,
) -> tuple[dict[tuple[str, int], TokenDetails], dict[int, TokenText]]:
    result, found, texts = evaluation.results["dolly"], {}, {}
    assert result.teacher is not None
    for record, place in stored_details(RunFolder(evaluation.run), "dolly", result.teacher):
        details = read_details(record, place)
        found[details.document, details.seed] = details
        texts |= texts_of(record, place)
    return found, texts


def samples(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "samples/dolly.jsonl").read_text().splitlines()]


def as_text(details: TokenDetails, texts: dict[int, TokenText]) -> str:
    parts = [texts[token] for token in details.tokens.tolist()]
    raw = b"".join(
        part.encode() if isinstance(part, str) else bytes(part)
        for part in parts
        if isinstance(part, str) or all(isinstance(byte, int) for byte in part)
    )
    return raw.decode(errors="replace")


def details_of(results: Path) -> Path:
    (file,) = results.glob("student/*/samples/dolly.tokens-*.jsonl")
    return file


def test_every_response_has_its_tokens_in_document_order(whole: Evaluation) -> None:
    details, texts = read(whole)
    lines = samples(whole.run)
    assert list(details) == [(line["id"], line["seed"]) for line in lines]
    for line in lines:
        tokens = details[line["id"], line["seed"]]
        assert tokens.tokens.tolist() == line["tokens"]
        assert as_text(tokens, texts) == line["output"]


def test_the_mean_over_tokens_is_the_stored_acceptance(whole: Evaluation) -> None:
    details, _ = read(whole)
    documents = whole.results["dolly"].documents
    for document, stored in zip(documents["id"], documents["acceptance@student"], strict=True):
        means = [d.acceptance.mean() for (name, _), d in details.items() if name == document]
        assert np.mean(means) == pytest.approx(stored, abs=STEP / 2)


def test_probabilities_are_those_of_the_models(whole: Evaluation, world: World) -> None:
    """One response, with both models run by transformers alone."""
    details, _ = read(whole)
    (document, _), tokens = max(details.items(), key=lambda item: len(item[1].tokens))
    prompts = (whole.run / "samples/dolly.prompts.jsonl").read_text().splitlines()
    prompt = next(p["prompt"] for p in map(json.loads, prompts) if p["id"] == document)
    rows = []
    for folder in (world.student, world.teacher):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder).double().eval()
        before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([before + tokens.tokens.tolist()])).logits[0]
        rows.append(logits[len(before) - 1 : -1, : len(tokenizer)].softmax(-1).numpy())
    q, p = rows
    at = np.arange(len(tokens.tokens))
    expected = np.minimum(p, q).sum(axis=1)  # 1 - total variation
    assert tokens.acceptance == pytest.approx(expected, abs=STEP / 2 + 1e-4)
    assert tokens.student == pytest.approx(q[at, tokens.tokens], abs=STEP / 2 + 1e-4)
    assert tokens.teacher == pytest.approx(p[at, tokens.tokens], abs=STEP / 2 + 1e-4)
    for row, likeliest in zip(p, tokens.likeliest(), strict=True):
        order = np.argsort(-row, kind="stable")[:5]
        kept = [token for rank, token in enumerate(order) if rank == 0 or row[token] >= 0.01]
        assert [token for token, _ in likeliest] == kept
        assert [x for _, x in likeliest] == pytest.approx(row[kept], abs=STEP / 2 + 1e-4)


def test_switched_off_there_are_none_and_all_else_is_equal(
    compare: Compare, generated: Path, tmp_path: Path
) -> None:
    plain = shutil.copytree(generated, tmp_path / "plain")
    chosen: dict[str, Any] = {"metrics": ("acceptance", "top1@student")}
    for results in (plain, generated):  # of `whole`
        for file in results.rglob("*.tokens-*"):
            file.unlink()
    compare(generated, **chosen)
    compare(plain, **chosen, token_details=False)
    assert any(".tokens-" in name for name in contents(generated))
    assert without_details(contents(generated)) == contents(plain)


def test_without_acceptance_among_the_metrics_it_is_measured_for_the_tokens(
    compare: Compare, generated: Path, whole: Evaluation
) -> None:
    expected = details_of(whole.run.parents[1]).read_bytes()
    for file in generated.rglob("*.tokens-*"):
        file.unlink()
    compare(generated, metrics=("top1@student",))
    assert details_of(generated).read_bytes() == expected


def test_earlier_results_get_them_with_no_new_text(compare: Compare, results: Path) -> None:
    before = contents(results)
    details_of(results).unlink()
    again = compare(results)
    assert again.generated == 0
    assert contents(results) == before


def test_a_metric_of_other_texts_does_not_ask_for_them(compare: Compare, results: Path) -> None:
    details_of(results).unlink()
    before = contents(results)
    compare(results, metrics=("top1@ref",))
    assert contents(results) == before


def test_results_kept_without_samples_stay_so(compare: Compare, results: Path) -> None:
    for folder in results.glob("*/*/samples"):
        shutil.rmtree(folder)
    before = contents(results)
    assert compare(results).generated == 0
    assert contents(results) == before


@pytest.mark.parametrize(("lines", "torn"), [(0, True), (5, True), (6, False)])
def test_a_killed_run_resumes_to_the_same_bytes(
    compare: Compare, results: Path, lines: int, torn: bool
) -> None:
    """Killed while adding details: a file under its unfinished name, perhaps with half a line."""
    before = contents(results)
    file = details_of(results)
    unfinished = [
        json.dumps({key: value for key, value in json.loads(line).items() if key != "texts"})
        for line in reversed(file.read_text().splitlines())  # in the order of the batches
    ]
    part = "".join(f"{line}\n" for line in unfinished[:lines]) + ('{"id": "a", "se' * torn)
    file.with_suffix(".partial.jsonl").write_text(part)
    file.unlink()
    assert compare(results).generated == 0
    assert contents(results) == before


def test_a_finished_file_that_lost_its_end_is_completed(compare: Compare, results: Path) -> None:
    before = contents(results)
    file = details_of(results)
    file.write_bytes(file.read_bytes()[:-40])
    compare(results)
    assert contents(results) == before


def test_details_of_other_tokens_are_replaced(
    compare: Compare, generated: Path, whole: Evaluation
) -> None:
    """As where samples were generated anew and differ from those that were compared before."""
    file = details_of(generated)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    before = file.read_bytes()
    lines[1] |= {"tokens": lines[1]["tokens"][:-4] + "AAAA"}
    file.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))
    compare(generated)
    assert details_of(generated).read_bytes() == before


def test_a_teacher_of_another_tokenizer_is_known_where_both_begin_a_token(
    compare: Compare, generated: Path, changed_teacher: Any
) -> None:
    def without_merges(content: dict[str, Any]) -> None:
        content["model"]["merges"] = []

    letters = changed_teacher("letters", without_merges)
    evaluation = compare(generated, teacher=letters, metrics=("acceptance@student",))
    details, texts = read(evaluation)
    documents = evaluation.results["dolly"].documents
    for document, stored in zip(documents["id"], documents["acceptance@student"], strict=True):
        means = [np.nanmean(d.acceptance) for (name, _), d in details.items() if name == document]
        assert np.mean(means) == pytest.approx(stored, abs=STEP / 2)
    for tokens in details.values():
        assert (np.isnan(tokens.acceptance) == np.isnan(tokens.teacher)).all()
        assert (np.isnan(tokens.acceptance) == (tokens.listed == 0)).all()
        assert not np.isnan(tokens.student).any()
        assert tokens.ids() <= texts.keys()


def test_a_cached_teacher_gives_what_its_top_tokens_show(
    compare: Compare, generated: Path, tmp_path: Path, whole: Evaluation
) -> None:
    exact, _ = read(whole)
    compare(generated, metrics=("acceptance@student",), teacher_cache=tmp_path / "cache")
    cache = f"cache:{tmp_path / 'cache'}"
    bounded, _ = read(compare(generated, teacher=cache, metrics=("acceptance@student",)))
    assert bounded.keys() == exact.keys()
    for key, tokens in bounded.items():
        assert (tokens.acceptance >= exact[key].acceptance - STEP).all()  # an upper bound
        assert tokens.likely.tolist() == exact[key].likely.tolist()
        assert tokens.teacher == pytest.approx(exact[key].teacher, abs=STEP)
