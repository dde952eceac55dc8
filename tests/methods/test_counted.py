"""No system of the literature list is missing: each trains, and has all that goes with it."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from kdbench.distillation.recipe import recipes
from kdbench.filling.rows import spec_rows
from kdbench.filling.spec import read_spec
from kdbench.filling.spec_files import find_spec
from kdbench.methods import FAMILIES, methods

ROOT = Path(__file__).parents[2]

# Systems with a training form: their names in the literature, and in the registry.
SYSTEMS = {
    "supervised fine-tuning": "sft",
    "Hinton KD": "kd",
    "reverse KL": "rkl",
    "GKD": "gkd",
    "MiniLLM": "minillm",
    "DistiLLM": "distillm",
    "On-Policy Distillation": "opd",
    "TAID": "taid",
    "weak same-size classmate": "classmate",
    # Losses on logits
    "PLD": "pld",
    "Logit Standardization": "logit_std",
    "BD-KD": "bdkd",
    "BiLD, Switch-KD's DBiLD": "bild",
    "TSD-KD": "tsd",
    "FIRST": "first",
    "weak-to-strong generalisation": "weak_to_strong",
    "OFA-KD": "ofa",
    "Swing distillation": "swing",
    "ToDi": "todi",
    "EOPD": "eopd",
    # Heads and hidden states
    "Dual-Head KD": "dual_head",
    "DHO": "dho",
    "TRG": "trg",
    "LELP": "lelp",
    "ND loss": "nd",
    "Talking Models": "talking",
    "MST-Distill": "mst",
    "Mixup in KD": "mixup",
    # Self-distillation
    "OPSD": "opsd",
    "few-shot context self-distillation": "context_sd",
    "Even your Teacher Needs Guidance, recursive meta-distillation": "iterated",
    "Speculative KD": "skd",
    "strong-to-weak of Qwen3": "strong_to_weak",
    "SDFT": "sdft",
    "SDPO": "sdpo",
    # Data, weights and schedules
    "pre-training distillation": "pretrain_kd",
    "DDK": "ddk",
    "MPDistil": "mpdistil",
    "TGeo-KD": "tgeo",
    "KD-AIF": "aif",
    "KD3": "kd3",
    "HARD": "hard",
    "KnFu": "knfu",
    "EdgeFD": "edgefd",
    # Pairs and rewards
    "DCKD": "dckd",
    "ADPA": "adpa",
    "DPKD": "dpkd",
    "DistiLLM-2": "distillm2",
    "RLAD, TRRD": "trrd",
    # Across tokenizers
    "ULD": "uld",
    "DSKD": "dskd",
    "GOLD": "gold",
}
# Their formulas are tested apart from the files of hand values, under their names.
ELSEWHERE = ("test_formulas.py", "test_logit_methods.py")
SEARCH = "search:"  # DisWOT chooses the student before training: `student=search:MODEL,…`


def lacks(name: str, filled: set[str], pages: str, elsewhere: str) -> Iterator[str]:
    """What a method lacks, a few words each."""
    if name not in methods.names():
        yield "is not registered"
        return
    if f"toy/{name}" not in recipes():
        yield f"no recipe toy/{name}"
    family = methods.get(name).family
    if family not in FAMILIES or family == "other":
        yield f"its family is '{family}'"
    rows = len(re.findall(rf"^\| `{name}` \|", pages, re.M))
    if rows != 2:
        yield f"{rows} rows in docs/methods/*.md, not 2"
    file = f"tests.methods.hand_values.{name}"
    if importlib.util.find_spec(file) is None and f'"{name}"' not in elsewhere:
        yield "no hand values"
    if name not in filled:
        yield "no row in toy-all"


def test_no_system_of_the_literature_list_is_missing():
    spec = read_spec(find_spec("toy-all"))
    names = {methods.get(name): name for name in methods.names()}
    rows = [row for row in spec_rows(spec) if row.method is not None]
    filled = {names[type(row.method)] for row in rows}
    pages = "".join(page.read_text("utf-8") for page in (ROOT / "docs" / "methods").glob("*.md"))
    elsewhere = "".join((Path(__file__).parent / file).read_text("utf-8") for file in ELSEWHERE)
    missing = [
        f"{system} (`{name}`): {fault}"
        for system, name in SYSTEMS.items()
        for fault in lacks(name, filled, pages, elsewhere)
    ]
    starts = [str((row.entry.train or {}).get("student", "")) for row in rows]
    if not any(start.startswith(SEARCH) for start in starts):
        missing.append(f"DisWOT (`student={SEARCH}`): no row in toy-all")
    assert not missing, f"{len(missing)} missing:\n" + "\n".join(missing)


def test_every_method_has_a_row_in_the_gallery():
    spec = read_spec(find_spec("toy-all"))
    filled = {type(row.method) for row in spec_rows(spec)}
    own = [name for name in methods.names() if methods.get(name).__module__.startswith("kdbench.")]
    assert [name for name in own if methods.get(name) not in filled] == []
