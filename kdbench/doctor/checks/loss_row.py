"""The loss of a training row token by token: what is in it, and what it is divided by."""

from collections.abc import Iterator
from typing import Any

from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.patient import Patient
from kdbench.doctor.train_patient import TrainPatient
from kdbench.text import aligned, shortened
from kdbench.views.rollout import Batch, Example, of_dataset

_LONGEST = 40


@check("loss_row", "tokens", of=("train",))
def loss_row(patient: Patient) -> Iterator[Finding]:
    """The mask and the denominator of the loss, token by token; --show-row prints them."""
    assert isinstance(patient, TrainPatient)  # noqa: S101 - for the type checker
    train, tokenizer = patient.ingredients.train, patient.ingredients.tokenizer
    example, settings = train.examples[0], patient.settings
    # What the loss itself reads: where each target is predicted.
    batch = Batch([of_dataset(example)])
    places = {int(column) + 1 for column in batch.inputs()[2]}
    targets = batch.targets.tolist()
    ids = [*example.prompt_ids, *example.response_ids]
    if [ids[place] for place in sorted(places)] != targets or len(places) != len(targets):
        yield Finding(
            "error",
            f"row '{example.id}': the loss predicts other tokens than those of the response",
            "the student would learn from shifted labels",
            "report this as a bug of kdbench or of the plug-in that made the batch",
        )
    parts = patient.method.triple().describe()
    step = sum(len(e.response_ids) for e in train.examples) / len(train.examples)
    step *= min(settings.batch_size, len(train.examples))
    patient.facts["loss_row"] = {
        "id": example.id,
        "prompt_tokens": len(example.prompt_ids),
        "tokens_in_loss": len(places),
        "mean_tokens_in_step": round(step, 1),
    }
    patient.sections["row"] = [
        f"the loss of row '{example.id}', token by token",
        *_table(example, ids, places, tokenizer),
        f"loss: {parts['objective']}, on responses of: {parts['source']}",
        f"in the loss: {len(places)} of {len(ids)} tokens, the sum of the weights",
        f"denominator: the response tokens of all {settings.batch_size} rows of a step, about "
        f"{step:.0f}; a token counts the same in a long response as in a short one",
    ]


def _table(example: Example, ids: list[int], places: set[int], tokenizer: Any) -> list[str]:
    rows = [("place", "token", "text", "part", "weight")]
    for place, number in enumerate(ids):
        part = "prompt" if place < len(example.prompt_ids) else "response"
        if place == len(ids) - 1 and number == tokenizer.eos_token_id:
            part = "end token"
        text = shortened(ascii(tokenizer.decode([number])), _LONGEST)
        rows.append((str(place), str(number), text, part, "1" if place in places else "0"))
    return aligned(rows, left={2, 3})
