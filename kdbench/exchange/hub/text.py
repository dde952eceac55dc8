"""The text of a model card: results with intervals, training, protocol, limits and the command."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdbench.store.command import command_of
from kdbench.store.results import MetricResult
from kdbench.store.runs import StoredRun
from kdbench.system.secrets import public
from kdbench.task import task_title
from kdbench.text import DECIMALS, counted, duration, escape_md, number

_SETTINGS = (
    *("train_set", "train_format", "steps", "epochs", "batch_size", "learning_rate", "lr_schedule"),
    *("max_length", "lora_rank", "precision", "seed"),
)


def card_body(
    run: StoredRun,
    metrics: Sequence[str],
    card: Mapping[str, Any],
    title: str,
    model: str,
) -> str:
    """The part of a card that kdbench writes, in Markdown.

    Args:
        run: The run.
        metrics: Names of the metrics to show.
        card: The run card of the checkpoint; empty if it is not known.
        title: Heading of the card.
        model: The model in the command that measures it again.
    """
    parts = [
        f"# {escape_md(title)}",
        _summary(run, card),
        "## Results",
        "\n".join(_table(run, metrics)),
        _caption(run),
        *_section("## Distillation", _training(run, card)),
        *_section("## Protocol", _protocol(run)),
        *_section("## Limitations", _limitations(run, metrics)),
        *_again(run, model),
    ]
    return "\n\n".join(parts)


def _section(heading: str, lines: Iterator[str]) -> list[str]:
    items = [f"- {line}" for line in lines]
    return [heading, "\n".join(items)] if items else []


def _again(run: StoredRun, model: str) -> list[str]:
    """The command, unless another program measured or made the texts."""
    command = command_of(run, None, model)
    return ["## Measure it again", f"```sh\n{command}\n```"] if command else []


def _summary(run: StoredRun, card: Mapping[str, Any]) -> str:
    teacher = _teacher(run, card)
    method = escape_md(run.method or str(card.get("method") or ""))
    made = f"A student distilled with {method}" if method else "A language model"
    of_teacher = f" from {escape_md(teacher)}" if teacher and method else ""
    harness = (run.record.get("imported") or {}).get("from")
    harness = harness or f"kdbench {run.record.get('kdbench_version', '')}".strip()
    return f"{made}{of_teacher}, measured with {escape_md(str(harness))}."


def _teacher(run: StoredRun, card: Mapping[str, Any]) -> str | None:
    trained: Mapping[str, Any] = (card.get("training") or {}).get("teacher") or {}
    measured = next((r.teacher for r in run.results.values() if r.teacher), None) or {}
    name = trained.get("name") or measured.get("name")
    return str(name) if name else None


def _table(run: StoredRun, metrics: Sequence[str]) -> Iterator[str]:
    yield "| Task | Prompts | " + " | ".join(escape_md(name) for name in metrics) + " |"
    yield "|:--|--:|" + "--:|" * len(metrics)
    for task, result in {**run.results, **run.groups}.items():
        counts = [metric.n for metric in result.metrics.values()]
        cells = [_cell(result.metrics.get(name)) for name in metrics]
        prompts = str(max(counts, default=0))
        yield f"| {escape_md(task_title(task))} | {prompts} | " + " | ".join(cells) + " |"


def _cell(metric: MetricResult | None) -> str:
    if metric is None or metric.value is None:
        return ""
    decimals = DECIMALS.get(metric.unit, 2)
    text = number(metric.value, decimals, metric.bound)
    if metric.ci_low is not None and metric.ci_high is not None:
        # The space within the brackets does not break.
        text += f" \\[{metric.ci_low:.{decimals}f},\u00a0{metric.ci_high:.{decimals}f}\\]"
    return text


def _caption(run: StoredRun) -> str:
    seeds = run.record["protocol"].get("seeds") or []
    over = f", and numbers are means over {len(seeds)} sampling seeds" if len(seeds) > 1 else ""
    return f"Brackets hold the 95 % interval over prompts{over}."


def _training(run: StoredRun, card: Mapping[str, Any]) -> Iterator[str]:
    """What the run card says; without one, what the run recorded of it."""
    identity: Mapping[str, Any] = card.get("training") or {}
    if run.method or card.get("method"):
        yield f"Method: {escape_md(str(run.method or card['method']))}"
    if teacher := _teacher(run, card):
        yield f"Teacher: {escape_md(teacher)}"
    if name := (identity.get("student") or {}).get("name"):
        yield f"Initial student: {escape_md(str(name))}"
    triple = card.get("triple") or {}
    for key in ("objective", "source", "schedule"):
        if key in triple:
            yield f"{key.capitalize()}: {escape_md(str(triple[key]))}"
    rows = ((identity.get("data") or {}).get("train") or {}).get("rows")
    if rows is not None:
        yield f"Training examples: {rows}"
    settings: Mapping[str, Any] = identity.get("settings") or {}
    given = {key: settings[key] for key in _SETTINGS if settings.get(key) not in (None, 0)}
    if given:
        shown = (f"{key}={value}" for key, value in public(given).items())
        yield f"Settings: {escape_md(', '.join(shown))}"
    cost: Mapping[str, Any] = run.record.get("training") or {}
    if cost.get("seconds") is not None:
        yield f"Training time: {duration(cost['seconds'])}"
    if run.parameters:
        yield f"Parameters: {run.parameters:,}"


def _protocol(run: StoredRun) -> Iterator[str]:
    for key, value in run.record["protocol"].items():
        if value is not None and value != {}:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield f"{escape_md(key)}: {escape_md(text)}"
    if run.record["limit"] is not None:
        yield f"prompts: the first {run.record['limit']} of each task"
    backend = run.record.get("backend") or {}
    if backend.get("name"):
        yield f"backend: {escape_md(str(backend['name']))}"


def _limitations(run: StoredRun, metrics: Sequence[str]) -> Iterator[str]:
    yield (
        "The numbers compare only with numbers measured on the same prompts under the same "
        "protocol."
    )
    yield (
        "The intervals cover the choice of prompts and sampling, not that of the training seed: "
        "one checkpoint was measured."
    )
    if "rougeL" in metrics:
        yield "ROUGE-L measures overlap of words with a reference, not whether an answer is right."
    small = [
        task
        for task, result in run.results.items()
        if max((metric.n for metric in result.metrics.values()), default=0) < 100
    ]
    if small:
        yield f"Fewer than 100 prompts: {', '.join(escape_md(task_title(task)) for task in small)}."
    for task, result in run.results.items():
        title, cut = escape_md(task_title(task)), result.metrics.get("cut_off")
        if cut is not None and cut.value is not None and cut.value >= 0.05:
            share = f"{100 * cut.value:.0f} %" if cut.unit == "rate" else f"{cut.value:.0f} %"
            yield f"{title}: {share} of the responses reached the length limit."
        if result.cut_prompts:
            were = "was" if result.cut_prompts == 1 else "were"
            yield f"{title}: {counted(result.cut_prompts, 'prompt')} {were} cut."
    yield "The model was not checked for safety, bias or factual accuracy."
