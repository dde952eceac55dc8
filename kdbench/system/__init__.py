"""The machine below: files, processes, the environment, progress bars."""
