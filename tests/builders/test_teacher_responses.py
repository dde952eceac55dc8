"""A teacher's responses as a data set."""

import json

from kdbench.toy.models import World


def test_a_killed_build_resumes_with_the_same_bytes(world: World, build_killed_and_resumed) -> None:
    words = ["teacher_responses", f"teacher={world.teacher}", f"data={world.data}", "limit=6"]
    built = build_killed_and_resumed([*words, "responses=2", "max_new_tokens=8", "batch_size=4"])
    rows = [json.loads(line) for line in (built / "dolly/train.jsonl").read_text().splitlines()]
    assert len(rows) == 12
