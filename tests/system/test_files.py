"""The lines of a samples file: any text survives, and a truncated last line is dropped."""

import os
import platform
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.errors import InputError
from kdbench.generate import Sample
from kdbench.store.samples import read_sample, sample_record
from kdbench.system.files import LinesFile, parse_line, put_text, writing_to

ODD = 'é 日本 \u2028 \u2029 \u0085 \x0b \x1c \\ " \r\n \x00 \U0001f600'


@given(st.lists(st.dictionaries(st.text(), st.text()), max_size=5))
def test_any_text_survives_in_a_line(tmp_path_factory, records):
    file = LinesFile(tmp_path_factory.mktemp("lines") / "x.jsonl")
    file.replace(records)
    assert file.read() == records


def test_line_separators_inside_a_text_do_not_end_the_line(tmp_path):
    file = LinesFile(tmp_path / "samples" / "x.jsonl")
    with file.appending() as lines:
        lines.add({"id": "1", "output": ODD})
        lines.add({"id": "2", "output": ""})
        lines.sync()
    assert [line["output"] for line in file.read()] == [ODD, ""]
    assert file.path.read_bytes().count(b"\n") == 2


def test_a_line_is_on_disk_as_soon_as_it_is_added(tmp_path):
    file = LinesFile(tmp_path / "x.jsonl")
    with file.appending() as lines:
        lines.add({"id": "1"})
        assert file.read() == [{"id": "1"}]


@pytest.mark.parametrize("torn", ["", "{", '{"id": "2", "outp', '{"id": "2"}'])
def test_a_truncated_last_line_is_dropped_before_the_next_write(tmp_path, torn):
    file = LinesFile(tmp_path / "x.jsonl")
    file.path.write_text('{"id": "1"}\n' + torn)
    assert file.read() == [{"id": "1"}]
    with file.appending() as lines:
        lines.add({"id": "3"})
    assert file.path.read_text() == '{"id": "1"}\n{"id": "3"}\n'


def test_a_last_line_without_a_newline_counts(tmp_path):
    file = LinesFile(tmp_path / "x.jsonl")
    file.path.write_text('{"id": "1"}\n{"id": "2"}')
    assert [line["id"] for line in file.read(whole=True)] == ["1", "2"]
    file.path.write_text('{"id": "1"}\n{"id"')
    with pytest.raises(InputError, match=r"x\.jsonl:2: not a line of JSON"):
        file.read(whole=True)


def test_a_missing_file_has_no_lines(tmp_path):
    assert LinesFile(tmp_path / "no.jsonl").read() == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "not a line of JSON in UTF-8"),
        (b"", "not a line of JSON in UTF-8"),
        (b'{"id": "\xff"}', "not a line of JSON in UTF-8"),
        (b'{"output": "\\ud800"}', "not a line of JSON in UTF-8"),
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
    ],
)
def test_a_malformed_line_is_refused_with_its_number(tmp_path, line, message):
    file = LinesFile(tmp_path / "x.jsonl")
    file.path.write_bytes(b'{"id": "1"}\n' + line + b'\n{"id": "3"}\n')
    with pytest.raises(InputError) as caught:
        file.read()
    assert str(caught.value).startswith(f"{file.path}:2: {message}")


def test_a_lone_surrogate_is_never_written(tmp_path):
    file = LinesFile(tmp_path / "x.jsonl")
    with file.appending() as lines, pytest.raises(ValueError, match="surrogates"):
        lines.add({"output": "\ud800"})
    assert file.path.read_bytes() == b""


def test_a_line_too_deep_to_parse_is_refused():
    with pytest.raises(InputError, match="x:1"):
        parse_line(b"[" * 200_000, "x:1")


def test_a_sample_survives_a_round_trip():
    sample = Sample("7", 10, ODD, 3, "length")
    record = sample_record(sample, {"rougeL": 12.5})
    assert set(record) == {"id", "seed", "output", "n_tokens", "finish", "scores"}
    assert read_sample(record, "x:1") == sample
    assert read_sample(sample_record(sample), "x:1") == sample


def test_a_sample_keeps_where_its_answer_begins():
    sample = Sample("7", 10, "<think>x</think>y", 9, "stop", (), 16, 3)
    record = sample_record(sample)
    assert (record["answer_start"], record["n_thinking_tokens"]) == (16, 3)
    assert read_sample(record, "x:1") == sample
    assert sample.answer == "y"
    unclosed = Sample("7", 10, "<think>x", 2, "length", (), 8, 2, unclosed=True)
    assert read_sample(sample_record(unclosed), "x:1") == unclosed
    assert unclosed.answer == ""


def test_a_sample_needs_only_an_id_and_an_output():
    assert read_sample({"id": 7, "output": "x"}, "x:1") == Sample("7", 0, "x", None, None)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"id": ...}, "'id' is missing"),
        ({"output": ...}, "'output' must be a string"),
        ({"output": None}, "'output' must be a string"),
        ({"output": ["x"]}, "'output' must be a string"),
        ({"seed": "10"}, "'seed' must be a whole number"),
        ({"seed": 1.0}, "'seed' must be a whole number"),
        ({"seed": True}, "'seed' must be a whole number"),
        ({"n_tokens": 1.5}, "'n_tokens' must be a whole number or null"),
        ({"n_tokens": 2**53}, "'n_tokens' must be a whole number or null, 0 to 2147483647"),
        ({"n_tokens": "3"}, "'n_tokens' must be a whole number or null"),
        ({"finish": "eos"}, "'finish' must be stop, length or null"),
        ({"finish": []}, "'finish' must be stop, length or null"),
        ({"n_tokens": True}, "'n_tokens' must be a whole number or null"),
        ({"id": None}, "'id' is missing"),
        ({"answer_start": 2}, "'answer_start' must be an index of the output or null"),
        ({"answer_start": -1}, "'answer_start' must be an index of the output or null"),
        ({"n_thinking_tokens": "3"}, "'n_thinking_tokens' must be a whole number or null"),
        ({"unclosed": 1}, "'unclosed' must be true or false"),
    ],
)
def test_a_sample_of_wrong_types_is_refused(wrong, message):
    record = {"id": "1", "output": "x", "seed": 10, "n_tokens": 3, "finish": "stop", **wrong}
    record = {key: value for key, value in record.items() if value is not ...}
    with pytest.raises(InputError) as caught:
        read_sample(record, "x.jsonl:4")
    assert str(caught.value).startswith(f"x.jsonl:4: {message}")


def test_temporary_files_of_a_killed_writer_are_removed(tmp_path):
    done = subprocess.Popen([sys.executable, "-c", "pass"])
    done.wait()
    stem = f".run.json.{platform.node()}."
    dead, alive = tmp_path / f"{stem}{done.pid}", tmp_path / f"{stem}{os.getppid()}"
    for file in (dead, alive):
        file.touch()
    put_text(tmp_path / "run.json", "{}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive.name, "run.json"])


@pytest.mark.parametrize(
    "said",
    [
        "[enforce fail at inline_container.cc:672] . unexpected pos 614528 vs 614416",
        "PytorchStreamWriter failed writing file data/0",
    ],
)
def test_a_disk_that_is_full_while_torch_writes_is_one_line(said):
    with pytest.raises(InputError, match=r"^out: cannot be written"), writing_to("out"):
        raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="shapes"), writing_to("out"):
        raise RuntimeError("shapes differ")
