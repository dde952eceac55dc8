"""`kdbench train --dry-run`: what a training would do, without weights and without writing."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean
from types import SimpleNamespace
from typing import Any

from kdbench.config import given_facts
from kdbench.distillation.cached import check_complete
from kdbench.distillation.card import CARD, read_card
from kdbench.distillation.claim import check_claim
from kdbench.distillation.data import DataSet
from kdbench.distillation.early import check_early
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.notes import notes
from kdbench.distillation.recipe import Recipe
from kdbench.distillation.served import ServedTeachers
from kdbench.distillation.stages import StageRun, stage_runs
from kdbench.generate.prompts import encode_prompt
from kdbench.generate.unloaded import UnloadedCheckpoint
from kdbench.methods import Method
from kdbench.system.environment import environment
from kdbench.system.outline import Fact, Section, excerpt
from kdbench.text import counted, duration
from kdbench.training.source import FromDataset, FromTeacher
from kdbench.training.sources.pairs import FromPairs
from kdbench.training.triple import Triple
from kdbench.views.rollout import of_dataset
from kdbench.views.token_texts import token_lines

_SHOWN = 2  # rows
_DIGITS = 12  # of a hash


def plan_training(recipe: Recipe) -> list[Section]:
    """What `train` would do: every check is made, no weights are loaded, nothing is written.

    Args:
        recipe: The settings and the method.

    Raises:
        InputError: As for `train`, but for what only the loaded models show.
    """
    check_early(recipe)
    from kdbench.distillation.arguments import check_settings

    check_settings(recipe.settings)
    ingredients = Ingredients(recipe)
    if recipe.out.exists():
        read_card(recipe.out, ingredients)
    unfinished = recipe.out.with_name(f"{recipe.out.name}.unfinished")
    check_claim(unfinished, ingredients)
    stages = stage_runs(ingredients, unfinished)
    for run in stages:
        run.stage.triple.check_data(ingredients.train.examples, ingredients.valid.examples)
    triple = stages[0].stage.triple
    ingredients.student.check(recipe.settings.trust_remote_code)
    taught = [run.stage.triple for run in stages if run.needs_given_teacher]
    if taught or "teacher" in recipe.method.prepares_with:
        ingredients.check_tokenizers(*taught)
    ingredients.check_companions(*(run.stage.triple for run in stages))
    # A teacher that reads tokens of its own has been checked with these.
    _check_positions(ingredients, any(ingredients.reader(triple) is None for triple in taught))
    is_served = ingredients.served is not None
    if ingredients.cached is not None and ingredients.cache is not None and not is_served:
        check_complete(
            ingredients.cache, ingredients.train.examples, ingredients.train.title, recipe.settings
        )
    steps = recipe.steps(len(ingredients.train.examples))
    given = (*given_facts(recipe.settings), *given_facts(recipe.method))
    facts = [fact for fact in given if fact.value]
    return [
        Section("kdbench train: a dry run, which writes nothing", tuple(facts)),
        Section("Models", tuple(_model_facts(ingredients, unfinished))),
        Section(f"Method: {recipe.method.title}", tuple(_method_facts(ingredients, triple, steps))),
        *(_stage_section(run) for run in stages if len(stages) > 1),
        Section(f"Data: {recipe.settings.train_set}", tuple(_data_facts(ingredients, triple))),
        *(
            Section(f"Row {index + 1}: {example.id}", tuple(_row_facts(ingredients, index)))
            for index, example in enumerate(ingredients.train.examples[:_SHOWN])
        ),
    ]


def _check_positions(ingredients: Ingredients, needs_teacher: bool) -> None:
    """Check that the texts fit into the models, from their configurations."""
    from kdbench.distillation.models import check_positions

    examples, settings = ingredients.train.examples, ingredients.settings
    config = ingredients.student.config(settings.trust_remote_code).get_text_config()
    check_positions(SimpleNamespace(config=config), "the student", examples, settings)
    if needs_teacher and ingredients.teacher is not None:
        teacher = UnloadedCheckpoint(ingredients.teacher, settings.trust_remote_code)
        check_positions(teacher, "the teacher", examples, settings)


def _model_facts(ingredients: Ingredients, unfinished: Path) -> Iterator[Fact]:
    settings, student = ingredients.settings, ingredients.student
    yield Fact("student", f"{student.spec} (sha256 {student.checkpoint.sha256[:_DIGITS]})")
    if ingredients.teacher is not None:
        teacher = ingredients.teacher
        yield Fact("teacher", f"{teacher.path} (sha256 {teacher.sha256[:_DIGITS]})")
    if ingredients.served is not None:
        yield Fact("teacher", ingredients.served.place)
    elif ingredients.cached is not None:
        cached = ingredients.cached
        yield Fact(
            "teacher", f"{settings.teacher}: {cached.name} (sha256 {cached.sha256[:_DIGITS]})"
        )
    if ingredients.cache is not None:
        yield Fact(
            "scores", f"the top {ingredients.top_k} tokens, kept in {ingredients.cache.folder}"
        )
    yield Fact("runs on", f"{ingredients.device}, precision {ingredients.precision}")
    out = unfinished.with_name(unfinished.name.removesuffix(".unfinished"))
    states = sorted(
        [*unfinished.glob("checkpoint-*"), *unfinished.glob("stage-*/checkpoint-*")],
        key=lambda path: path.stat().st_mtime,
    )
    state = "new"
    if out.exists():
        state = "trained already with the same settings: there is nothing to do"
    elif states:
        place = states[-1].parent.name.replace("-", " ")
        of_stage = f" of {place}" if states[-1].parent != unfinished else ""
        state = f"resumes from step {states[-1].name.rpartition('-')[2]}{of_stage}"
    yield Fact("out", f"{out} ({state})")
    if settings.lora_rank:
        yield Fact("LoRA", f"rank {settings.lora_rank}, alpha {settings.lora_alpha}")


def _method_facts(ingredients: Ingredients, triple: Triple, steps: int) -> Iterator[Fact]:
    settings, examples = ingredients.settings, ingredients.train.examples
    if len(ingredients.method.stages()) == 1:
        for name, text in triple.describe().items():
            yield Fact(name, text)
    if type(ingredients.method).prepare is not Method.prepare:
        out = ingredients.settings.out or Path("runs") / ingredients.settings.method
        yield Fact("preparation", f"before the first step, kept in {out.parent / 'prepared'}")
    epochs = steps * ingredients.recipe.prompts_per_step / len(examples)
    yield Fact(
        "steps", f"{steps} of {counted(settings.batch_size, 'example')}: {epochs:.3g} epochs"
    )
    source, tokens = triple.source.inner, mean(len(example.response_ids) for example in examples)
    count = settings.batch_size * source.per_example
    if isinstance(source, FromDataset | FromPairs):
        yield Fact("rollouts", f"{count} a step, none sampled from the student")
    else:
        yield Fact(
            "rollouts",
            f"{count} a step, those of the student sampled with at most "
            f"{settings.max_new_tokens} tokens each",
        )
    tokens *= count
    yield Fact("loss", f"about {tokens:.0f} response tokens a step, as long as the data set's")
    every = settings.validate_every or ingredients.recipe.steps_of_epoch(len(examples))
    count = len(ingredients.valid.examples)
    yield Fact(
        "validation",
        f"every {counted(every, 'step')} on {counted(count, 'example')}; keeps {settings.select}",
    )
    if ingredients.served is not None and triple.needs_teacher_model:
        yield Fact("to score", _to_score(ingredients, ingredients.served, triple, steps))
    yield Fact("time", _estimate(ingredients, steps))


def _to_score(ingredients: Ingredients, served: ServedTeachers, triple: Triple, steps: int) -> str:
    """How many tokens are sent to the teacher's server, apart from its check and from retries."""
    rows = [of_dataset(example) for example in ingredients.train.examples]
    missing = served.missing(rows).values()
    tokens = sum(len(row.prompt_ids) + len(row.response_ids) for row in missing)
    if not triple.source.gives_samples:
        return (
            f"{tokens} tokens of {counted(len(missing), 'response')} before the first step; the "
            f"scores of {len(rows) - len(missing)} are in {served.cache.folder}"
        )
    prompts = mean(len(row.prompt_ids) for row in rows)
    responses = [len(row.response_ids) for row in rows]
    longest = max(ingredients.settings.max_new_tokens, *responses)
    count = steps * ingredients.settings.batch_size * triple.source.inner.per_example
    return (
        f"at most about {count * (prompts + longest):.0f} tokens of "
        f"{counted(count, 'response')} in training, if each has {longest} tokens"
    )


