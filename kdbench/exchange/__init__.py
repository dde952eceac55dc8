"""Results in the forms of other tools: the Hugging Face Hub, and lm-evaluation-harness.

Modules: `settings` (keys of the verbs), `find` (the run that a name stands for), `hub` (model card
and push), `lm_eval` (results files, read and written).
"""
