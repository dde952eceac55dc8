"""A recipe: which file or argument sets a key, and which keys exist."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field

from kdbench.distillation.recipe import Recipe, make_recipe, parse_recipe, recipes
from kdbench.errors import InputError
from kdbench.methods import Method, methods
from kdbench.methods.distillm import DistiLLM
from kdbench.methods.gkd import GKD
from kdbench.methods.kd import KD
from kdbench.training import CrossEntropy, Triple

NEEDED = ["student=s", "teacher=t"]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def parse(*arguments: str) -> Recipe:
    return parse_recipe([*NEEDED, *arguments])


def refused(*arguments: str) -> str:
    with pytest.raises(InputError) as error:
        parse_recipe(list(arguments))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_arguments_make_a_recipe() -> None:
    recipe = parse("method=gkd", "student_fraction=0.25", "learning_rate=3e-4", "epochs=2.5")
    assert recipe.method == GKD(student_fraction=0.25)
    assert recipe.settings.learning_rate == 3e-4
    assert recipe.settings.epochs == 2.5
    assert recipe.settings.student == "s"
    assert recipe.settings.method == "gkd"
    assert recipe.settings.batch_size == 32


def test_arguments_precede_config_then_recipe_then_defaults(tmp_path: Path) -> None:
    recipe = write(
        tmp_path / "recipe.yaml",
        "method: gkd\nseed: 1\nbatch_size: 1\nlearning_rate: 0.1\nteacher_weight: 0.1\n"
        "student_fraction: 0.1\nweight_decay: 0.1\n",
    )
    config = write(
        tmp_path / "config.yaml",
        "seed: 2\nbatch_size: 2\nteacher_weight: 0.2\nstudent_fraction: 0.2\n",
    )
    files = [f"recipe={recipe}", f"config={config}"]
    for order in (files, files[::-1]):
        parsed = parse("seed=3", *order, "student_fraction=0.3")
        assert parsed.settings.seed == 3
        assert parsed.settings.batch_size == 2
        assert parsed.settings.learning_rate == 0.1
        assert parsed.settings.beta2 == 0.999
        assert parsed.method == GKD(teacher_weight=0.2, student_fraction=0.3)
        assert parsed.settings.recipe == str(recipe)


def test_the_method_argument_overrides_the_recipes(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r.yaml", "method: gkd\nseed: 4\n")
    parsed = parse(f"recipe={recipe}", "method=kd")
    assert isinstance(parsed.method, KD)
    assert parsed.settings.method == "kd"
    assert parsed.settings.seed == 4


def test_a_recipe_key_unknown_to_the_chosen_method_is_named(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r.yaml", "method: gkd\nstudent_fraction: 0.4\n")
    line = refused(*NEEDED, f"recipe={recipe}", "method=kd")
    assert "unknown key 'student_fraction' of method=kd" in line


def test_every_key_can_be_given_in_files(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r.yaml", "method: distillm\nstudent: a\nteacher: b\nskew: 0.2\n")
    parsed = parse_recipe([f"recipe={recipe}"])
    assert parsed.method == DistiLLM(skew=0.2)
    assert (parsed.settings.student, parsed.settings.teacher) == ("a", "b")


def test_a_recipe_named_in_the_config_file_is_used(tmp_path: Path) -> None:
    """A key of the settings is used or refused, never ignored."""
    recipe = write(tmp_path / "r.yaml", "learning_rate: 0.25\n")
    config = write(tmp_path / "c.yaml", f"recipe: {recipe}\nmethod: kd\n")
    assert parse(f"config={config}").settings.learning_rate == 0.25


def test_keys_and_values_make_a_recipe(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r.yaml", "method: gkd\nseed: 1\nteacher_weight: 0.1\n")
    values = {"student": "s", "teacher": "t", "recipe": str(recipe), "seed": 5}
    made = make_recipe(values)
    assert made.settings.seed == 5
    assert made.method == GKD(teacher_weight=0.1)
    assert make_recipe({"method": "sft", "student": "s"}).settings.seed == 10


def test_arguments_and_values_make_the_same_recipe() -> None:
    parsed = parse("method=kd", "kd_ratio=0.5", "steps=3", "out=x", "report_to=a,b")
    values = {"student": "s", "teacher": "t", "method": "kd", "kd_ratio": 0.5, "steps": 3}
    assert make_recipe({**values, "out": "x", "report_to": ["a", "b"]}) == parsed


def test_the_folder_of_the_checkpoint_is_named_after_the_method() -> None:
    assert parse("method=kd").out == Path("runs/kd")
    assert parse("method=kd", "out=here/there").out == Path("here/there")


def test_loggers_are_a_list(tmp_path: Path) -> None:
    assert parse("method=kd").settings.report_to == ()
    assert parse("method=kd", "report_to=wandb").settings.report_to == ("wandb",)
    two = ("tensorboard", "wandb")
    assert parse("method=kd", "report_to=tensorboard,wandb").settings.report_to == two
    recipe = write(tmp_path / "r.yaml", "report_to: [tensorboard, wandb]\n")
    assert parse("method=kd", f"recipe={recipe}").settings.report_to == two


def test_flags_and_dashes_are_accepted() -> None:
    recipe = parse(
        "method=minillm", "--gradient-checkpointing", "--length-norm=false", "--clip=0.1"
    )
    assert recipe.settings.gradient_checkpointing
    assert recipe.method.length_norm is False
    assert recipe.method.clip == 0.1


def test_none_unsets_a_key_that_may_be_unset(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r.yaml", "method: kd\nepochs: 20\n")
    parsed = parse(f"recipe={recipe}", "epochs=none", "steps=3")
    assert parsed.settings.epochs is None
    assert parsed.settings.steps == 3


@pytest.mark.parametrize("where", ["words", "recipe"])
def test_none_unsets_a_method_key_wherever_the_method_is_named(tmp_path: Path, where: str) -> None:
    method = "" if where == "words" else "method: classmate\n"
    recipe = write(tmp_path / "r.yaml", f"{method}classmate_lag: 0.5\n")
    arguments = ["method=classmate"] if where == "words" else []
    parsed = parse(f"recipe={recipe}", "classmate_lag=none", *arguments)
    assert parsed.method.classmate_lag is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "method= is missing: name a method; kdbench methods lists them"),
        (["method=gdk"], "unknown method 'gdk': did you mean 'gkd'?"),
        (["method=qqqq"], "unknown method 'qqqq': known: abkd, adpa"),
        (["method=kd", "learning_rat=1"], "of method=kd: did you mean 'learning_rate'?"),
        (
            ["method=kd", "kd_ration=1"],
            "unknown key 'kd_ration' of method=kd: did you mean 'kd_ratio'",
        ),
        (["method=sft", "kd_ratio=0.5"], "unknown key 'kd_ratio' of method=sft"),
        (["method=kd", "kd_ratio=2"], "kd_ratio=2: input should be less than or equal to 1"),
        (["method=kd", "kd_ratio=half"], "kd_ratio=half: input should be a valid number"),
        (["method=kd", "batch_size=0"], "batch_size=0: input should be greater than or equal to 1"),
        (["method=kd", "learning_rate=0"], "learning_rate=0: input should be greater than 0"),
        (["method=kd", "learning_rate=nan"], "learning_rate=nan: "),
        (["method=kd", "generation_batch_size=0"], "generation_batch_size=0: "),
        (["method=kd", "generation_batch_size=-1"], "generation_batch_size=-1: "),
        (["method=kd", "long_prompts=keep"], "long_prompts=keep: input should be 'drop' or 'cut'"),
        (
            ["method=distillm", "direction=up"],
            "direction=up: input should be 'forward' or 'reverse'",
        ),
        (["method=kd", "steps=2", "epochs=1"], "give epochs= or steps=, not both"),
        (["method=kd", "max_prompt_tokens=9", "max_length=9"], "max_prompt_tokens= must be below"),
        (
            ["method=kd", "recipe=toy/nothing"],
            "recipe=toy/nothing: neither a bundled recipe nor a file",
        ),
        (
            ["method=kd", "recipe=/no/such.yaml"],
            "recipe=/no/such.yaml: neither a bundled recipe nor a file",
        ),
        (["method=kd", "config=/no/such.yaml"], "config=/no/such.yaml: No such file"),
        (["method=kd", "kd"], "recipe=kd: is a method; write method=kd"),
        (["method=kd", "toy/kd", "x"], "'x' is not key=value (recipe= given already)"),
        (["method=kd", "seed=1", "seed=2"], "seed= is given twice"),
        (["method=kd", "--seed"], "--seed needs a value: seed=…"),
        (["method=kd", "--kd-ratio"], "--kd-ratio needs a value: kd_ratio=…"),
    ],
    ids=str,
)
def test_the_error_names_the_wrong_key(arguments: list[str], message: str) -> None:
    assert message in refused(*NEEDED, *arguments)


def test_a_student_is_required() -> None:
    assert "student= is missing: checkpoint to start from, prune:MODEL" in refused("method=sft")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: [kd\n", "not YAML"),
        ("- kd\n", "must hold key: value lines"),
        ("method: kd\nkd_ratioo: 1\n", "unknown key 'kd_ratioo' of method=kd"),
        ("method: kd\nseed: [1]\n", "seed=[1]: "),
        ("method: [kd]\n", "unknown method '['kd']'"),
    ],
)
def test_a_bad_recipe_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    assert message in refused(*NEEDED, f"recipe={write(tmp_path / 'r.yaml', text)}")


def test_recipes_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\nmethod: sft\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(InputError, match=r"b\.yaml: extends: a\.yaml: extends this file in turn"):
        parse_recipe([f"recipe={tmp_path / 'a.yaml'}", "student=s", "data=d"])


def test_epochs_and_steps_together_are_refused(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r.yaml", "epochs: 3\nsteps: 5\n")
    line = refused(*NEEDED, "method=kd", f"recipe={recipe}")
    assert "give epochs= or steps=, not both" in line


class Blunt(Method):
    """A plug-in that repeats a common key."""

    title: ClassVar[str] = "Blunt"
    paper: ClassVar[str] = "-"
    cost: ClassVar[str] = "nothing more"
    learning_rate: float = Field(1.0, description="its own")

    def triple(self) -> Triple:
        """Cross-entropy alone."""
        return Triple(CrossEntropy())


def plug_in(monkeypatch: pytest.MonkeyPatch, **kinds: Any) -> None:
    methods.names()
    for name, kind in kinds.items():
        monkeypatch.setitem(methods._parts, name, kind)


def test_a_plug_in_that_repeats_a_common_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, blunt=Blunt)
    for arguments in (["method=blunt"], ["method=blunt", "learning_rate=3"]):
        line = refused(*NEEDED, *arguments)
        assert "Blunt: 'learning_rate' is a key of every method; rename it" in line
    assert parse("method=kd").settings.method == "kd"


def test_the_keys_of_a_plug_in_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(Method):
        """One key."""

        title: ClassVar[str] = "Own"
        paper: ClassVar[str] = "-"
        cost: ClassVar[str] = "nothing more"
        edge: float = Field(1.0, description="its own")

    plug_in(monkeypatch, own=Own)
    assert parse("method=own", "edge=3").method == Own(edge=3)
    assert "did you mean 'edge'" in refused(*NEEDED, "method=own", "edgy=3")


def test_no_method_of_kdbench_repeats_a_common_key() -> None:
    for name in methods.names():
        assert parse(f"method={name}").settings.method == name


def test_the_bundled_recipes_are_valid() -> None:
    for name, path in recipes().items():
        assert path.is_file()
        arguments = [] if "student:" in path.read_text() else ["student=s"]
        arguments += [] if "teacher:" in path.read_text() else ["teacher=t"]
        assert parse_recipe([f"recipe={name}", *arguments]).settings.recipe == name


@pytest.mark.parametrize("length", ["steps=7", "epochs=2"])
def test_steps_or_epochs_on_the_command_line_replace_the_recipes(length) -> None:
    for name in ("toy/gkd", "smollm2-135m/gkd"):
        arguments = [f"recipe={name}", "student=s", "teacher=t", length]
        settings = parse_recipe(arguments).settings
        key, _, value = length.partition("=")
        other = {"steps": "epochs", "epochs": "steps"}[key]
        assert getattr(settings, key) == float(value)
        assert getattr(settings, other) is None
