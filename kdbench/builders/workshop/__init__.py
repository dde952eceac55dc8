"""What builders work with.

Modules: `workshop` (what a builder is given), `questions` (what is asked of models, and rows of
their answers), `sampling` and `scoring` (responses and scores that are kept on disk), `models`,
`protocol`, `source` (the rows that are read), `recipe`, `identity`, `card`, `dry_run`, and `build`
(the verb's pipeline).
"""
