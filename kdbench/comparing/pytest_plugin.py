"""The gate as tests: `pytest --kdbench-model=… --kdbench-baseline=…`.

Each row of the comparison is an item. Without `--kdbench-model` or `--kdbench-run` nothing happens,
and nothing of kdbench but this file is imported.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kdbench.comparing.model import Comparison

_OPTIONS = {
    "model": "checkpoint to gate",
    "run": "folder of a stored run to gate, instead of a checkpoint",
    "baseline": "the gate's baseline: its name or file, or a run",
    "data": "folder of the data sets",
    "results": "folder of the results",
    "tolerance": "how much worse is fine, as in rougeL:0.5,empty:0",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("kdbench", "gate a checkpoint (kdbench regress)")
    for name, what in _OPTIONS.items():
        group.addoption(f"--kdbench-{name}", metavar=name.upper(), help=what)
    group.addoption("--kdbench-strict", action="store_true", help="a row that is worse fails too")
    group.addoption(
        "--kdbench-set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any other key of kdbench regress; may be repeated",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add an item for each row, where a checkpoint was named."""
    if config.getoption("kdbench_model") is None and config.getoption("kdbench_run") is None:
        return
    from kdbench.errors import InputError

    try:
        gate = _Gate(config)
        names = list(gate.rows())
    except InputError as error:
        raise pytest.UsageError(str(error)) from None
    for task, metric in names:
        name = f"kdbench[{task}-{metric}]"
        items.append(_RowItem.from_parent(session, name=name, gate=gate, row=(task, metric)))


class _Gate:
    """The comparison, made once, when the first item runs."""

    def __init__(self, config: pytest.Config):
        from kdbench.comparing.settings import RegressSettings
        from kdbench.config import parse
        from kdbench.errors import InputError

        words = [
            f"{name}={value}"
            for name in _OPTIONS
            if (value := config.getoption(f"kdbench_{name}")) is not None
        ]
        words += ["strict=true"] * bool(config.getoption("kdbench_strict"))
        words += config.getoption("kdbench_set")
        self.settings: RegressSettings = parse(RegressSettings, words)
        if self.settings.update:
            raise InputError("--kdbench-set update=true: tests write no baseline")
        self._comparison: Comparison | None = None
        self._error: Exception | None = None

    def rows(self) -> Iterator[tuple[str, str]]:
        """Task and metric of each row, which the baseline knows before anything is measured."""
        from kdbench.comparing.compare import tolerances_of
        from kdbench.comparing.regress import find_base
        from kdbench.text import AVERAGE

        base = find_base(self.settings)
        tasks = [*base.tasks, *([AVERAGE] if len(base.tasks) > 1 else [])]
        for metric in tolerances_of(self.settings, base):
            yield from ((task, metric) for task in tasks)

    def comparison(self) -> "Comparison":
        """Made once, and what went wrong is not tried again for the next row."""
        if self._error is not None:
            raise self._error
        if self._comparison is None:
            try:
                self._comparison = self._made()
            except Exception as error:
                self._error = error
                raise
        return self._comparison

    def _made(self) -> "Comparison":
        """By one process at a time: the others of pytest-xdist find its results."""
        from filelock import FileLock

        from kdbench.comparing.regress import regress

        self.settings.results.mkdir(parents=True, exist_ok=True)
        with FileLock(self.settings.results / ".gate.lock"):
            comparison = regress(self.settings).comparison
        assert comparison is not None  # noqa: S101 - update=true was refused
        return comparison


class _RowItem(pytest.Item):
    """A row of the comparison."""

    def __init__(self, *, gate: _Gate, row: tuple[str, str], **more: Any):
        super().__init__(**more)
        self._gate, self._row = gate, row

    def runtest(self) -> None:
        """Fail where the row makes the gate fail; skip where it is inconclusive."""
        from kdbench.comparing.outputs.words import line
        from kdbench.comparing.verdict import fails

        comparison = self._gate.comparison()
        if comparison.problems:
            raise _GateError(str(comparison.decision))
        found = {(row.task, row.metric): row for row in comparison.rows}
        if self._row not in found:
            pytest.skip("not compared: the new run does not have this task")
        row = found[self._row]
        said = line(comparison, row)
        if fails(row, comparison.rules):
            raise _GateError(said)
        if row.verdict == "inconclusive":
            pytest.skip(said)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """One line for what the gate says."""
        from kdbench.errors import InputError

        if isinstance(excinfo.value, _GateError | InputError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        """Where it stands in reports."""
        return "kdbench", None, self.name


class _GateError(Exception):
    """A row failed, or nothing could be compared."""
