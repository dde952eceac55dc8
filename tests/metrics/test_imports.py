"""Listing the metrics does not import the libraries that compute them."""

import subprocess
import sys

HEAVY = {"matplotlib", "nltk", "numpy", "rapidfuzz", "sacrebleu", "scipy", "torch", "transformers"}


def test_listing_the_metrics_imports_nothing_heavy() -> None:
    code = (
        "import sys; from kdbench.metrics import metrics; metrics.names(); "
        "print(*(name for name in sys.modules if '.' not in name))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
