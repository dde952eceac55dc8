"""Results on disk: the folder of a run, its record, its results and samples."""
