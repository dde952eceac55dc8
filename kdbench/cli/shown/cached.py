"""What a teacher cache holds."""

from functools import partial
from typing import TYPE_CHECKING, Any

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.shown.printer import Printer
from kdbench.text import counted, duration

if TYPE_CHECKING:
    from kdbench.distillation.keeping import KeptScores


def cache_answer(kept: "KeptScores") -> VerbAnswer:
    """The answer of `cache`.

    Args:
        kept: What the cache holds.
    """
    return VerbAnswer(partial(print_cache, kept), partial(cache_document, kept))


def print_cache(kept: "KeptScores") -> None:
    """Print whose scores they are, how many, what they take, and what was added."""
    printer, summary, identity = Printer(), kept.summary, kept.summary.identity
    printer.line(
        f"{kept.folder}: the top {identity.top_k} of {identity.vocabulary} tokens of "
        f"{identity.name} (sha256 {identity.sha256[:12]}, {identity.dtype})"
    )
    for found in kept.sets:
        texts, tokens = counted(found.texts, "text"), counted(found.tokens, "token")
        printer.line(f"  {found.title}: {texts}, {tokens}, train_format={found.train_format}")
    size = f"{summary.size / 2**20:.2f} MiB in {counted(summary.files, 'file')}"
    printer.line(f"{counted(summary.texts, 'text')}, {counted(summary.tokens, 'token')}: {size}")
    if summary.bytes_per_token is not None:
        raw = 8 * identity.top_k + 12
        printer.line(f"{summary.bytes_per_token:.1f} bytes a token; {raw} before compression")
    if summary.tail is not None:
        printer.line(f"mean probability beyond the top {identity.top_k}: {summary.tail:.4f}")
    printer.line(_precision(kept))
    if summary.old_files:
        old = counted(summary.old_files, "file")
        printer.line(f"{old} of an earlier version; kdbench cache teacher=… converts them")
    if kept.checked:
        printer.line("checked: every file is as it was written")
    if kept.scored.texts:
        texts, tokens = counted(kept.scored.texts, "text"), counted(kept.scored.tokens, "token")
        rate = kept.scored.tokens / max(kept.scored.seconds, 1e-9)
        seconds = duration(kept.scored.seconds)
        printer.line(f"{texts} scored now, {tokens} in {seconds}: {rate:.0f} tokens a second")
    if kept.missing:
        printer.line(f"{counted(kept.missing, 'text')} left to other shards", "yellow")


def _precision(kept: "KeptScores") -> str:
    most = kept.summary.identity.max_error
    if not most:
        return "log-probabilities: float32, every bit kept"
    line = f"log-probabilities: within {most:g} nats"
    loss = kept.loss
    if not loss.tokens:
        return line
    return f"{line}; of those written now, {loss.error:.2g} at most, KL {loss.kl / loss.tokens:.1e}"


def cache_document(kept: "KeptScores") -> dict[str, Any]:
    """The same, for JSON."""
    summary, loss = kept.summary, kept.loss
    return {
        "cache": kept.folder,
        "teacher": summary.identity,
        "sets": [found.model_dump() for found in kept.sets],
        "texts": summary.texts,
        "tokens": summary.tokens,
        "files": summary.files,
        "old_files": summary.old_files,
        "bytes": summary.size,
        "bytes_per_token": summary.bytes_per_token,
        "tail": summary.tail,
        "checked": kept.checked,
        "scored": kept.scored,
        "missing": kept.missing,
        "loss": {"error": loss.error, "kl": loss.kl / loss.tokens} if loss.tokens else None,
    }
