"""The gate as tests: `pytest --kdbench-model=… --kdbench-baseline=…`.

Each row of the comparison is one test. Without `--kdbench-model` and `--kdbench-run` the plug-in
does nothing, and nothing else of kdbench is imported.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kdbench.comparing.model import Comparison

_OPTIONS = {
    "model": "checkpoint to gate",
    "run": "folder of a stored run to gate, instead of a checkpoint",
    "baseline": "gate's baseline (name or file), or a run",
    "data": "folder of the data sets",
    "results": "folder of the results",
    "tolerance": "largest acceptable loss of each metric, as in rougeL:0.5,empty:0",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("kdbench", "gating a checkpoint (see kdbench regress)")
    for name, description in _OPTIONS.items():
        group.addoption(f"--kdbench-{name}", metavar=name.upper(), help=description)
    group.addoption("--kdbench-strict", action="store_true", help="fail rows that are worse, too")
    group.addoption(
        "--kdbench-set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any other key of kdbench regress; can be repeated",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add a test for each row, if a checkpoint or a run was named."""
    if config.getoption("kdbench_model") is None and config.getoption("kdbench_run") is None:
        return
    from kdbench.errors import InputError

    try:
        gate = _Gate(config)
        rows = list(gate.rows())
    except InputError as error:
        raise pytest.UsageError(str(error)) from None
    for task, metric in rows:
        name = f"kdbench[{task}-{metric}]"
        items.append(_RowItem.from_parent(session, name=name, gate=gate, row=(task, metric)))


class _Gate:
    """The comparison, made once, when the first test runs."""

    def __init__(self, config: pytest.Config):
        from kdbench.comparing.settings import RegressSettings
        from kdbench.config import parse
        from kdbench.errors import InputError

        arguments = [
            f"{name}={value}"
            for name in _OPTIONS
            if (value := config.getoption(f"kdbench_{name}")) is not None
        ]
        arguments += ["strict=true"] * bool(config.getoption("kdbench_strict"))
        arguments += config.getoption("kdbench_set")
        self.settings: RegressSettings = parse(RegressSettings, arguments)
        if self.settings.update:
            raise InputError("--kdbench-set update=true: tests cannot write a baseline")
        self._comparison: Comparison | None = None
        self._error: Exception | None = None

    def rows(self) -> Iterator[tuple[str, str]]:
        """The task and metric of each row, which are known before anything is measured."""
        from kdbench.comparing.compare import gate_tolerances
        from kdbench.comparing.regress import find_baseline
        from kdbench.text import AVERAGE

        base = find_baseline(self.settings)
        tasks = [*base.tasks, *([AVERAGE] if len(base.tasks) > 1 else [])]
        for metric in gate_tolerances(self.settings, base):
            yield from ((task, metric) for task in tasks)

    def comparison(self) -> "Comparison":
        """The comparison, made on the first call; an error is raised again on later calls."""
        if self._error is not None:
            raise self._error
        if self._comparison is None:
            try:
                self._comparison = self._compare()
            except Exception as error:
                self._error = error
                raise
        return self._comparison

    def _compare(self) -> "Comparison":
        """Compare in one process at a time; those of pytest-xdist reuse the first one's results."""
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
        """Fail if the row fails the gate, and skip if it is undecided."""
        from kdbench.comparing.outputs.case import losses_in_text
        from kdbench.comparing.outputs.phrases import row_line
        from kdbench.comparing.verdict import fails, is_undecided

        comparison = self._gate.comparison()
        if comparison.problems:
            raise _GateError(str(comparison.decision))
        # A task's test also covers its categories, which are not known before the comparison.
        rows = [row for row in comparison.rows if (row.task, row.metric) == self._row]
        if not rows:
            pytest.skip("not compared: the new run does not have this task")
        failing = [row for row in rows if fails(row, comparison.rules)]
        if failing:
            lines = [[row_line(comparison, row), *losses_in_text(row)] for row in failing]
            raise _GateError("\n".join(line for of_row in lines for line in of_row))
        if is_undecided(rows[0]):
            pytest.skip(f"not decided (passes): {rows[0].shortfall}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The message alone, without a traceback, if the gate failed."""
        from kdbench.errors import InputError

        if isinstance(excinfo.value, _GateError | InputError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        """The place and name that pytest's reports show."""
        return "kdbench", None, self.name


class _GateError(Exception):
    """A row failed the gate, or the runs could not be compared."""
