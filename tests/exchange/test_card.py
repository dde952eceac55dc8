"""A model card, read back by the Hub's own library; what people wrote in it stays."""

import json
import shlex

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from typer.testing import CliRunner

from kdbench.cli.verbs import app
from kdbench.config import EvalSettings, parse
from kdbench.errors import InputError
from kdbench.exchange.hub.card import write_card
from kdbench.exchange.settings import CardSettings

GIVEN = {
    "license": "apache-2.0",
    "base_model": ["org/small"],
    "datasets": ["org/data"],
    "language": ["en"],
}


def write(made, out="README.md", **settings):
    keys = {"run": "mine", "results": made.results, "checkpoint": made.checkpoint, **settings}
    written = write_card(CardSettings(out=out, **keys))
    return written, written.files[0].read_text("utf-8")


def stored(made, task):
    return json.loads((made.run / f"{task}.json").read_text())["metrics"]


def test_the_model_index_has_every_number_with_its_interval(made):
    _, text = write(made, **GIVEN)
    card = ModelCard(text)
    data = card.data
    assert (data.license, data.base_model, data.datasets) == (
        *("apache-2.0", ["org/small"]),
        ["org/data"],
    )
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-generation")
    assert {"kdbench", "knowledge-distillation"} <= set(data.tags)
    found = {(entry.dataset_type, entry.metric_name): entry for entry in data.eval_results}
    names = ("rougeL", "exact_match", "acceptance@student")
    assert set(found) == {(task, name) for task in ("dolly", "vicuna") for name in names}
    for (task, name), entry in found.items():
        metric, digits = stored(made, task)[name], 3 if "acceptance" in name else 2
        assert entry.metric_value == round(metric["value"], digits)
        low, high = round(metric["ci_low"], digits), round(metric["ci_high"], digits)
        assert entry.metric_args["interval_95"] == [low, high]
        assert entry.metric_args["prompts"] == 4
        assert entry.verified is None
    assert found["dolly", "rougeL"].metric_type == "rouge"


def test_the_text_tells_how_it_was_made_and_how_to_measure_it_again(made):
    _, text = write(made)
    metric = stored(made, "dolly")["rougeL"]
    cell = "{value:.2f} \\[{ci_low:.2f},\u00a0{ci_high:.2f}\\]".format(**metric)
    assert f"| Dolly | 4 | {cell} |" in text
    assert "- Method: KD\n" in text
    assert "- Teacher: teacher\n" in text
    assert "- Initial student: student\n" in text
    assert "steps=2, batch\\_size=4" in text
    assert "- limit" not in text
    assert "prompts: the first 4 of each task" in text
    (line,) = [line for line in text.splitlines() if line.startswith("kdbench eval ")]
    settings = parse(EvalSettings, shlex.split(line)[2:])
    assert (settings.tasks, settings.limit) == (("dolly", "vicuna"), 4)
    assert (settings.seeds, settings.max_new_tokens) == ((10, 20), 6)


def test_the_part_of_people_stays_and_a_second_call_changes_nothing(made):
    _, first = write(made, license="mit")
    edited = first.replace("license: mit", "license: mit\ninference: false")
    edited = edited.replace("<!-- kdbench:begin", "Written by me.\n\n<!-- kdbench:begin")
    (made.checkpoint.parent / "README.md").write_text(edited + "\nAlso by me.\n")
    written, text = write(made)
    assert "Written by me.\n\n<!-- kdbench:begin" in text
    assert text.endswith("\nAlso by me.\n")
    data = ModelCard(text).data
    assert (data.license, data.inference) == ("mit", False)
    assert len(data.eval_results) == 6
    again, same = write(made)
    assert same == text
    assert (written.changed, again.changed) == (True, False)


