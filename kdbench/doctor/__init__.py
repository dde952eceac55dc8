"""`kdbench doctor`: checks models, data and settings before an evaluation or a training.

Each check is a function in a file of `checks/`, which registers itself; other packages add theirs
by the entry-point group `kdbench.doctor`. Modules: `check` (what a check is), `finding` (what it
finds), `patient`, `eval_patient` and `train_patient` (what is looked at), `member` (one checkpoint
of it), `examine` (runs the checks), `output` (text and JSON), `settings` (keys of the verb), and
what several checks use: `rows`, `near`, `turns` and `sizes`.
"""
