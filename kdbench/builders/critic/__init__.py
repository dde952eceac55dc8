"""A small critic of statements.

Modules: `logistic` (a classifier of few numbers) and `judged` (how well it does on judged rows).
"""
