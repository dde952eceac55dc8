"""The tiny world that all inputs of the fuzzer start from."""

from collections.abc import Iterator

import datasets
import outcomes
import pytest
from tiny_world import TinyWorld, make_tiny_world


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many verbs the fuzzer ran."""
    if outcomes.runs:
        terminalreporter.write_line(
            f"fuzzer: {outcomes.runs.total()} verbs run, {outcomes.runs['done']} of them to the end"
        )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyWorld]:
    """The undamaged world."""
    cache = tmp_path_factory.mktemp("datasets")
    datasets.disable_progress_bars()  # kdbench sets a variable, which an imported tqdm ignores
    with pytest.MonkeyPatch.context() as patch:
        # Else every damaged data set stays in the user's cache.
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
        yield make_tiny_world(tmp_path_factory.mktemp("tiny"))
