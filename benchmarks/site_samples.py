"""The page Samples with 100,000 prompts and 8 models: written by Python, opened by Chromium.

Responses are made of random words, about 45 tokens long, in a vocabulary of 49,152; seven students
have token details. `kdbench report` runs in a fresh process: its time and highest resident set are
the build. Then a headless Chromium opens the folder: first paint and the time until the list is
there, sorted by loss, are counted from the start of the navigation; memory is the JavaScript heap.
Without Playwright and a Chromium (CHROMIUM=PATH) the browser's rows are left out.
"""

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import BenchmarkRow, Outcome
from benchmarks.startup import kdbench_command
from kdbench.store.folder import RunFolder
from kdbench.store.prompts import StoredPrompt, prompt_record
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.token_details import TokenDetails, details_file, details_record

DOCUMENTS = int(os.environ.get("KDBENCH_BENCH_DOCUMENTS", "100000"))
MODELS = ("Teacher", "SFT", "KD", "SeqKD", "GKD", "MiniLLM", "DistiLLM", "Classmate")
VOCABULARY, LENGTH = 49_152, 45
_CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
_TASK = "made"
_WORDS = [
    f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("", "n", "ra", "st", "lo")
]


def run() -> Outcome:
    """Make results, write their site, and open it."""
    with tempfile.TemporaryDirectory() as folder:
        results, site = Path(folder, "results"), Path(folder, "site")
        make_results(results, DOCUMENTS)
        rows = [*_build(results, site), *_browser(site)]
    return Outcome(f"{DOCUMENTS:,} prompts, {len(MODELS)} models", tuple(rows))


def make_results(results: Path, documents: int) -> None:
    """Write results as `kdbench eval` stores them, of eight models on one task.

    Args:
        results: Folder of the results.
        documents: Number of prompts.
    """
    for number, model in enumerate(MODELS):
        _make_run(results, number, model, documents)


def _make_run(results: Path, number: int, model: str, documents: int) -> None:
    run, draw = RunFolder(results / model / "made-0"), random.Random(number)
    teacher = {"name": "Teacher", "sha256": "0" * 64, "dtype": "auto", "top_k": None}
    scores = np.random.default_rng(number).uniform(0, 100, documents).round(2)
    ids = [f"made-{document:06d}" for document in range(documents)]
    texts = [" ".join(draw.choices(_WORDS, k=LENGTH)) for _ in range(documents)]
    run.lines(_TASK).replace(
        {
            "id": i,
            "seed": 10,
            "output": text,
            "n_tokens": LENGTH,
            "finish": "stop",
            "scores": {"rougeL": score},
        }
        for i, text, score in zip(ids, texts, scores.tolist(), strict=True)
    )
    run.lines(f"{_TASK}.prompts").replace(
        prompt_record(
            StoredPrompt(i, f"### Instruction:\n{texts[-document]}\n", "", 50, (), (text,))
        )
        for document, (i, text) in enumerate(zip(ids, texts, strict=True))
    )
    acceptance: list[float | None] = [None] * documents
    if number:
        acceptance = _make_details(run, teacher, ids, number)
    _write(
        run,
        model,
        number,
        teacher if number else None,
        {
            "id": ids,
            "rougeL": scores.tolist(),
            "acceptance@student": acceptance,
        },
    )


def _make_details(
    run: RunFolder, teacher: dict[str, Any], ids: list[str], seed: int
) -> list[float | None]:
    generator, known, means = np.random.default_rng(seed), set[int](), []

    def lines() -> Iterator[dict[str, Any]]:
        for document in ids:
            tokens = generator.zipf(1.3, LENGTH) % VOCABULARY
            rates = 1 - generator.random((3, LENGTH)) ** 6
            details = TokenDetails(
                document,
                10,
                tokens,
                *rates,
                np.full(LENGTH, 2),
                np.repeat(tokens, 2),
                np.repeat(rates[0], 2) / 2,
            )
            new = details.ids() - known
            known.update(new)
            means.append(round(float(rates[0].mean()), 6))
            yield details_record(details, {token: f" w{token}" for token in new})

    details_file(run, _TASK, teacher).replace(lines())
    return list(means)


def _write(
    run: RunFolder, model: str, number: int, teacher: dict[str, Any] | None, columns: dict[str, Any]
) -> None:
    documents = {
        name: values for name, values in columns.items() if any(v is not None for v in values)
    }
    metrics = {
        name: MetricResult(
            float(np.mean(values)),
            float(np.mean(values)),
            float(np.mean(values)),
            None,
            {},
            len(values),
            "points" if name == "rougeL" else "rate",
            "higher",
            "1",
        )
        for name, values in documents.items()
        if name != "id"
    }
    fingerprint = {
        "task": _TASK,
        "task_version": "1",
        "data_sha256": "d",
        "prompts_sha256": "p",
        "protocol": {"name": "made", "seeds": [10]},
    }
    data = {
        "rows": len(columns["id"]),
        "used": len(columns["id"]),
        "sha256": "d",
        "published": None,
    }
    run.write_run(_record(model, number))
    run.write_task(TaskResult(fingerprint, metrics, documents, data, 0, "rougeL", teacher))


