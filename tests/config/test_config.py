"""Words of the command line become typed settings; what is wrong is one line."""

from pathlib import Path

import pytest

from kdbench.config import (
    FIVE,
    DemoSettings,
    EvalSettings,
    ScoreSettings,
    TableSettings,
    TeacherKeys,
    TrainSettings,
    build,
    given_keys,
    parse,
)
from kdbench.errors import InputError


def evaluation(*arguments):
    return parse(EvalSettings, ["model=m", *arguments])


def complaint(kind, *arguments):
    """The one line that refuses these words."""
    with pytest.raises(InputError) as caught:
        parse(kind, arguments)
    line = str(caught.value)
    assert line
    assert "\n" not in line
    return line


def write(path, text, encoding="utf-8"):
    path.write_text(text, encoding=encoding)
    return f"config={path}"


def test_key_value_words_become_typed_fields():
    settings = evaluation("limit=20", "temperature=0.7", "data=some/where", "dtype=bfloat16")
    assert settings.model == "m"
    assert settings.limit == 20
    assert settings.temperature == 0.7
    assert settings.data == Path("some/where")
    assert settings.dtype == "bfloat16"


def test_what_is_not_given_has_its_default():
    settings = evaluation()
    assert settings.tasks == FIVE
    assert settings.results == Path("results")
    assert settings.batch_size == "auto"
    assert settings.protocol_overrides() == {}
    assert settings.unsafe_pickle is settings.trust_remote_code is False


def test_a_value_may_hold_an_equals_sign():
    assert parse(EvalSettings, ["model=runs/lr=1e-4/last"]).model == "runs/lr=1e-4/last"


@pytest.mark.parametrize(
    "argument", ["--check", "--check=true", "check=true", "check=yes", "check=1"]
)
def test_a_flag_needs_no_value(argument):
    assert parse(TableSettings, [argument, "out=table.md"]).check is True


def test_dashes_stand_for_key_value_words():
    settings = evaluation("--max-new-tokens=64", "--limit=3")
    assert (settings.max_new_tokens, settings.limit) == (64, 3)


@pytest.mark.parametrize("flag", ["--limit", "--seeds", "--batch-size", "--temperature"])
def test_a_flag_is_no_number(flag):
    assert "needs a value" in complaint(EvalSettings, "model=m", flag)


def test_lists_are_split_at_commas():
    settings = evaluation("tasks=dolly,vicuna", "seeds=10,20", "metrics=rougeL")
    assert settings.tasks == ("dolly", "vicuna")
    assert settings.seeds == (10, 20)
    assert settings.metrics == ("rougeL",)


@pytest.mark.parametrize("argument", ["none", "None", "null"])
def test_none_is_no_value(argument):
    settings = evaluation(f"limit={argument}", f"name={argument}")
    assert settings.limit is None
    assert settings.name is None


def test_the_overrides_are_the_protocol_fields_that_were_given():
    settings = evaluation(
        "protocol=greedy", "max_new_tokens=8", "max_prompt_tokens=none", "limit=2"
    )
    assert settings.protocol_overrides() == {"max_new_tokens": 8, "max_prompt_tokens": None}


def test_the_command_line_goes_before_the_file_and_the_file_before_the_defaults(tmp_path):
    file = write(tmp_path / "c.yaml", "limit: 5\nseeds: [1, 2]\nmodel: from-file\n")
    settings = parse(EvalSettings, ["limit=7", file])
    assert (settings.limit, settings.seeds, settings.model) == (7, (1, 2), "from-file")
    assert settings.batch_size == "auto"


