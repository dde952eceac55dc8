"""Sources of pairs, groups, domains and selected responses, one a file."""
