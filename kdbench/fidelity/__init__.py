"""A student beside its teacher: how far they agree, on tokens and on texts."""
