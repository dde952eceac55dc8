"""The bundled recipes and the list of published checkpoints."""

import re
from pathlib import Path

import pytest
import yaml

import kdbench
from kdbench.distillation.recipe import make_recipe, parse_recipe, recipes
from kdbench.filling.published import check_reported
from kdbench.filling.spec import read_spec
from kdbench.filling.spec_files import find_spec
from kdbench.methods import methods
from kdbench.system.bundled import bundled
from kdbench.tables.published import read_published

PAPERS = {"sft", "kd", "seqkd", "imitkd", "gkd", "minillm", "distillm", "classmate"}
TOY = {"limit": 16, "batch_size": 8, "steps": 2, "validation_limit": 4}


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_parses(name) -> None:
    recipe = parse_recipe([f"recipe={name}", "student=student", "teacher=teacher", "data=data"])
    assert recipe.settings.recipe == name
    family, _, rest = name.partition("/")
    method = rest.removesuffix("-gpu")
    named = {"teacher": "sft", "init": "sft", "sharpening": "classmate"}
    assert recipe.settings.method == named.get(method, method)
    assert family in {"toy", "smollm2-135m", "gemma3-270m", "gpt2-120m"}


def test_each_method_and_family_has_a_recipe() -> None:
    by_family: dict[str, set[str]] = {}
    for name in recipes():
        family, _, method = name.partition("/")
        by_family.setdefault(family, set()).add(method)
    assert by_family["toy"] == set(methods.names())
    assert PAPERS | {"teacher", "init"} == by_family["gpt2-120m"]
    small = PAPERS - {"imitkd"} | {"teacher", "init"}
    further = {"distillm2", "taid", "todi", "opd", "tsd", "sharpening"}
    assert by_family["smollm2-135m"] == small | further | {f"{method}-gpu" for method in small}
    assert by_family["gemma3-270m"] == small | further


def test_the_papers_settings_equal_those_of_their_scripts() -> None:
    """methods.md 3.2, 3.3 and 3.5, read from the scripts of MiniLLM and DistiLLM."""
    made = {name: make_recipe({"recipe": f"gpt2-120m/{name}"}) for name in PAPERS}
    for name, recipe in made.items():
        settings = recipe.settings
        assert (settings.max_prompt_tokens, settings.max_length) == (256, 512)
        assert settings.select == "rougeL"
        if name != "minillm":
            assert settings.learning_rate == 5e-4
            assert settings.epochs == 20
            assert settings.weight_decay == 1e-2
            assert settings.lr_schedule == "cosine"
    assert made["kd"].method.kd_ratio == 1.0
    assert made["kd"].settings.student == "openai-community/gpt2"
    assert made["gkd"].method.teacher_weight == 0.1
    assert made["distillm"].method.direction == "forward"
    assert made["distillm"].method.threshold == 0.0
    minillm = made["minillm"]
    assert minillm.settings.learning_rate == 5e-6
    assert minillm.settings.lr_schedule == "constant"
    assert minillm.settings.warmup_steps == 100
    assert minillm.settings.batch_size * minillm.method.rollout_batches == 256
    assert (minillm.method.passes, minillm.method.discount) == (4, 0.95)
    initial = make_recipe({"recipe": "gpt2-120m/init"}).settings
    assert (initial.epochs, initial.select) == (3, "loss")


@pytest.mark.parametrize("method", ["distillm", "minillm", "seqkd"])
def test_a_toy_recipe_trains(world, tmp_path, method) -> None:
    trained = kdbench.train(
        recipe=f"toy/{method}",
        student=str(world.student),
        teacher=str(world.teacher),
        data=world.data,
        out=tmp_path / method,
        device="cpu",
        **TOY,
    )
    assert trained.steps == 2
    assert trained.card["training"]["settings"]["learning_rate"] == 1e-3


def test_the_zoo_names_settings_of_the_published_table() -> None:
    zoo = yaml.safe_load((bundled("baselines") / "zoo.yaml").read_text("utf-8"))
    published = yaml.safe_load((bundled("baselines") / "published.yaml").read_text("utf-8"))
    known = {setting["id"] for setting in published["settings"]}
    assert {setting["id"] for setting in zoo["settings"]} <= known
    names = []
    for setting in zoo["settings"]:
        for checkpoint in [setting["teacher"], setting["initial"], *setting["students"]]:
            assert checkpoint["source"] in zoo["sources"]
            assert checkpoint["certainty"] in {"verified", "unverified"}
            names.append(checkpoint["model"])
    assert "MiniLLM/MiniLLM-gpt2-120M" in names
    assert all(name.count("/") == 1 for name in names)


def test_tables_name_checkpoints_of_the_zoo_at_its_revisions() -> None:
    """A misspelt name or an unpinned revision would only show when it is downloaded."""
    zoo = yaml.safe_load((bundled("baselines") / "zoo.yaml").read_text("utf-8"))
    known = {
        checkpoint["model"]: checkpoint
        for setting in zoo["settings"]
        for checkpoint in [setting["teacher"], setting["initial"], *setting["students"]]
    }
    named = []
    for file in sorted((bundled("baselines") / "tables").glob("*.yaml")):
        table = yaml.safe_load(file.read_text("utf-8"))
        for entry in [table.get("teacher"), table.get("student"), *table.get("rows", [])]:
            place = entry.get("checkpoint", "") if isinstance(entry, dict) else entry or ""
            if "/" not in place or place.startswith(("runs/", "path/")):
                continue
            model, _, revision = place.partition("@")
            checkpoint = known[model]
            assert revision == checkpoint.get("revision", ""), (file.name, model)
            assert entry.get("unsafe_pickle", False) == (checkpoint["weights"] == "pickle")
            named.append(model)
    assert "MiniLLM/teacher-gpt2-1.5B" in named
    pinned = [row["revision"] for row in known.values() if "revision" in row]
    assert all(re.fullmatch(r"[0-9a-f]{40}", revision) for revision in pinned)


def test_the_papers_table_compares_with_rows_that_are_published() -> None:
    spec = read_spec(find_spec("gpt2-120m"))
    check_reported(spec, Path("gpt2-120m.yaml"))
    (setting,) = [s for s in read_published(None).settings if s.id == spec.published[0]]
    methods = {row.method for row in setting.rows}
    assert {spec.teacher.label, *(row.label for row in spec.rows)} <= methods