def _record(model: str, number: int) -> dict[str, Any]:
    """The content of a `run.json`."""
    return {
        "model": {
            "name": model,
            "revision": None,
            "sha256": f"{number}" * 64,
            "parameters": 10**8,
            "dtype": "float32",
        },
        "method": model,
        "setting": "made",
        "training": None,
        "limit": None,
        "git": None,
        "protocol": {"name": "made", "seeds": [10]},
        "backend": {"name": "hf", "batch_size": 8},
        "tasks": {},
        "environment": {},
        "kdbench_version": "0",
        "created": "2026-01-01T00:00:00+00:00",
        "status": "complete",
    }


def _build(results: Path, site: Path) -> Iterator[BenchmarkRow]:
    stored = _size(results)
    start = time.perf_counter()
    subprocess.run(
        [*kdbench_command(), "report", f"results={results}", f"out={site}", "baseline=SFT"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor, memory = used.ru_utime + used.ru_stime, used.ru_maxrss * unit
    yield BenchmarkRow("stored results", "", f"{stored / 2**20:.0f} MiB")
    yield BenchmarkRow(
        "kdbench report: time", "", f"{seconds:.0f} s, {processor:.0f} s of processor time"
    )
    yield BenchmarkRow("kdbench report: peak memory", "", f"{memory / 2**20:.0f} MiB")
    files = list((site / "data").glob("*.js"))
    yield BenchmarkRow(
        "site on disk", "", f"{_size(site) / 2**20:.0f} MiB, {len(files)} data files"
    )
    index = sum(f.stat().st_size for f in files if f.stem.endswith((".index", ".heads")))
    yield BenchmarkRow("loaded before the list is sorted", "", f"{index / 2**20:.1f} MiB")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


_HEAP = "() => { gc(); return performance.memory.usedJSHeapSize; }"
_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"


def _browser(site: Path) -> Iterator[BenchmarkRow]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return
    if not Path(_CHROMIUM).exists():
        return
    flags = ["--no-sandbox", "--enable-precise-memory-info", "--js-flags=--expose-gc"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(180_000)
        start = time.perf_counter()
        page.goto(f"{site.resolve().as_uri()}/index.html#/samples?sort=loss")
        page.wait_for_selector("#samples .rows a")
        listed = time.perf_counter() - start
        page.wait_for_selector("#samples .column .response")
        shown = time.perf_counter() - start
        yield BenchmarkRow("first paint", "", f"{page.evaluate(_PAINT):.0f} ms")
        yield BenchmarkRow("list sorted by loss", "", f"{listed:.2f} s")
        yield BenchmarkRow("first prompt with all responses", "", f"{shown:.2f} s")
        yield BenchmarkRow("JavaScript heap then", "", f"{page.evaluate(_HEAP) / 2**20:.0f} MiB")
        yield BenchmarkRow("another order", "", f"{_order(page, 'agreement'):.2f} s")
        yield from _search(page)
        browser.close()


def _order(page: Any, order: str) -> float:
    before = page.text_content("#samples .rows .key")
    start = time.perf_counter()
    page.locator("#samples label", has_text="Order").locator("select").select_option(order)
    page.wait_for_function(
        "old => document.querySelector('#samples .rows .key').textContent !== old", arg=before
    )
    return time.perf_counter() - start


def _search(page: Any) -> Iterator[BenchmarkRow]:
    """A word that no text holds, so that every page of texts is read; and how long it freezes."""
    page.evaluate(
        """() => {
            window.longest = 0;
            let last = performance.now();
            const tick = () => {
                const now = performance.now();
                longest = Math.max(longest, now - last);
                last = now;
                setTimeout(tick);
            };
            tick();
        }"""
    )
    page.fill("#samples-q", "zzzz nowhere")
    start = time.perf_counter()
    page.press("#samples-q", "Enter")
    page.wait_for_selector("#samples .search progress:visible", state="attached")
    page.wait_for_selector("#samples .search progress", state="hidden")
    seconds = time.perf_counter() - start
    longest = page.evaluate("longest")
    yield BenchmarkRow(
        "search of every text", "", f"{seconds:.1f} s; at most {longest:.0f} ms without a frame"
    )
    yield BenchmarkRow("JavaScript heap after it", "", f"{page.evaluate(_HEAP) / 2**20:.0f} MiB")
