"""Tasks that are scored by likelihood: `multiple_choice`, `loglikelihood`, `loglikelihood_rolling`.

`kdbench.task.requests` makes the requests, `encoding` encodes them as lm-eval does, `forward` reads
their log-probabilities from the model, `answers` stores them by document (the file that fidelity on
options reads), and `results` has lm-eval score them.
"""