def test_a_file_may_give_one_value_for_a_list(tmp_path):
    file = write(tmp_path / "c.yaml", "seeds: 3\ntasks: dolly\n")
    settings = evaluation(file)
    assert (settings.seeds, settings.tasks) == ((3,), ("dolly",))


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (EvalSettings, ["modle=m"], "unknown key 'modle': did you mean 'model'?"),
        (EvalSettings, ["model=m", "zzz=1"], "unknown key 'zzz': known: add_bos, backend,"),
        (TableSettings, ["model=m"], "unknown key 'model'"),
        (EvalSettings, ["model=m", "limit=1", "limit=2"], "limit= is given twice"),
        (EvalSettings, ["model=m", "limit=1", "--limit=2"], "limit= is given twice"),
        (EvalSettings, ["model=m", "dolly"], "'dolly' is not key=value"),
        (EvalSettings, ["limit=1"], "model= is missing: checkpoint folder"),
        (EvalSettings, ["model=m", "limit=many"], "limit=many: input should be a valid integer"),
        (EvalSettings, ["model=m", "limit=0"], "limit=0: input should be greater than or equal"),
        (EvalSettings, ["model=m", "top_p=1.5"], "top_p=1.5: input should be less than or equal"),
        (EvalSettings, ["model=m", "temperature=-1"], "temperature=-1: input should be greater"),
        (EvalSettings, ["model=m", "seeds=9-3"], "seeds=9-3: 9-3: a range must ascend"),
        (EvalSettings, ["model=m", "seeds=1-99999"], "seeds=1-99999: 1-99999: a range must"),
        (EvalSettings, ["model=m", "seeds=1,two"], "seeds=1,two: input should be a valid integer"),
        (EvalSettings, ["model=m", f"seeds={2**63}"], f"seeds={2**63}: must be a number below"),
        (EvalSettings, ["model=m", f"limit={2**63}"], f"limit={2**63}: must be a number below"),
        (EvalSettings, ["model=m", "batch_size=0"], "batch_size=0: input should be greater"),
        (EvalSettings, ["model=m", "shard=4/4"], "shard=4/4: must be I/N with 0 <= I < N"),
        (EvalSettings, ["model=m", "shard=1"], "shard=1: must be I/N"),
        (EvalSettings, ["model=m", "dtype=int8"], "dtype=int8: input should be 'auto', 'float32'"),
        (EvalSettings, ["model=m", "add_bos=maybe"], "add_bos=maybe: input should be a valid bool"),
        (
            TableSettings,
            ["published=some"],
            "published=some: input should be 'verified', 'second_hand'",
        ),
        (TableSettings, ["results="], "results=: must not be empty"),
        (TableSettings, [""], "results=: must not be empty"),
        (TableSettings, ["error=se"], "error=se: input should be 'ci', 'sd', 'both' or 'none'"),
        (DemoSettings, ["model=m"], "unknown key 'model': known: chat, dry_run, limit, out"),
        (EvalSettings, ["config=no/such.yaml"], "config=no/such.yaml: No such file"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_it(kind, arguments, message):
    assert complaint(kind, *arguments).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("limit: [1", "not YAML"),
        ("- limit", "must hold key: value lines"),
        ("", "must hold key: value lines"),
        ("limt: 1", "unknown key 'limt': did you mean 'limit'?"),
        ("config: other.yaml", "unknown key 'config'"),
    ],
)
def test_a_bad_config_file_is_one_line(tmp_path, content, message):
    assert message in complaint(EvalSettings, "model=m", write(tmp_path / "c.yaml", content))


def test_a_config_file_that_is_no_utf8_is_one_line(tmp_path):
    file = write(tmp_path / "c.yaml", "model: café", encoding="latin-1")
    assert "c.yaml" in complaint(EvalSettings, file)


def test_every_key_is_described():
    for kind in (EvalSettings, ScoreSettings, TableSettings, DemoSettings):
        assert [key for key, field in kind.model_fields.items() if not field.description] == []


# The defaults, given explicitly.
VALUES = {"cache_top_k": "64", "teacher_scores": "model", "token_details": "true"}


@pytest.mark.parametrize("key", sorted(set(TeacherKeys.model_fields) - {"teacher"}))
def test_every_key_about_a_teacher_needs_one(key):
    argument = f"{key}={VALUES.get(key, 'x')}"
    assert complaint(EvalSettings, "model=m", argument) == f"{key}= needs teacher="


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["teacher=t", "undistilled_name=x"], "undistilled_name= needs undistilled="),
        (
            ["teacher=t", "cache_top_k=64"],
            "cache_top_k= needs teacher_cache= or teacher_scores=engine",
        ),
        (["teacher=cache:c", "cache_top_k=64"], "cache_top_k= has no effect with teacher=cache:"),
        (["teacher=cache:c", "teacher_name=x"], "teacher_name= has no effect with teacher=cache:"),
        (["teacher=cache:c", "teacher_cache=d"], "teacher=cache:DIR reads a cache"),
    ],
)
def test_a_key_about_a_teacher_that_would_be_ignored_is_refused(arguments, message):
    assert complaint(EvalSettings, "model=m", *arguments).startswith(message)


@pytest.mark.parametrize(
    "arguments",
    [
        ["cache_top_k=64", "teacher_cache=c"],
        ["cache_top_k=64", "teacher_scores=engine"],
        ["undistilled=u", "undistilled_name=x"],
        ["teacher_name=none", "teacher_cache=none"],
    ],
)
def test_keys_about_a_teacher_that_take_effect_are_taken(arguments):
    assert evaluation("teacher=t", *arguments).teacher == "t"


def test_a_given_default_is_known_to_be_given():
    settings = evaluation("dtype=auto", "limit=none")
    assert set(given_keys(settings)) == {"model", "dtype"}


