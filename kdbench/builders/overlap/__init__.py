"""Texts that two sets have in common: equal, nearly equal, or a run of words in a row.

Modules: `words` (how texts are compared), `near`, `grams`, `protected` (the texts of test sets) and
`search` (the rows of a training set that overlap with them).
"""
