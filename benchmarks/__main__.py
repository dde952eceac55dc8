"""`python -m benchmarks [NAME…] [--write]` runs the named benchmarks, else all without extras."""

import argparse
import importlib
import os

from benchmarks.report import HEADER, write

NAMES = (
    "rouge",
    "startup",
    "table",
    "lm_eval_equal",
    "generation",
    "batch_invariance",
    "training",
    "methods",
    "fidelity",
    "gate",
    "gate_skew",
    "intervals",
    "recipes",
    "growth",
    "site_samples",
    "reproduce",
)
WITH_EXTRA = ("engines", "loss", "trl_step")  # these need vLLM and TRL
KNOWN = NAMES + WITH_EXTRA


def main() -> None:
    """Run benchmarks, print their rows, and with `--write` store them in RESULTS.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(KNOWN))
    parser.add_argument("--write", action="store_true", help="store the rows in RESULTS.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(KNOWN):
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; known: {', '.join(KNOWN)}")
    _quiet()
    for name in arguments.names or NAMES:
        outcome = importlib.import_module(f"benchmarks.{name}").run()
        print(f"\n{outcome.title(name)}\n{' | '.join(HEADER)}", flush=True)
        for row in outcome.rows:
            print(" | ".join(row.cells()), flush=True)
        if arguments.write:  # after each benchmark, so that a later failure loses nothing
            write(name, outcome)


def _quiet() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("LMEVAL_LOG_LEVEL", "ERROR")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


if __name__ == "__main__":
    main()
