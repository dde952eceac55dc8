"""Token details are small on disk, exact to half a step, and refused when they are damaged."""

from typing import Any

import numpy as np
import pytest

from kdbench.errors import InputError
from kdbench.store.folder import RunFolder
from kdbench.store.token_details import (
    TokenDetails,
    details_file,
    details_record,
    has_tokens,
    read_details,
    stored_details,
    texts_of,
)

STEP = 1 / 250
TEACHER = {"name": "T", "sha256": "ab", "dtype": "auto", "top_k": None}


def details(largest: int = 9, **changes: Any) -> TokenDetails:
    columns = {
        "tokens": np.array([3, largest, 3]),
        "acceptance": np.array([1.0, 0.123, np.nan]),
        "student": np.array([0.5, 1e-9, 0.999]),
        "teacher": np.array([0.25, 0.0, np.nan]),
        "listed": np.array([1, 2, 0]),
        "likely": np.array([3, 7, largest]),
        "likely_p": np.array([0.9, 0.31, 0.3]),
    }
    return TokenDetails("d", 10, **{**columns, **changes})


@pytest.mark.parametrize("largest", [9, 2**16 - 1, 2**16, 250_000])
def test_a_line_gives_back_its_tokens(largest: int) -> None:
    before = details(largest)
    after = read_details(details_record(before, {}), "here")
    assert (after.document, after.seed) == ("d", 10)
    assert after.tokens.tolist() == [3, largest, 3]
    assert after.listed.tolist() == [1, 2, 0]
    for name in ("acceptance", "student", "teacher", "likely_p"):
        expected, actual = getattr(before, name), getattr(after, name)
        assert np.abs(actual - expected)[~np.isnan(expected)].max() <= STEP / 2 + 1e-12
        assert np.isnan(actual).tolist() == np.isnan(expected).tolist()
    assert [[token for token, _ in at] for at in after.likeliest()] == [[3], [7, largest], []]
    assert after.ids() == {3, 7, largest}


def test_a_token_takes_few_bytes() -> None:
    """1,000 tokens with three of the teacher's at each, in a vocabulary of 49,152."""
    n, random = 1000, np.random.default_rng(0)
    record = details_record(
        TokenDetails(
            "d",
            1,
            random.integers(0, 49152, n),
            *random.random((3, n)),
            np.full(n, 3),
            random.integers(0, 49152, 3 * n),
            random.random(3 * n),
        ),
        {},
    )
    assert sum(len(value) for value in record.values() if isinstance(value, str)) / n < 21


@pytest.mark.parametrize("largest", [9, 2**16])
def test_a_line_knows_its_tokens(largest: int) -> None:
    record = details_record(details(largest), {})
    assert has_tokens(record, [3, largest, 3])
    assert not any(has_tokens(record, other) for other in ([3, largest], [3, 8, 3], []))
    wide = details_record(details(likely=np.array([3, 7, 2**16])), {})
    assert has_tokens(wide, [3, 9, 3])  # four bytes for the sake of a listed token


def test_texts_are_kept_as_text_bytes_or_name() -> None:
    texts = {3: " a", 7: [226, 150], 9: ["<|eos|>"]}
    assert texts_of(details_record(details(), texts), "here") == texts


@pytest.mark.parametrize(
    "change",
    [
        {"n": 4},
        {"tokens": "AAAA"},
        {"acceptance": "not base64!"},
        {"listed": "AQIB"},
        {"likely": 3},
        {"id": 3},
        {"n": -1},
        {"likely_p": ""},
        {"acceptance": "+v7+"},  # 254 of 250 steps
        {"tokens": "////////////////", "likely": "////////////////"},  # ids of 2^32 - 1
    ],
    ids=str,
)
def test_a_damaged_line_is_refused_in_one_line(change: dict[str, Any]) -> None:
    record = {**details_record(details(), {}), **change}
    with pytest.raises(InputError, match=r"^here: no token details: .*; delete the file$"):
        read_details(record, "here")


@pytest.mark.parametrize(
    "texts", [{"x": "a"}, {"3": 5}, {"3": [256]}, {"3": ["a", "b"]}, {"3": None}, {"9" * 5000: "a"}]
)
def test_a_damaged_text_is_refused(texts: Any) -> None:
    with pytest.raises(InputError, match="here: not a text of a token"):
        texts_of({"texts": texts}, "here")


def test_the_teacher_names_the_file(tmp_path: Any) -> None:
    run = RunFolder(tmp_path)
    stored = {**TEACHER, "left_out": {"ref": 1}, "undistilled": {"name": "x"}}
    assert details_file(run, "t", stored).path == details_file(run, "t", TEACHER).path
    others = ({"sha256": "cd"}, {"dtype": "bfloat16"}, {"top_k": 64}, {"scores": "engine"})
    paths = {details_file(run, "t", {**TEACHER, **other}).path for other in others}
    assert len(paths | {details_file(run, "t", TEACHER).path}) == 5


def test_a_torn_last_line_is_left_out(tmp_path: Any) -> None:
    file = details_file(RunFolder(tmp_path), "t", TEACHER)
    file.replace([details_record(details(), {})] * 2)
    assert len(list(stored_details(RunFolder(tmp_path), "t", TEACHER))) == 2
    file.path.write_bytes(file.path.read_bytes()[:-5])
    assert len(list(stored_details(RunFolder(tmp_path), "t", TEACHER))) == 1
    assert RunFolder(tmp_path).damaged_files("t") == []  # no number depends on it
    file.path.write_text("oops\n")
    with pytest.raises(InputError, match=r"t\.tokens-.*:1: not a line of JSON"):
        list(stored_details(RunFolder(tmp_path), "t", TEACHER))
