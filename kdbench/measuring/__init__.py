"""`kdbench eval` and `score`: samples are made, scored and averaged."""
