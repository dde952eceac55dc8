"""The page Samples of made results, and ways to change them."""

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdbench.config import ReportSettings
from kdbench.site.page import Page
from kdbench.site.samples import samples_page
from kdbench.site.source import read_source
from kdbench.store.folder import RunFolder
from kdbench.store.results import read_task


@pytest.fixture
def unpacked() -> Callable[[Page, str], Any]:
    """The JSON value of packed data of a page."""

    def unpack(page: Page, name: str) -> Any:
        return json.loads(gzip.decompress(base64.b64decode(page.data[name]())))

    return unpack


@pytest.fixture
def made() -> Callable[..., Page]:
    """The page Samples of a folder of results."""

    def make(results: Path, **keys: Any) -> Page:
        return samples_page(read_source(ReportSettings(results=results, **keys)))

    return make


@pytest.fixture
def with_texts() -> Callable[[Path, str, list[str]], None]:
    """Replace the first responses of a run, without their token details."""

    def change(run: Path, task: str, texts: list[str]) -> None:
        file = run / f"samples/{task}.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for line, text in zip(lines, texts, strict=False):
            line["output"] = text
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        for details in run.glob(f"samples/{task}.tokens-*"):
            details.unlink()

    return change


@pytest.fixture
def with_column() -> Callable[[Path, str, str, list[Any]], None]:
    """Set the means of a metric by document."""

    def change(run: Path, task: str, name: str, values: list[Any]) -> None:
        result = read_task(run / f"{task}.json")
        columns = {**result.documents, name: values}
        RunFolder(run).write_task(replace(result, documents=columns))

    return change
