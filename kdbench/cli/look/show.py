"""`kdbench show RUN`: finding what a name means, and its lines."""

from collections.abc import Iterator
from pathlib import Path

from kdbench.cli.look.explain import EXPLAINED, explain
from kdbench.cli.look.files import read_gate
from kdbench.cli.look.run import run_lines
from kdbench.cli.outline import outline_lines
from kdbench.config.look import ShowSettings
from kdbench.errors import InputError, nearest_of
from kdbench.store.packs import is_run
from kdbench.store.runs import known_runs, run_folders
from kdbench.system.outline import Fact, Section
from kdbench.text import aligned, printable


def show_lines(settings: ShowSettings) -> Iterator[str]:
    """What is known about a run, a baseline, a recipe, a table or an installed part.

    Args:
        settings: Keys of the verb.

    Raises:
        InputError: Nothing has this name, or several runs have it.
    """
    from kdbench.distillation.recipe import recipes
    from kdbench.filling.spec_files import tables

    name, path = settings.run, Path(settings.run)
    folders = [path] if is_run(path) else run_folders(name, settings.results)
    gate = path if path.suffix == ".json" else settings.gates / f"{name}.json"
    if len(folders) > 1:
        raise InputError(f"'{name}' has several runs; give one: {', '.join(map(str, folders))}")
    if folders:
        yield from run_lines(folders[0], settings)
    elif gate.is_file():
        yield from _gate_lines(gate)
    elif (file := recipes().get(name)) or (file := tables().get(name)):
        yield from _file_lines(file)
    elif path.suffix in (".yaml", ".yml") and path.is_file():
        yield from _file_lines(path)
    else:
        yield from _part_lines(settings)


def _part_lines(settings: ShowSettings) -> Iterator[str]:
    """An installed task, metric, method, backend or protocol of the name."""
    name = settings.run
    for kind, part in EXPLAINED.items():
        if name in part.names():
            yield from explain(kind, name)
            return
    from kdbench.distillation.recipe import recipes
    from kdbench.filling.spec_files import tables

    gates = [file.stem for file in settings.gates.glob("*.json")]
    known = {*known_runs(settings.results), *gates, *recipes(), *tables()}
    raise InputError(
        f"'{name}': no run in results={settings.results}, baseline, recipe, table or installed part"
        f"{nearest_of(name, known)}; kdbench ls lists them"
    )


def _gate_lines(path: Path) -> Iterator[str]:
    gate = read_gate(path)
    facts = [
        ("model", gate.model),
        ("written", " ".join(filter(None, [gate.day, gate.who and f"by {gate.who}"]))),
        ("reason", gate.reason),
        ("tolerance", gate.tolerance),
        ("limit", "all prompts" if gate.limit is None else str(gate.limit)),
    ]
    shown = tuple(Fact(*fact) for fact in facts if fact[1])
    yield from outline_lines([Section(f"gate's baseline {path}", shown)])
    rows = [
        (task, str(count), ", ".join(map(printable, gate.metrics[task])))
        for task, count in gate.prompts.items()
    ]
    yield ""
    yield from aligned([("task", "prompts", "metrics"), *rows], left={0, 2})


def _file_lines(path: Path, seen: tuple[Path, ...] = ()) -> Iterator[str]:
    """A recipe or table, and those that it extends."""
    from kdbench.filling.spec_files import tables

    yield str(path)
    for line in path.read_text("utf-8", "replace").splitlines():
        yield f"  {printable(line)}"
        if line.startswith("extends:"):
            name = line.partition(":")[2].partition("#")[0].strip().strip("\"'")
            base = tables().get(name, path.parent / name)
            if base.is_file() and base.resolve() not in seen:
                around = (*seen, path.resolve(), base.resolve())
                yield from (f"    {text}" for text in _file_lines(base, around))
