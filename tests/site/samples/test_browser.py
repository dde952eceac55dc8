"""A reader opens the page Samples in a browser: order, search, tokens, keys and addresses."""

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from kdbench.store.results import read_task

HOSTILE = [
    "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>",
    "\u202ereversed\x1b[31m\x00 \u2066isolated <b>bold</b> & ]]>",
    "long " * 200_000,
    "",
    "  \n\t ",
]


def run_of(results: Path, model: str) -> Path:
    (run,) = (file.parent for file in results.glob(f"{model}/*/dolly.json"))
    return run


def names(results: Path, *models: str) -> str:
    return ",".join(str(run_of(results, model).relative_to(results)) for model in models)


def opened(watched: Any, sites: Any, **params: str) -> Any:
    query = "&".join(f"{key}={value}" for key, value in {"task": "dolly", **params}.items())
    return watched.open(sites.folder, f"#/samples?{query}")


def listed(page: Any) -> list[str]:
    """Ids of the prompts in the list."""
    links = page.locator("#samples .rows a").all()
    return [unquote(link.get_attribute("href")).split("id=")[1].split("&")[0] for link in links]


def changed(watched: Any, before: str) -> None:
    """Wait until the address is another and its page is drawn."""
    watched.page.wait_for_function("before => location.href !== before", arg=before)
    watched.settle()


def test_prompts_are_ordered_by_loss_against_the_baseline(sites: Any, watched: Any) -> None:
    results = sites.results
    old, new = (read_task(run_of(results, m) / "dolly.json") for m in ("student", "noisy"))
    losses = {
        document: before - after
        for document, before, after in zip(
            old.documents["id"], old.documents["rougeL"], new.documents["rougeL"], strict=True
        )
    }
    page = opened(watched, sites, students=names(results, "student", "noisy"), sort="loss")
    order = list(old.documents["id"])
    assert listed(page) == sorted(order, key=lambda d: (-losses[d], order.index(d)))
    first = page.locator("#samples .rows .key").first.inner_text().replace("−", "-")
    assert float(first) == pytest.approx(-max(losses.values()), abs=0.06)


def test_a_token_shows_what_the_teacher_would_have_written(sites: Any, watched: Any) -> None:
    page = opened(watched, sites, students=names(sites.results, "student"))
    first = page.locator("#samples .tokens .tok").first
    first.focus()
    panel = page.locator(".token-panel")
    panel.wait_for(state="visible")
    assert "The teacher’s likeliest tokens here" in panel.inner_text()
    assert panel.get_attribute("aria-live") == "polite"
    words = panel.inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "old => document.querySelector('.token-panel').innerText !== old", arg=words
    )
    assert "token 2 of" in panel.inner_text()
    page.keyboard.press("Escape")
    panel.wait_for(state="hidden")


def test_keys_move_between_prompts_and_the_address_is_a_permalink(sites: Any, watched: Any) -> None:
    page = opened(watched, sites, students=names(sites.results, "noisy"), sort="data")
    order = listed(page)
    for key, place in (("j", 1), ("ArrowRight", 2), ("k", 1)):
        before = page.url
        page.locator("h1:visible").focus()
        page.keyboard.press(key)
        changed(watched, before)
        assert page.locator("#samples h2").inner_text() == f"Prompt {order[place]}"
    shown, address = page.locator("#samples .detail").inner_text(), page.url
    page.goto("about:blank")
    page.goto(address)
    watched.settle()
    assert page.locator("#samples .detail").inner_text() == shown
    page.locator("h1:visible").focus()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "samples-q"


def test_a_search_lists_the_prompts_that_hold_the_words(sites: Any, watched: Any) -> None:
    run = run_of(sites.results, "student")
    prompts = [
        json.loads(x) for x in (run / "samples/dolly.prompts.jsonl").read_text().splitlines()
    ]
    word = prompts[3]["references"][0]
    page = opened(watched, sites, sort="data")
    before = page.url
    page.fill("#samples-q", word.upper())
    page.keyboard.press("Enter")
    changed(watched, before)
    stored = [
        json.loads(x)
        for model in ("student", "noisy", "teacher")
        for x in (run_of(sites.results, model) / "samples/dolly.jsonl").read_text().splitlines()
    ]
    expected = [
        prompt["id"]
        for prompt in prompts
        if word.lower() in (prompt["prompt"] + "\n" + "\n".join(prompt["references"])).lower()
        or any(s["id"] == prompt["id"] and word.lower() in s["output"].lower() for s in stored)
    ]
    assert prompts[3]["id"] in expected
    assert listed(page) == expected


