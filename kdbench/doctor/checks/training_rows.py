"""Training rows that are left out or cut, and whether they teach the student to stop."""

from collections.abc import Iterator

from kdbench.distillation.data import DataSet
from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding, Level
from kdbench.doctor.patient import Patient
from kdbench.doctor.train_patient import TrainPatient

_SOME, _MOST = 0.05, 0.5


@check("training_rows", "tokens", of=("train",))
def training_rows(patient: Patient) -> Iterator[Finding]:
    """Rows left out or cut, and end tokens that the student learns."""
    assert isinstance(patient, TrainPatient)  # noqa: S101 - for the type checker
    ingredients, settings = patient.ingredients, patient.settings
    end, name = ingredients.tokenizer.eos_token, settings.train_set
    for split, data in (("train", ingredients.train), ("valid", ingredients.valid)):
        yield from _left_out(f"{name}/{split}", data, ingredients.lengths.prompt)
    train = ingredients.train
    ended = sum(
        e.response_ids[-1:] == (ingredients.tokenizer.eos_token_id,) for e in train.examples
    )
    share = 1 - ended / len(train.examples)
    longest = max(len(e.prompt_ids) + len(e.response_ids) for e in train.examples)
    patient.facts["rows"] = {
        "rows": len(train.examples) + train.dropped,
        "dropped": train.dropped,
        "with_end_token": ended,
        "longest": longest,
    }
    if share >= _SOME or not ended:
        yield Finding(
            "error" if share >= _MOST else "warning",
            f"{len(train.examples) - ended} of {len(train.examples)} responses of {name}/train are "
            f"cut at max_length={settings.max_length} and have no end token '{end}'",
            "the student does not learn to stop there, and its responses run to the limit",
            "a larger max_length=, or remove the longest rows",
        )
    yield from _ends_inside(patient)
    yield from _too_long(patient)


def _left_out(name: str, data: DataSet, limit: int) -> Iterator[Finding]:
    if not data.dropped:
        return
    rows = data.dropped + len(data.examples)
    share = data.dropped / rows
    level: Level = "error" if share >= _MOST else "warning" if share >= _SOME else "note"
    yield Finding(
        level,
        f"{data.dropped} of {rows} rows of {name} ({share:.0%}) are left out, as their "
        f"prompts are longer than max_prompt_tokens={limit}",
        "the student learns from the rest, which may be other kinds of prompts",
        "a larger max_prompt_tokens= and max_length=, or long_prompts=cut",
    )


def _ends_inside(patient: TrainPatient) -> Iterator[Finding]:
    tokenizer = patient.ingredients.tokenizer
    end = tokenizer.eos_token_id
    rows = [e.id for e in patient.ingredients.train.examples if end in e.response_ids[:-1]]
    if rows:
        yield Finding(
            "warning",
            f"{len(rows)} responses hold the end token '{tokenizer.eos_token}' as text, before "
            "their end",
            "the student learns to stop there, and to write on after its end",
            "remove the mark from the responses",
            rows,
        )


def _too_long(patient: TrainPatient) -> Iterator[Finding]:
    """Texts that do not fit into the positions of a model, before its weights are loaded."""
    train, settings = patient.ingredients.train.examples, patient.settings
    whole = max(len(e.prompt_ids) + len(e.response_ids) for e in train)
    sampled = max(len(e.prompt_ids) for e in train) + settings.max_new_tokens
    for member in patient.members:
        room = getattr(member.config, "max_position_embeddings", None)
        if room and max(whole, sampled) > room:
            yield Finding(
                "error",
                f"{member.whose}: {max(whole, sampled)} tokens of prompt and response do not fit "
                f"into its {room} positions",
                "the command stops when it has loaded the models",
                "lower " + ("max_length=" if whole > room else "max_new_tokens="),
            )
