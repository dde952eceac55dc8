"""Keys of a teacher on a server: each takes effect, or is refused with the key that it needs."""

import pytest

from kdbench.config import (
    EvalSettings,
    ServedTeacherKeys,
    TrainSettings,
    addresses_of,
    build,
    is_on_server,
)
from kdbench.config.served_teacher import by_tag
from kdbench.errors import InputError

URL = "http://a:8000/v1"
VALUES = {
    "teacher_api": "vllm",
    "teacher_concurrency": 8,
    "teacher_timeout": 120,
    "teacher_budget": 5,
}


def train(**settings: object) -> TrainSettings:
    return build(TrainSettings, {"method": "kd", "student": "s", **settings})


@pytest.mark.parametrize("key", sorted(ServedTeacherKeys.model_fields))
def test_every_key_needs_a_server(key: str) -> None:
    value = VALUES.get(key, "x")
    for teacher in ({}, {"teacher": "runs/teacher"}, {"teacher": "cache:c"}):
        with pytest.raises(InputError, match=f"{key}= needs a teacher on a server"):
            train(**{key: value, **teacher})
        with pytest.raises(InputError, match=f"{key}= (needs|has no effect)"):
            build(EvalSettings, {"model": "m", key: value, **teacher})
    if key != "teacher_field":
        assert getattr(train(teacher=URL, **{key: value}), key) == value


def test_servers_are_told_from_checkpoints_and_caches() -> None:
    for teacher in (URL, "https://a/v1", f"math={URL}", f"math={URL},code={URL}"):
        assert is_on_server(teacher)
    for teacher in (None, "t", "http/t", "org/name@v1", "cache:http", "runs/a=http:x"):
        assert not is_on_server(teacher)


def test_addresses_by_tag() -> None:
    assert addresses_of("http://a:8000/v1/") == {"": URL}
    assert addresses_of("http://a:8000/v1/completions") == {"": URL}
    assert addresses_of(f"math={URL}, code=http://b/v1") == {"math": URL, "code": "http://b/v1"}
    assert by_tag("name=with=sign") == {"name": "with=sign"}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"teacher": "http://"}, "teacher=http://: must be an address such as"),
        ({"teacher": "http://me:secret@a/v1"}, "must have no login, key"),
        ({"teacher": "http://a/v1?key=x"}, "must have no login, key"),
        ({"teacher": f"math={URL},{URL}"}, "has no tag"),
        ({"teacher": f"math={URL},math={URL}"}, "has the tag 'math' twice"),
        ({"teacher": URL, "teacher_field": "x"}, "teacher_field= needs several teachers"),
        ({"teacher": URL, "teacher_key_env": "sk-1"}, "name of an environment variable"),
        ({"teacher": f"math={URL}", "teacher_model": "code=x"}, "teacher_model= names 'code'"),
        ({"teacher": f"math={URL}", "teacher_model": "x"}, "teacher_model= needs a tag for each"),
        ({"teacher": URL, "teacher_budget": 0}, "teacher_budget=0"),
    ],
)
def test_what_cannot_be_meant_is_one_line(settings: dict[str, object], line: str) -> None:
    with pytest.raises(InputError, match=line) as error:
        train(**settings)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_names_by_tag() -> None:
    assert train(teacher=URL, teacher_model="a=b").model_names() == {"": "a=b"}
    both = train(teacher=f"math={URL},code={URL}", teacher_model="math=m,code=c")
    assert both.model_names() == {"math": "m", "code": "c"}


def test_keys_about_a_model_in_memory_are_refused() -> None:
    for key, value in (("teacher_revision", "r"), ("teacher_scores", "engine")):
        with pytest.raises(InputError, match=f"{key}= has no effect on a teacher that a server"):
            build(EvalSettings, {"model": "m", "teacher": URL, key: value})
    assert build(EvalSettings, {"model": "m", "teacher": URL, "cache_top_k": 64}).teacher == URL
    train(teacher=URL, teacher_top_k=8).refuse_ignored(["teacher_top_k"])
