"""Results of lm-evaluation-harness: `results_<time>.json` and `samples_<task>_<time>.jsonl`."""