def _stage_section(run: StageRun) -> Section:
    """A stage of a run of several."""
    last = run.before + run.steps
    facts = [
        Fact("steps", f"{run.before + 1} to {last}"),
        Fact("learns", run.stage.describe(run.number)),
    ]
    facts += [Fact(name, text) for name, text in run.stage.triple.describe().items()]
    return Section(f"Stage {run.number}: {run.name}", tuple(facts))


def _data_facts(ingredients: Ingredients, triple: Triple) -> Iterator[Fact]:
    for name, data in (("train", ingredients.train), ("valid", ingredients.valid)):
        cut = sum(bool(_cut_off(ingredients, data, i)) for i in range(len(data.examples)))
        yield Fact(name, _lengths(data, cut))
    for line in notes(ingredients):
        yield Fact("note", line)
    if isinstance(triple.source.inner, FromTeacher):
        yield Fact(
            "responses",
            "the student learns from the teacher's, sampled once before training, and not from "
            "those below",
        )


def _cut_off(ingredients: Ingredients, data: DataSet, index: int) -> tuple[int, ...]:
    """The tokens of an example's prompt that max_prompt_tokens= removed."""
    kept, row, encoder = data.examples[index].prompt_ids, data.rows[index], ingredients.encoder
    if row.is_text or len(kept) < ingredients.lengths.prompt:
        return ()
    whole = encode_prompt(encoder.tokenizer, encoder.form, row.prompt, row.message)
    return whole.ids[len(kept) :]


