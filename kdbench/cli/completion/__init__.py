"""Completion for bash, zsh and fish: which words can come next, and the shells' scripts."""
