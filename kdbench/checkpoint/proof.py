"""Proof that a model has exactly the tensors of its checkpoint."""

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.checkpoint.messages import warn_once
from kdbench.errors import InputError
from kdbench.text import printable

_LOG = logging.getLogger(__name__)
_SHOWN = 3
_PREFIXES = {
    "_orig_mod.": "torch.compile adds it",
    "module.": "DistributedDataParallel adds it",
    "base_model.model.": "peft adds it; save the result of merge_and_unload()",
}
# Masks and frequencies that older versions of transformers stored and that are computed today.
_BUFFER = re.compile(
    r"(^|\.)(attn|attention)\.(bias|masked_bias|causal_mask)$|\.inv_freq$|(^|\.)position_ids$"
)
_NOT_TEXT = re.compile(
    r"(^|\.)(vision|visual|image|audio|speech|multi_modal|mm|embed_vision)(_\w+)?\."
)


@dataclass(frozen=True)
class LoadReport:
    """What differs between the tensors of a checkpoint and those of its model.

    Attributes:
        missing: Tensors of the model that the checkpoint lacks; a library fills them at random.
        unexpected: Tensors of the checkpoint that the model has no place for.
        mismatched: Shapes in the checkpoint and in the model, by tensor.
        errors: Other messages of the library.
        unused: Tensors of the checkpoint that the model rightly leaves out.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: Mapping[str, tuple[Sequence[int], Sequence[int]]]
    errors: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    @classmethod
    def of_transformers(cls, model: Any, info: Mapping[str, Any], text_part: bool) -> "LoadReport":
        """The report that transformers returns with a model.

        Args:
            model: Model.
            info: Loading info of `from_pretrained`.
            text_part: Whether the model is the text part of a checkpoint that has others.
        """
        missing = set(info["missing_keys"])
        tied = getattr(model, "all_tied_weights_keys", None) or {}
        missing -= {name for name in missing if tied.get(name) in missing}  # named by its source
        shapes = {name: (tuple(had), tuple(wants)) for name, had, wants in info["mismatched_keys"]}
        unexpected = sorted(info["unexpected_keys"])
        unused = [
            name
            for name in unexpected
            if _BUFFER.search(name) or (text_part and _NOT_TEXT.search(name))
        ]
        return cls(
            tuple(sorted(missing)),
            tuple(name for name in unexpected if name not in unused),
            dict(sorted(shapes.items())),
            tuple(info.get("error_msgs") or ()),
            tuple(unused),
        )


def require_proof(path: Path, report: LoadReport, kind: str = "config.json") -> None:
    """Refuse weights that are not exactly those of the model.

    Args:
        path: Folder of the checkpoint.
        report: What differs.
        kind: File that describes the model, for messages.

    Raises:
        InputError: A tensor is missing, unexpected or of another shape; the message names it.
    """
    if report.unused:
        warn_once(f"{path}: tensors that text generation does not use: {_listed(report.unused)}")
    faults = []
    if report.missing:
        faults.append(f"{len(report.missing)} missing ({_listed(report.missing)})")
    if report.unexpected:
        faults.append(f"{len(report.unexpected)} unexpected ({_listed(report.unexpected)})")
    if report.mismatched:
        shapes = [f"{name}: {list(a)} for {list(b)}" for name, (a, b) in report.mismatched.items()]
        faults.append(f"{len(shapes)} of another shape ({_listed(shapes)})")
    faults += [" ".join(text.split())[:200] for text in report.errors]
    if not faults:
        return
    _LOG.info("%s: %s", path, report)
    raise InputError(
        f"{path}: cannot be loaded: the tensors are not those of {kind}: {', '.join(faults)}"
        f"{_hint(report.unexpected, report.missing)}"
    )


def _listed(names: Collection[str]) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(printable(name) for name in list(names)[:_SHOWN])
    return f"{shown}, …" if len(names) > _SHOWN else shown


def _hint(unexpected: Sequence[str], missing: Sequence[str]) -> str:
    """The prefix to strip from the names, as the end of a message; empty if that is not it."""
    if not unexpected or not missing:
        return ""
    known = next((prefix for prefix in _PREFIXES if unexpected[0].startswith(prefix)), None)
    prefix = known or _extra_prefix(unexpected[0], missing)
    if prefix is None or not all(name.startswith(prefix) for name in unexpected):
        return ""
    reason = f" ({_PREFIXES[known]})" if known else ""
    return f"; strip the prefix '{printable(prefix)}' from the names{reason}"


def _extra_prefix(name: str, missing: Sequence[str]) -> str | None:
    """What comes before a missing name in an unexpected one."""
    ends = [other for other in missing if name.endswith(f".{other}")]
    return name.removesuffix(max(ends, key=len)) if ends else None
