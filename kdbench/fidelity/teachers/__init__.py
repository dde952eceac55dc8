"""A teacher's scores: from the loaded model, from a cache on disk, or from an engine."""