def test_the_teacher_is_measured_like_the_student_under_its_own_labels():
    settings = evaluation(
        *("teacher=t", "teacher_name=T", "teacher_revision=r", "teacher_cache=c", "cache_top_k=80"),
        *("undistilled=u", "undistilled_name=U", "name=n", "method=GKD", "setting=S", "limit=3"),
        *("revision=s", "backend=vllm", "trust_remote_code=true"),
    )
    teacher = settings.of_teacher((1, 2))
    expected = {"model": "t", "name": "T", "revision": "r", "seeds": (1, 2), "limit": 3}
    expected |= {"backend": "vllm", "trust_remote_code": True}
    assert teacher == build(EvalSettings, expected)
    floor = settings.of_undistilled()
    expected |= {"model": "u", "name": "U", "revision": None, "seeds": None}
    expected |= {"teacher": "t", "teacher_name": "T", "teacher_cache": "c"}
    assert floor == build(EvalSettings, expected)
    assert evaluation().of_undistilled() is None


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (ScoreSettings, ["run=r", "limit=3"], "limit= has no effect with run="),
        (ScoreSettings, ["run=r", "protocol=external"], "protocol= has no effect with run="),
        (ScoreSettings, ["run=r", "name=x", "task=dolly"], "name= has no effect with run="),
        (TableSettings, ["check=true"], "check=true needs out=FILE"),
        (TableSettings, ["block=table"], "block= needs out=FILE.md"),
        (TableSettings, ["block=b", "out=table.tex"], "block= needs out=FILE.md"),
        (TableSettings, ["block=b", "out=t.md", "format=csv"], "block= needs out=FILE.md"),
    ],
)
def test_a_key_that_would_be_ignored_is_refused(kind, arguments, message):
    assert complaint(kind, *arguments).startswith(message)


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("lora_alpha", {}),
        ("lora_dropout", {}),
        ("min_learning_rate", {"lr_schedule": "constant"}),
        ("pretraining_weight", {}),
    ],
)
def test_a_training_key_without_effect_is_refused_unless_a_recipe_holds_it(given, values):
    settings = build(
        TrainSettings,
        {"method": "sft", "student": "s", given: 1e-2 if given == "lora_dropout" else 1, **values},
    )
    settings.refuse_ignored(())
    with pytest.raises(InputError, match=f"^{given}= has no effect without "):
        settings.refuse_ignored([given])


def test_setting_and_settings_are_distinguished():
    table = complaint(TableSettings, "setting=x")
    assert table.startswith("unknown key 'setting': did you mean 'settings'? setting= names ")
    run = complaint(EvalSettings, "model=m", "settings=x")
    assert "did you mean 'setting'? setting= names the group of a run; settings= chooses" in run


@pytest.mark.parametrize("word", [f"batch_size={2**63}", f"limit={10**100}", f"top_k={10**400}"])
def test_a_number_that_no_result_can_hold_is_refused(word: str) -> None:
    assert "must be a number below 2^63" in complaint(EvalSettings, "model=m", word)
    assert evaluation(f"batch_size={2**63 - 1}").batch_size == 2**63 - 1


@pytest.mark.parametrize("words", ["seeds=1-3,7", "seeds=1,2,3,7"])
def test_seeds_may_be_a_range(words):
    assert evaluation(words).seeds == (1, 2, 3, 7)


def test_seeds_in_a_file_may_be_a_range(tmp_path):
    assert evaluation(write(tmp_path / "c.yaml", "seeds: 8-10\n")).seeds == (8, 9, 10)
    assert evaluation(write(tmp_path / "d.yaml", "seeds: [1, 3-4]\n")).seeds == (1, 3, 4)
    assert evaluation("seeds=-5,0").seeds == (-5, 0)


def test_the_keys_of_chat_and_thinking(tmp_path):
    file = tmp_path / "system.txt"
    file.write_text("Be brief.\n", encoding="utf-8")
    settings = evaluation(
        f"system=@{file}",
        "chat_template_kwargs=enable_thinking=false,depth=2",
        "thinking_marks=[THINK],[/THINK]",
        "thinking=keep",
    )
    assert settings.protocol_overrides() == {
        "system": "Be brief.\n",
        "chat_template_kwargs": {"enable_thinking": False, "depth": 2},
        "thinking_marks": ("[THINK]", "[/THINK]"),
        "thinking": "keep",
    }


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("system=@missing.txt", "no such file or directory"),
        ("system= ", "is empty"),
        ("thinking=drop", "strip"),
        ("thinking_marks=<think>", "must be START,END"),
        ("thinking_marks=a,a", "must differ"),
        ("thinking_marks=,</think>", "must be START,END"),
        ("chat_template_kwargs=enable_thinking", "NAME=VALUE"),
        ("chat_template_kwargs=a=.nan", "must be text, a number, true, false"),
        ("chat_template_kwargs=a=2020-01-01", "must be text, a number, true, false"),
    ],
)
def test_bad_values_of_chat_and_thinking_are_named(word, reason):
    line = complaint(EvalSettings, "model=m", word)
    assert line.startswith(word.partition("=")[0] + "=")
    assert reason in line


def test_an_executor_without_shards_is_told_what_to_add() -> None:
    with pytest.raises(InputError, match=r"^executor= is for the processes of shards=; pass"):
        build(EvalSettings, {"model": "m", "executor": "ray"})
