"""`kdbench card`: the Hugging Face model card of a measured checkpoint."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.checkpoint import find_checkpoint
from kdbench.errors import InputError, reason_of
from kdbench.exchange.find import one_run
from kdbench.exchange.hub.block import with_part
from kdbench.exchange.hub.results import eval_result_files, eval_results, shown_metrics
from kdbench.exchange.hub.text import card_body
from kdbench.exchange.settings import CardKeys, CardSettings
from kdbench.store.runs import StoredRun
from kdbench.system.outputs import STANDARD_OUTPUT, is_stream, put_output
from kdbench.text import visible

_OWN_TAGS = ("kdbench", "knowledge-distillation")


@dataclass(frozen=True)
class WrittenCard:
    """What `kdbench card` wrote.

    Attributes:
        files: Files, the card first.
        changed: Whether the card differs from what was there.
    """

    files: tuple[Path, ...]
    changed: bool


def write_card(settings: CardSettings) -> WrittenCard:
    """Write the card of a run, and its files of `.eval_results/` next to it.

    Raises:
        InputError: The run, the checkpoint or an existing card has a fault, or was edited by hand.
    """
    _, run = one_run(settings.run, settings.results)
    streams = is_stream(settings.out)
    if streams and settings.eval_results:
        raise InputError("eval_results= writes files next to the card: give out=FILE")
    old = "" if streams or not settings.out.exists() else read_text(settings.out)
    text = card_text(run, settings, old, str(settings.out))
    files = eval_result_files(run, settings.eval_results, None)
    written = [settings.out]
    put_output(settings.out, text)
    for name, content in files.items():
        put_output(settings.out.parent / name, content)
        written.append(settings.out.parent / name)
    return WrittenCard(tuple(written), text != old or settings.out == STANDARD_OUTPUT)


def card_text(
    run: StoredRun, settings: CardKeys, old: str, place: str, repo: str | None = None
) -> str:
    """The whole text of a card.

    Args:
        run: The run.
        settings: What the card says.
        old: Text of the card that it replaces; empty for none.
        place: Where that card is, for messages.
        repo: Repository of the model; None if it is not known.

    Raises:
        InputError: The old card was edited by hand or is no card, or a metric was not measured.
    """
    from huggingface_hub import ModelCard

    metrics = shown_metrics(run, settings.metrics)
    title = visible((repo or run.label).rpartition("/")[2])
    made = run_card(run, settings.checkpoint)
    body = card_body(run, metrics, made, title, repo or run.model)
    with_metadata = old if old.lstrip().startswith("---") else f"---\n{{}}\n---\n{old}"
    try:
        card = ModelCard(with_metadata)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{place}: not a model card: {reason_of(error)}") from None
    text = with_part(card.text, body, place, settings.overwrite)
    data = _metadata(run, settings, metrics, card.data, title)
    return f"---\n{data}\n---\n\n{text.lstrip()}"


def _metadata(
    run: StoredRun, settings: CardKeys, metrics: Sequence[str], old: Any, title: str
) -> str:
    """The metadata in YAML: what was there, with what the run and the user say."""
    from huggingface_hub import ModelCardData

    kept = {k: v for k, v in old.to_dict().items() if k not in ("model-index", "eval_results")}
    name = getattr(old, "model_name", None) or title
    given = {
        "license": settings.license,
        "base_model": list(settings.base_model) or None,
        "base_model_relation": "finetune" if settings.base_model else None,
        "datasets": list(settings.datasets) or None,
        "language": list(settings.language) or None,
    }
    defaults: dict[str, Any] = {"pipeline_tag": "text-generation", "library_name": "transformers"}
    tags = [*(kept.pop("tags", None) or []), *_OWN_TAGS]
    values = {**defaults, **kept, **{k: v for k, v in given.items() if v is not None}}
    new = eval_results(run, metrics)
    seen = {(entry.unique_identifier, entry.metric_name) for entry in new}
    others = [
        entry
        for entry in getattr(old, "eval_results", None) or []
        if (entry.unique_identifier, entry.metric_name) not in seen
    ]
    data = ModelCardData(
        **{key: value for key, value in values.items() if key != "model_name"},
        model_name=name,
        tags=list(dict.fromkeys(tags)),
        eval_results=[*others, *new],
    )
    return str(data.to_yaml())


def run_card(run: StoredRun, checkpoint: Path | None) -> Mapping[str, Any]:
    """The run card of the checkpoint that was measured; empty without one.

    Args:
        run: The run.
        checkpoint: Folder of the checkpoint; None if it is not given.

    Raises:
        InputError: There is no checkpoint, or it is not the one that was measured.
    """
    if checkpoint is None:
        return {}
    found = find_checkpoint(str(checkpoint), unsafe_pickle=True, key="checkpoint")
    measured = run.record["model"].get("sha256")
    if measured is not None and found.sha256 != measured:
        raise InputError(
            f"checkpoint={checkpoint}: is not the one that was measured (sha256 "
            f"{found.sha256[:12]}, the run has {str(measured)[:12]})"
        )
    card: Mapping[str, Any] = json.loads(json.dumps(dict(found.card)))
    return card


def read_text(path: Path) -> str:
    """The text of a card.

    Raises:
        InputError: It is not UTF-8.
    """
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8: {error}") from None
