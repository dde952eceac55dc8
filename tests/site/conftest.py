"""A site of the toy world, as a folder and as one file, and a browser that opens it from disk."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser import Watched, chromium, launched
from filelock import FileLock
from made_conclusions import conclusion

HOSTILE = 'GKD <b>&"x"'
"""Label of a student of the site."""

LONG_SETTING = ",".join(["dolly", "self_instruct", "vicuna", "super_natural", "unnatural"] * 2)
"""A word of an analysis that is wider than a phone."""

METRICS = ("rougeL", "lm_loss", "acceptance", "fkl", "ece", "exposure_error")  # one of each kind


@dataclass(frozen=True)
class Sites:
    """The sites of the toy world, with its results."""

    results: Path
    folder: Path
    single: Path


@pytest.fixture(scope="session")
def sites(world, tmp_path_factory) -> Sites:
    """Three runs of the toy world as a site, made once for all workers of a test run."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    made = Sites(shared / "site-results", shared / "site", shared / "site-single" / "index.html")
    with FileLock(shared / "site.lock"):
        if not made.single.exists():  # written last
            _measure(world, shared / "site-models", made.results)
            _write(made)
    return made


def _measure(world, models: Path, results: Path) -> None:
    """Two students and their teacher; the second student is the first with some noise."""
    import kdbench

    noisy = _with_noise(world.student, models / "noisy")
    keys = {"data": world.data, "teacher": str(world.teacher), "results": results}
    keys |= {"limit": 6, "seeds": (10, 20), "max_new_tokens": 32, "device": "cpu"}
    for model, method in ((world.student, "SFT"), (noisy, HOSTILE), (world.teacher, "Teacher")):
        common = {**keys, "model": str(model), "method": method}
        kdbench.evaluate(**common, tasks=("dolly", "vicuna"), metrics=METRICS)
        kdbench.evaluate(**common, tasks="skills_sums")


def _with_noise(model: Path, copy: Path) -> Path:
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, copy)
    weights = load_file(copy / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    for name, weight in weights.items():
        weights[name] = weight + 0.02 * torch.randn(weight.shape, generator=generator)
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def _write(made: Sites) -> None:
    """The folder as `kdbench report` writes it; the one file without drawing figures again."""
    from kdbench.config import ReportSettings
    from kdbench.site import make_report
    from kdbench.site.pages import make_pages
    from kdbench.site.report import footer, title_of
    from kdbench.site.source import read_source
    from kdbench.site.write import site_files, write_files
    from kdbench.store.conclusions import write_conclusion

    answers = made.folder.with_name("site-answers")
    write_conclusion(answers, conclusion(settings={"tasks": LONG_SETTING}))
    settings = ReportSettings(
        results=made.results, baseline="SFT", out=made.folder, analyses=answers
    )
    make_report(settings)
    source = read_source(settings)
    files = site_files(make_pages(source), title_of(source), footer(source), single_file=True)
    write_files(made.single.parent, files)


@pytest.fixture(scope="session")
def browser():
    """A headless browser; tests that need one are skipped where none is installed."""
    pytest.importorskip("playwright")
    if chromium() is None:
        pytest.skip("no Chromium is installed")
    with launched() as started:
        yield started


@pytest.fixture
def watched(browser):
    """A page that must load nothing from elsewhere and report no error: `watched.open(site)`."""
    page = Watched(browser)
    yield page
    page.context.close()
    assert page.faults == []
