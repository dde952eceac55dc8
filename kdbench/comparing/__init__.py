"""Comparing two runs prompt by prompt, and gating a checkpoint: `compare`, `regress` and `plan`.

`find` and `scores` read the two runs, `matching` checks that they are comparable, `pairing` pairs
their prompts, `rows` tests each task and metric with `kdbench.stats.paired`, and `verdict` derives
the verdicts and the exit code. `outputs` writes the results as text, Markdown, JUnit XML and JSON.
"""
