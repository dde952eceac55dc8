"""Benchmarks that compare kdbench with a peer: `python -m benchmarks [NAME…] [--write]`.

Environment variables:
    KDBENCH_DATA: Folder of the data sets; by default that of the toy world.
    KDBENCH_BENCH_MODEL: Checkpoint that generates; by default the toy teacher.
    KDBENCH_BENCH_DOCUMENTS: Number of documents; by default 12 in `generation` and 20 in
        `batch_invariance`.
    KDBENCH_BENCH_DEVICE: Device of the models; by default the CPU. `generation`,
        `batch_invariance`, `training`, `fidelity` and `trl_step` also run on `cuda`.

The toy world is that of `kdbench demo`, in `runs/demo`; it is made if it does not exist.
"""
