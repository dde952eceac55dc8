"""Analyses: questions of the literature, one file each, answered with a table and a figure."""
