"""Teachers: loaded from a checkpoint, read from a cache, or held by an engine."""