def test_results_of_others_in_the_metadata_stay(made):
    other = {
        "task": {"type": "text-generation"},
        "dataset": {"name": "Other", "type": "org/other"},
        "metrics": [{"type": "accuracy", "value": 12.5, "name": "acc"}],
    }
    front = yaml.safe_dump({"model-index": [{"name": "m", "results": [other]}]})
    markers = "<!-- kdbench:begin card 0 -->\n<!-- kdbench:end card -->\n"
    (made.checkpoint.parent / "README.md").write_text(f"---\n{front}---\n# Mine\n\n{markers}")
    _, text = write(made)
    entries = ModelCard(text).data.eval_results
    assert [entry.metric_value for entry in entries if entry.dataset_type == "org/other"] == [12.5]
    assert len(entries) == 7
    assert text.index("# Mine") < text.index("kdbench:begin")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda text: "# my own card\n", "README.md: was not written by kdbench card; "),
        (lambda text: text.replace("## Results", "## My results"), "was edited by hand; "),
        (lambda text: text.replace("kdbench:end card", "end"), "was not written by kdbench card"),
        (lambda text: "---\n- a\n---\n", "README.md: not a model card: "),
    ],
)
def test_a_card_edited_by_hand_is_kept_unless_asked(edit, reason, made):
    _, text = write(made)
    file = made.checkpoint.parent / "README.md"
    file.write_text(edit(text))
    before = file.read_bytes()
    with pytest.raises(InputError, match=reason):
        write(made)
    assert file.read_bytes() == before
    if "not a model card" not in reason:
        assert "## Results" in write(made, overwrite=True)[1]


def test_files_of_benchmarks_are_those_of_the_hub(made):
    written, _ = write(made, out="card/README.md", eval_results=["dolly:org/bench:split_a"])
    (file,) = written.files[1:]
    assert file.as_posix() == "card/.eval_results/dolly.yaml"
    (entry,) = parse_eval_result_entries(yaml.safe_load(file.read_text()))
    metric = stored(made, "dolly")["rougeL"]
    assert (entry.dataset_id, entry.task_id) == ("org/bench", "split_a")
    assert entry.value == round(metric["value"], 2)
    assert "rougeL, 95 % interval" in entry.notes
    assert entry.verify_token is None


def test_hostile_names_break_neither_metadata_nor_markdown(made):
    record = json.loads((made.run / "run.json").read_text())
    evil = "x: [y]\n---\n| <script> <!-- kdbench:end card --> `$(id)` \x1b[31m"
    record["method"], record["model"]["name"] = evil, "mine"
    (made.run / "run.json").write_text(json.dumps(record))
    _, text = write(made)
    assert "<script>" not in ModelCard(text).text
    assert ModelCard(text).text.count("<!-- kdbench:end card -->") == 1
    assert "\x1b" not in text
    assert ModelCard(text).data.pipeline_tag == "text-generation"


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"run": "mine2"}, r"^run=mine2: is not a run folder .* did you mean 'mine'\?$"),
        ({"metrics": ["rouge"]}, r"^metrics=rouge: the run has no such metric; did you mean"),
        ({"eval_results": ["vicunia:a/b:c"]}, r"^eval_results=vicunia:a/b:c: did you mean 'vic"),
        ({"checkpoint": "nowhere"}, "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(keys, reason, made):
    with pytest.raises(InputError, match=reason):
        write(made, **keys)
    assert not (made.checkpoint.parent / "README.md").exists()


def test_another_checkpoint_is_refused(made, world):
    with pytest.raises(InputError, match=r"is not the one that was measured \(sha256"):
        write(made, checkpoint=world.student)


def test_a_card_of_an_import_names_what_measured(made):
    record = json.loads((made.run / "run.json").read_text())
    record["imported"] = {"from": "lm-eval 0.4.13"}
    (made.run / "run.json").write_text(json.dumps(record))
    _, text = write(made)
    assert "measured with lm-eval 0.4.13." in text
    assert "kdbench eval" not in text


def test_the_card_goes_to_standard_output(made):
    done = CliRunner().invoke(app, ["card", "mine"])
    assert done.exit_code == 0
    assert done.stdout.startswith("---\n")
    assert done.stderr == ""
    refused = CliRunner().invoke(app, ["card", "mine", "eval_results=dolly:a/b:c"])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "give out=FILE" in refused.stderr
