"""The verbs about data sets that kdbench makes: `build`, and the list of builders."""

from typing import Any

from kdbench.cli.answer import VerbAnswer, dry_run_answer
from kdbench.cli.app import verb
from kdbench.cli.help import first_line
from kdbench.cli.lists import explained
from kdbench.cli.shown.listing import family_lines
from kdbench.registry.plugins import load_named_plugins
from kdbench.system.console import say
from kdbench.system.layout import output_width


@verb(
    "build",
    "kdbench.config.build_keys:BuildSettings",
    "teacher_responses teacher=path/to/teacher data=path/to/data train_set=dolly",
    group="Make",
)
def _build(arguments: list[str]) -> VerbAnswer:
    """Read prompts and models, and write a data set.

    BUILDER is the value of builder=. Run the same command again after an interruption, and it
    resumes.
    """
    from kdbench.builders.workshop.recipe import parse_build
    from kdbench.system.quiet import quiet_libraries

    recipe = parse_build(arguments)
    quiet_libraries()
    if recipe.settings.dry_run:
        from kdbench.builders.workshop.dry_run import plan_build

        return dry_run_answer(plan_build(recipe))
    from kdbench.builders.workshop.build import build
    from kdbench.cli.shown.built import built_answer

    return built_answer(build(recipe))


@verb("builders", words="[NAME] [plugins=FILE]")
def _builders(arguments: list[str]) -> VerbAnswer | None:
    """List the builders of data sets, or explain one."""
    if explained("builders", load_named_plugins(arguments)):
        return None
    from kdbench.builders import FAMILIES, builders

    entries: list[dict[str, Any]] = []
    for name in builders.names():
        builder = builders.get(name)
        facts = {"name": name, "family": builder.family, "description": first_line(builder.__doc__)}
        entries.append({**facts, "parts": builder.describe()})
    entries.sort(key=lambda entry: list(FAMILIES).index(entry["family"]))

    def show() -> None:
        for line in family_lines(entries, FAMILIES, output_width()):
            say(line)

    return VerbAnswer(show, lambda: {"entries": entries})
