"""What rules of selection share.

Modules: `pool` (the rows to choose from, and a choice by scores), `counts` (what the card says
about columns), `scored` (rules that score the responses of a teacher), `first_token` (the
distribution over the first token of a response), `k_centre`, and `edited` (edits of rows).
"""
