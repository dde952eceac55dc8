"""`kdbench build --dry-run`: what would be read, asked and written, before a model is loaded."""

from collections.abc import Iterable, Iterator

from kdbench.builders.workshop.identity import identity_of
from kdbench.builders.workshop.models import BuildModel, find_models
from kdbench.builders.workshop.protocol import protocol_of
from kdbench.builders.workshop.recipe import BuildRecipe
from kdbench.builders.workshop.source import SourceRows
from kdbench.config import given_facts
from kdbench.system.outline import Fact, Section, excerpt, plain_fields
from kdbench.text import counted

_DIGITS = 12  # of a hash


def plan_build(recipe: BuildRecipe) -> list[Section]:
    """What `build` would read, ask and write.

    Raises:
        InputError: As for `build`, but for what only a loaded model shows.
    """
    protocol, source = protocol_of(recipe.settings), SourceRows(recipe.settings)
    models = find_models(recipe.settings, recipe.builder)
    identity_of(recipe, source, models)
    first = next(iter(source))
    facts = [Fact("reads", f"{source.title}: {counted(source.count, 'row')}")]
    facts += [Fact(*fact) for fact in recipe.builder.plan(source.count)]
    if recipe.builder.samples:
        fields = protocol.as_dict()
        asked = {key: fields[key] for key in ("max_new_tokens", "temperature", "top_p", "top_k")}
        facts += [Fact("samples", plain_fields(asked))]
    if source.validation_file() is not None:
        facts += [Fact("copies", f"{source.validation_file()}")]
    state = "exists" if recipe.out.exists() else "is missing"
    return [
        Section("kdbench build: a dry run, which writes nothing", given_facts(recipe.settings)),
        Section(f"Builder {recipe.settings.builder}: {recipe.builder.title}", tuple(facts)),
        *([Section("Models", tuple(_models(models.values())))] if models else []),
        Section("First row", (Fact("prompt", excerpt(first.prompt or str(first.message)), True),)),
        Section("Output", (Fact("folder", f"{recipe.out}, which {state}"),)),
    ]


def _models(models: Iterable[BuildModel]) -> Iterator[Fact]:
    for model in models:
        size = "" if model.parameters is None else f", {model.parameters:,} parameters"
        sha256 = model.checkpoint.sha256[:_DIGITS]
        yield Fact(model.key, f"{model.checkpoint.name} (sha256 {sha256}{size})")
