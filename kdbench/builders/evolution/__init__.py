"""Prompts that are rewritten into harder or other ones.

Modules: `operators` (what a model is asked, in the words of `prompts/`), `rules` (the same without
a model), `forms` (prompts in the layouts of rows) and `failures` (which results are of no use).
"""