def _lengths(data: DataSet, cut: int) -> str:
    prompts = [len(example.prompt_ids) for example in data.examples]
    responses = [len(example.response_ids) for example in data.examples]
    return (
        f"{len(data.examples)} of {data.read} rows used, {data.dropped} left out, {cut} prompts "
        f"and {data.cut} responses cut; prompts of {mean(prompts):.0f} tokens (at most "
        f"{max(prompts)}), responses of {mean(responses):.0f} (at most {max(responses)})"
    )


def _row_facts(ingredients: Ingredients, index: int) -> Iterator[Fact]:
    """The tokens of a row, which of them are in the loss, and what was cut."""
    tokenizer, example = ingredients.tokenizer, ingredients.train.examples[index]
    ends = example.response_ids[-1] == tokenizer.eos_token_id
    responses = {name: reply.response for name, reply in example.replies.items()} or {
        "response": example.response_ids
    }
    for name, ids, role in (
        ("prompt", example.prompt_ids, f"{len(example.prompt_ids)} tokens, not in the loss"),
        *((name, ids, f"{len(ids)} tokens, all in the loss") for name, ids in responses.items()),
    ):
        yield Fact(name, role)
        yield Fact("text", excerpt(tokenizer.decode(ids)), is_text=True)
        texts, numbers = token_lines(tokenizer, ids)
        yield from (Fact("tokens", texts, is_text=True), Fact("ids", numbers))
    end = f"the last token in the loss is the end token '{tokenizer.eos_token}'"
    cut = f"cut at max_length={ingredients.lengths.total}, so there is no end token"
    yield Fact("end", end if ends else cut)
    if removed := _cut_off(ingredients, ingredients.train, index):
        yield Fact("cut off", f"{len(removed)} tokens of the prompt, on the right:")
        yield Fact("", excerpt(tokenizer.decode(removed), 400, 200), is_text=True)


def _estimate(ingredients: Ingredients, steps: int) -> str:
    """The time of the steps, from the run cards beside `out=`; no speed is assumed."""
    out, speeds = ingredients.settings.out or Path("runs") / ingredients.settings.method, []
    machine = environment()
    for file in sorted(out.parent.glob(f"*/{CARD}")):
        try:
            card = json.loads(file.read_text("utf-8"))
            if _is_like(card, ingredients, machine):
                seconds = sum(phase["seconds"] for phase in card["phases"].values())
                speeds.append(seconds / card["steps"])
        except (ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError, OSError):
            continue  # a card of another tool, or a broken one: it only serves an estimate
    if not speeds:
        return "unknown until the first steps: no such training is in the folder of out="
    return (
        f"about {duration(steps * mean(speeds))}, from {len(speeds)} trainings of this student by "
        "this method on this machine"
    )


def _is_like(card: Mapping[str, Any], ingredients: Ingredients, machine: Mapping[str, Any]) -> bool:
    """Whether a run card is of a training that took as long for a step."""
    made, now = card["training"], ingredients.identity
    keys = ("method", "batch_size", "max_length", "max_new_tokens", "lora_rank")
    return (
        made["student"] == now["student"]
        and made["teacher"] == now["teacher"]
        and all(made["settings"].get(key) == now["settings"].get(key) for key in keys)
        and card["device"] == ingredients.device
        and all(card["environment"].get(k) == machine[k] for k in ("gpus", "threads", "platform"))
    )
