"""Results on disk: the folder of a run, with its record, results and samples."""
