"""How every causal-LM class of transformers is decoded and looked at: docs/architectures.md.

`PYTHONPATH=. python tests/helpers/architectures.py` writes the page again.
"""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tiny_models import NOT_BUILT, V, build, variants

from kdbench.errors import InputError
from kdbench.generate.decoding.guard import SoundDecoding, sound_decoding
from kdbench.views.view import ModelView

PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"
_ROW = re.compile(r"^\| `(\w+)`(?: with `(\w+)=true`)? \| ([\w ]+) \| ([\w ]+) \| (.*) \|$", re.M)

_INTRODUCTION = """\
# Architectures

transformers {version} has {classes} classes of causal language models. kdbench tries each of them
as a small random model in float32 on a CPU, with prompts of different lengths. This page lists the
results, and a test repeats them. The same checks run on your checkpoint, teacher or student, when
`eval`, `train` or `fill` loads it.

**Decoding** is compared with the plain forward pass of each prompt alone, without padding and
without a cache. Four ways are tried, and the first whose logits agree is used:

- *fast batch*: rows decode together, and where all layers allow it, the next row takes the place of
  one that has finished;
- *batch*: rows decode together until all of them have finished;
- *alone*: rows decode one at a time, with the model's own cache;
- *recomputed*: rows decode one at a time, and each token takes a whole forward pass.

One line on stderr says when it is not the first. The prompts are random tokens. In float16 and
bfloat16, a way that disagrees on them is tried again on text that the model wrote itself, because
rounding alone can change the logits of random tokens, as in Gemma 3. A model is *refused* if no way
agrees, or if later tokens change the logits of earlier ones. Models with LongRoPE decode one row at
a time when a prompt and its response may grow beyond the length at which all positions change.

**Training and fidelity** compute logits from the states that a model's head is given. These are
compared with the model's own logits, as they are and scaled until they are large, so that a cap on
large logits cannot hide.

{counts}

| class | decoding | training and fidelity | reason |
|:--|:--|:--|:--|
"""
_WORDS = {"fast": "fast batch", "batch": "batch", "alone": "alone", "recomputed": "recomputed"}


@dataclass(frozen=True)
class Verdict:
    """What became of one class.

    Attributes:
        name: of the class.
        setting: that makes it a decoder, or empty.
        decoding: the way, `refused` or `not tried`.
        view: `yes`, `refused` or `not tried`.
        reason: of the decoding that is not the fast one.
    """

    name: str
    setting: str
    decoding: str
    view: str
    reason: str = ""


def judge(name: str, setting: str) -> tuple[Verdict, Any, SoundDecoding | None]:
    """The verdict on a class, its model, and how that decodes."""
    if name in NOT_BUILT:
        return Verdict(name, setting, "not tried", "not tried", NOT_BUILT[name]), None, None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build(name, setting)
        sound, reason = None, ""
        try:
            sound = sound_decoding(model, V)
            decoding = _WORDS[sound.path]
            if sound.note:
                reason = sound.note.split(": ", 2)[2]
        except InputError as error:
            decoding, reason = "refused", str(error).partition(": ")[2]
        try:
            ModelView(model, V).check()
            view = "yes"
        except InputError:
            view = "refused"
    return Verdict(name, setting, decoding, view, _without_numbers(reason)), model, sound


def _without_numbers(reason: str) -> str:
    """Errors of random models in another order of sums are other numbers."""
    reason = re.sub(r" by [\d.e+-]+ of their spread", "", reason)
    return reason.replace("|", "\\|").replace("\n", " ")[:140]


def stored() -> tuple[str, dict[tuple[str, str], Verdict]]:
    """The version of transformers that the page is about, and its verdicts."""
    text = PAGE.read_text("utf-8")
    version = re.search(r"transformers (\S+) has", text)
    assert version
    rows = [Verdict(a, b, c, d, e) for a, b, c, d, e in _ROW.findall(text)]
    return version[1], {(one.name, one.setting): one for one in rows}


def render(verdicts: list[Verdict]) -> str:
    """The page."""
    kinds = [*_WORDS.values(), "refused", "not tried"]
    plain = [one for one in verdicts if not one.setting]
    counts = [f"{sum(one.decoding == kind for one in plain)} {kind}" for kind in kinds]
    lines = [
        f"| `{one.name}`{f' with `{one.setting}=true`' if one.setting else ''} | {one.decoding} | "
        f"{one.view} | {one.reason} |"
        for one in verdicts
    ]
    head = _INTRODUCTION.format(
        version=transformers.__version__,
        classes=len(plain),
        counts=f"With default settings: {', '.join(counts)}.",
    )
    return head + "\n".join(lines) + "\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    PAGE.write_text(render([judge(*one)[0] for one in variants()]), "utf-8")
