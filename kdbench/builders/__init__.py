"""Builders: steps that read prompts and models and write a data set, one file each."""
