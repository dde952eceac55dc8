"""Samples on disk read like a dictionary of samples."""

import random
import tracemalloc
from dataclasses import replace

import pytest

from kdbench.errors import InputError
from kdbench.generate import Sample
from kdbench.store.sample_index import StoredSamples
from kdbench.store.samples import sample_record
from kdbench.system.files import LinesFile

SEEDS = (10, 20, 30)


def lines(path, samples):
    file = LinesFile(path)
    file.replace(map(sample_record, samples))
    return file


@pytest.mark.parametrize("number", range(5))
def test_any_order_and_files_give_the_samples(tmp_path, number):
    rng = random.Random(number)
    documents = [f"ü{place}" for place in range(rng.randrange(1, 12))]
    files, expected = [], {}
    for part in range(3):
        keys = [(d, seed) for d in [*documents, "unknown"] for seed in (*SEEDS, 99)]
        made = [
            Sample(d, seed, "é" * rng.randrange(9), rng.choice((None, 3)), answer_start=0)
            for d, seed in rng.sample(keys, rng.randrange(len(keys)))
        ]
        files.append(lines(tmp_path / f"{part}.jsonl", made))
        expected |= {
            (s.document, s.seed): s for s in made if s.document in documents and s.seed in SEEDS
        }
    with files[1].path.open("a") as stream:
        stream.write('{"id": "torn')  # what a crash leaves
    samples = StoredSamples(documents)
    for file in [*files, LinesFile(tmp_path / "none.jsonl")]:
        samples.add(file, SEEDS)
    for file in files:  # replaced files do not matter any more
        file.replace([])
    assert dict(samples) == expected
    assert len(samples) == len(expected)
    order = [(d, seed) for d in documents for seed in samples._starts if (d, seed) in expected]
    assert list(samples) == order
    assert ("ü0", 99) not in samples
    assert samples.get(("unknown", 10)) is None


def test_given_files_have_each_sample_once_and_may_lack_the_last_newline(tmp_path):
    path = tmp_path / "given.jsonl"
    path.write_text('{"id": 1, "seed": 4, "output": "a"}\n{"id": "2", "seed": -1, "output": "b"}')
    samples = StoredSamples(["1", "2"])
    samples.add_given(LinesFile(path), "t")
    assert {key: sample.output for key, sample in samples.items()} == {
        ("1", 4): "a",
        ("2", -1): "b",
    }
    assert samples.seeds == [-1, 4]
    for line, message in [
        (
            '\n{"id": "1", "seed": 4, "output": "c"}\n',
            "given.jsonl:3: document '1' has two samples",
        ),
        ('\n{"id": "3", "output": "c"}\n\n', "given.jsonl:3: task 't' has no document '3'"),
        ('\n\n{"id": "1", "output": "c"}\n', "given.jsonl:3: not a line of JSON"),
    ]:
        bad = tmp_path / "bad" / "given.jsonl"
        bad.parent.mkdir(exist_ok=True)
        bad.write_text(path.read_text() + line)
        with pytest.raises(InputError, match=message):
            StoredSamples(["1", "2"]).add_given(LinesFile(bad), "t")


def test_a_change_is_made_whenever_a_sample_is_read(tmp_path):
    file = lines(tmp_path / "a.jsonl", [Sample("a", 10, "xy"), Sample("b", 10, "")])

    def change(sample):
        return replace(
            sample, answer_start=len(sample.output) or None, unclosed=sample.output == "xy"
        )

    samples = StoredSamples(["a", "b"], change)
    samples.add_given(file, "t")
    assert samples["a", 10] == Sample("a", 10, "xy", answer_start=2, unclosed=True)
    assert samples["b", 10] == Sample("b", 10, "")
    assert samples.unclosed == 1
    assert samples.thinks


def test_memory_grows_by_a_few_bytes_a_sample(tmp_path):
    text, taken = "word " * 60, []
    for documents in (200, 1200):
        ids = [str(place) for place in range(documents)]
        path = tmp_path / f"{documents}.jsonl"
        file = lines(path, (Sample(d, seed, text) for d in ids for seed in SEEDS))
        tracemalloc.start()
        samples = StoredSamples(ids)
        samples.add(file, SEEDS)
        for key in samples:
            assert samples[key].output == text
        taken.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    more = (taken[1] - taken[0]) / (1000 * len(SEEDS))
    assert more < 60  # bytes a sample, of 300 characters; a third is the index of documents