def test_nonsense_in_an_address_does_no_harm(sites: Any, watched: Any) -> None:
    nonsense = {"sort": "constructor", "only": "toString", "category": "__proto__", "page": "999"}
    page = opened(watched, sites, **nonsense, students="no/such", seed="-", token="9" * 30, id="x")
    assert page.locator("#samples .count").inner_text() == "6 of 6 prompts"
    assert page.locator("#samples .rows a").count() == 6
    assert page.locator(".failure").count() == 0


def test_a_reader_of_the_screen_hears_how_a_response_was_received(sites: Any, watched: Any) -> None:
    page = opened(watched, sites, students=names(sites.results, "student"))
    heard = page.locator("#samples .column[aria-label^='SFT'] .sr").inner_text()
    assert heard.startswith("This response: acceptance 0.")
    assert ", lowest " in heard


def test_rejected_tokens_lead_to_where_they_were_written(sites: Any, watched: Any) -> None:
    page = opened(watched, sites, students=names(sites.results, "student"), view="tokens")
    before = page.url
    page.locator("#samples .rejected td a").first.click()
    changed(watched, before)
    sought = page.locator("#samples .tok.sought")
    assert sought.count() == 1
    assert page.evaluate("document.activeElement.classList.contains('sought')")
    assert page.locator(".token-panel").is_visible()


def test_three_questions_of_a_new_user(sites: Any, watched: Any) -> None:
    """Which prompts were lost against the baseline, what the teacher said, is it significant."""
    page = watched.open(sites.folder)
    clicks = 0

    def click(target: Any) -> None:
        nonlocal clicks
        before = page.url
        target.click()
        clicks += 1
        changed(watched, before)

    click(page.locator("nav a", has_text="Samples"))  # ordered by loss against SFT
    assert page.locator("#samples .rows .key").first.inner_text().startswith("−")
    teacher = page.locator("#samples .column.teacher .response")  # next to the students'
    assert teacher.is_visible()
    click(page.locator("#samples a", has_text="Compare: is the difference significant?"))
    assert page.locator("section.page.shown h1").inner_text() == "Compare"
    assert clicks == 2


@pytest.fixture
def hostile(sites: Any, tmp_path: Path, with_texts: Any) -> Path:
    import kdbench

    results = shutil.copytree(sites.results, tmp_path / "results")
    with_texts(run_of(results, "student"), "dolly", HOSTILE)
    keys: dict[str, Any] = {"results": results, "tasks": "dolly", "baseline": "SFT"}
    kdbench.report(**keys, out=tmp_path / "single", single_file=True)
    return tmp_path


def test_hostile_texts_are_only_text(hostile: Path, watched: Any) -> None:
    site = hostile / "single" / "index.html"
    assert "window.hacked" not in site.read_text("utf-8")
    run = run_of(hostile / "results", "student")
    ids = [json.loads(x) for x in (run / "samples/dolly.jsonl").read_text().splitlines()][:5]
    for sample in ids:
        page = watched.open(
            site,
            f"#/samples?task=dolly&id={sample['id']}&seed={sample['seed']}&students="
            f"{run.relative_to(hostile / 'results')}",
        )
        box = page.locator("#samples .column[aria-label^='SFT'] .response")
        text, output = box.inner_text(), sample["output"]
        if output.startswith("\u202e"):
            assert "\\u202ereversed\\u001b[31m\\u0000" in text
        elif not output.strip():
            assert "empty response" in text
        elif len(output) > 10_000:
            assert len(text) < 30_000
            box.locator("button", has_text="Show the other").click()
            assert len(box.inner_text()) > 900_000
        else:
            assert text == output
    assert page.evaluate("window.hacked") is None
