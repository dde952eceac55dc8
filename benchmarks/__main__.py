"""`python -m benchmarks [NAME…] [--write]` runs the named benchmarks, else all without extras."""

import argparse
import importlib
import os
import sys
import traceback

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
    "orders",
    "answers",
    "frontier",
    "recipes",
    "growth",
    "teacher_cache",
    "plan",
    "scale",
    "site_samples",
    "reproduce",
)
WITH_EXTRA = ("engines", "loss", "roofline", "trl_step")  # these need vLLM and TRL
KNOWN = NAMES + WITH_EXTRA
# What `--gpu` runs in less than ten minutes, with its variables; those of the caller count more.
ON_GPU = {
    "KDBENCH_BENCH_DEVICE": "cuda",
    "KDBENCH_BENCH_VOCABULARY": "151936",
    "KDBENCH_BENCH_HIDDEN": "896,1536",
    "KDBENCH_BENCH_PRECISION": "bfloat16",
}
GPU_RUN = {
    "roofline": {"KDBENCH_BENCH_SECONDS": "90"},
    "loss": {"KDBENCH_BENCH_SECONDS": "120"},
    "trl_step": {
        "KDBENCH_BENCH_BATCH": "8",
        "KDBENCH_BENCH_TOKENS": "1024",
        "KDBENCH_BENCH_PROCESSES": "1",
        "KDBENCH_BENCH_STEPS": "8",
    },
    "methods": {
        "KDBENCH_BENCH_LAYERS": "4,4",
        "KDBENCH_BENCH_BATCH": "8",
        "KDBENCH_BENCH_TOKENS": "256",
        "KDBENCH_BENCH_STEPS": "4",
        "KDBENCH_BENCH_ROUNDS": "1",
        "KDBENCH_BENCH_SECONDS": "160",
    },
}


def main() -> None:
    """Run benchmarks, print their rows, and with `--write` store them in RESULTS.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(KNOWN))
    parser.add_argument("--write", action="store_true", help="store the rows in RESULTS.md")
    parser.add_argument(
        "--gpu", action="store_true", help=f"{', '.join(GPU_RUN)} on a GPU, in ten minutes"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(KNOWN):
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; known: {', '.join(KNOWN)}")
    if arguments.gpu and (others := set(arguments.names) - set(GPU_RUN)):
        parser.error(f"--gpu has no {', '.join(sorted(others))}; it has {', '.join(GPU_RUN)}")
    _quiet()
    given, failed = dict(os.environ), False
    for name in arguments.names or (GPU_RUN if arguments.gpu else NAMES):
        if arguments.gpu:
            os.environ.update(ON_GPU | GPU_RUN[name] | given)
        try:
            _run(name, arguments.write)
        except Exception:
            if not arguments.gpu:
                raise
            traceback.print_exc()  # the next one may still have time
            failed = True
    if failed:
        sys.exit(1)


def _run(name: str, writes: bool) -> None:
    outcome = importlib.import_module(f"benchmarks.{name}").run()
    print(f"\n{outcome.title(name)}\n{' | '.join(HEADER)}", flush=True)
    for row in outcome.rows:
        print(" | ".join(row.cells()), flush=True)
    if writes:  # after each benchmark, so that a later failure loses nothing
        write(name, outcome)


def _quiet() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("LMEVAL_LOG_LEVEL", "ERROR")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


if __name__ == "__main__":
    main()
