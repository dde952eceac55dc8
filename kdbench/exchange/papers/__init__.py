"""The papers' data files, turned into a folder for `data=`.

Modules: `sources` (where the authors' files are), `numbers` (ids of rows by their content) and
`convert`.
"""
