"""Benchmarks: a peer and kdbench in turns, and the ratio. `python -m benchmarks [NAME…] [--write]`.

KDBENCH_DATA names the folder of the data sets (else the toy world's), KDBENCH_BENCH_MODEL the
checkpoint that generates (else the toy teacher), KDBENCH_BENCH_DOCUMENTS how many documents it
answers (else 12 in `generation`, 20 in `batch_invariance`). KDBENCH_BENCH_DEVICE is where models
run (else the CPU): `cuda` for `generation`, `batch_invariance`, `training`, `fidelity`, `trl_step`.
The toy world is that of `kdbench demo`: `runs/demo` in the working folder, made if it is not there.
"""
