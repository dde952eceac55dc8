"""One evaluation of the toy student, which the tests of frames read."""

import pytest

import kdbench


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory, world):
    """The toy student compared with its teacher on two sets, two seeds; in `results`."""
    folder = tmp_path_factory.mktemp("api") / "results"
    return kdbench.evaluate(
        world.student,
        teacher=world.teacher,
        data=world.data,
        tasks=["dolly", "vicuna"],
        metrics=["rougeL", "exact_match", "distinct_2", "lm_loss", "acceptance"],
        seeds=(1, 2),
        limit=6,
        max_new_tokens=16,
        results=folder,
        device="cpu",
        method="SFT",
        setting="toy",
    )
