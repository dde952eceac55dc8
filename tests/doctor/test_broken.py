"""Set-ups that are broken on purpose: each fault is found, and nothing else is."""

import json
from pathlib import Path

import pytest
import torch
from checkpoints import change_json, change_weights, copy_into, nan_weights
from lm_eval_tasks import write_tasks
from ward import CHATML, Ward, diagnose, found, make_chat

from kdbench.doctor.finding import Diagnosis


def only(diagnosis: Diagnosis, *names: str) -> None:
    """Check that only these checks found something."""
    assert {name for name, _ in diagnosis.findings} == set(names), diagnosis.findings


# 1. The student never learns to stop, or does not know how.


def test_no_response_of_the_training_set_has_its_end_token(ward: Ward) -> None:
    ward.edit_rows(
        "dolly/train", lambda rows: [row | {"output": [" ".join(["dog"] * 300)]} for row in rows]
    )
    diagnosis = ward.train("max_length=200", "max_prompt_tokens=150", "weights=false")
    (finding,) = found(diagnosis, "training_rows", "error")
    assert finding.what.startswith("600 of 600 responses of dolly/train are cut at max_length=200")
    assert "max_length=" in finding.fix


def test_an_end_token_that_the_model_never_writes(ward: Ward) -> None:
    change_json(ward.student / "tokenizer_config.json", eos_token="<|pad|>")
    change_json(ward.student / "generation_config.json", eos_token_id=2)
    change_weights(
        ward.student,
        lambda weights: (
            weights | {"model.embed_tokens.weight": _unlikely(weights["model.embed_tokens.weight"])}
        ),
    )
    (finding,) = found(ward.eval("teacher=none"), "stopping")
    assert "'<|pad|>'" in finding.what
    assert "max_new_tokens" in finding.why
    assert finding.fix.startswith("protocol=chat, if it was tuned on chats; a checkpoint")
    (finding,) = found(ward.train(f"teacher={ward.student}", "skip=gradient"), "stopping")
    assert finding.fix.startswith("train_format=chat, if it was tuned")


def _unlikely(embedding: torch.Tensor) -> torch.Tensor:
    """An embedding whose token 2 is the opposite of the end token."""
    embedding[2] = -3 * embedding[1]
    return embedding


def test_a_generation_config_that_stops_elsewhere(ward: Ward) -> None:
    change_json(ward.student / "generation_config.json", eos_token_id=[0, 2])
    diagnosis = ward.eval("weights=false")
    only(diagnosis, "end_tokens")
    (finding,) = found(diagnosis, "end_tokens", "warning")
    assert "end token is '<|eos|>', and generation_config.json stops at '<|bos|>', '<|pad|>'" in (
        finding.what
    )


def test_a_chat_whose_turns_end_with_no_end_token(ward: Ward) -> None:
    make_chat(ward.student)
    change_json(ward.student / "tokenizer_config.json", eos_token="<|eos|>")
    change_json(ward.student / "generation_config.json", eos_token_id=1)
    diagnosis = ward.eval("teacher=none", "protocol=chat", "weights=false")
    only(diagnosis, "end_tokens")
    assert "ends a turn with '<|im_end|>'" in found(diagnosis, "end_tokens", "error")[0].what
    trained = ward.train("teacher=none", "method=sft", "train_format=chat", "weights=false")
    (finding,) = found(trained, "end_tokens")
    assert (finding.level, finding.fix) == ("warning", "end_token=<|im_end|>")


# 2. BOS.


def add_bos(folder: Path) -> None:
    """Have the tokenizer put BOS before a text, as Llama's does."""
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<|bos|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|bos|>": {"id": "<|bos|>", "ids": [0], "tokens": ["<|bos|>"]}},
    }
    file.write_text(json.dumps(content), "utf-8")


def test_a_bos_that_template_and_tokenizer_both_add(ward: Ward) -> None:
    add_bos(ward.student)
    (ward.student / "chat_template.jinja").write_text("{{ bos_token }}" + CHATML)
    words = ("teacher=none", "protocol=chat", "weights=false")
    (finding,) = found(ward.eval(*words, "add_bos=true"), "bos", "error")
    assert "two BOS tokens '<|bos|>'" in finding.what
    assert finding.fix == "add_bos=false"
    assert found(ward.eval(*words), "bos") == []


def test_a_bos_that_prompts_lack(ward: Ward) -> None:
    add_bos(ward.student)
    add_bos(ward.teacher)
    for diagnosis in (ward.eval("weights=false"), ward.train("weights=false")):
        only(diagnosis, "bos")
        first, second = found(diagnosis, "bos", "warning")
        assert first.fix.startswith("add_bos=true")
        assert "teacher" in second.what
    only(ward.eval("add_bos=true", "weights=false"))


# 3. Tokens without an embedding.


def test_tokens_beyond_the_embedding(ward: Ward) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ward.student)
    tokenizer.add_tokens(["<tool>", "</tool>"], special_tokens=True)
    tokenizer.save_pretrained(ward.student)
    diagnosis = ward.eval("teacher=none")
    only(diagnosis, "vocabulary")
    (finding,) = found(diagnosis, "vocabulary", "error")
    assert "2 tokens of its tokenizer are beyond the 512 rows" in finding.what
    assert "'<tool>', '</tool>'" in finding.what
    assert "invariance" in diagnosis.not_run


def test_a_head_of_its_own_that_is_tied_away(ward: Ward) -> None:
    change_weights(
        ward.student,
        lambda weights: weights | {"lm_head.weight": weights["model.embed_tokens.weight"] + 1},
    )
    (finding,) = found(ward.eval("weights=false"), "vocabulary", "error")
    assert "lm_head.weight" in finding.what
    change_weights(
        ward.student,
        lambda weights: weights | {"lm_head.weight": weights["model.embed_tokens.weight"].clone()},
    )
    assert found(ward.eval("weights=false"), "vocabulary") == []


# 4. Test prompts in the training set.

LONG = (
    "Explain to a new colleague how the library of Alexandria was organised, who paid for its "
    "scrolls, and why historians still argue about the year in which it burned down."
)


def test_test_prompts_that_leaked_into_the_training(ward: Ward) -> None:
    test = [json.loads(line) for line in (ward.data / "dolly/test.jsonl").read_text().splitlines()]
    leaked = [
        {"id": "same", "instruction": test[3]["instruction"].upper(), "input": test[3]["input"]},
        {"id": "near", "instruction": LONG, "input": ""},
    ]
    ward.edit_rows("dolly/train", lambda rows: rows + [row | {"output": ["x"]} for row in leaked])
    near = {"id": "asked", "instruction": LONG.replace("new colleague", "young pupil"), "input": ""}
    ward.edit_rows("vicuna/test", lambda rows: [*rows, near | {"output": ["y"]}])
    diagnosis = ward.train("weights=false")
    only(diagnosis, "overlap")
    same, alike = found(diagnosis, "overlap")
    assert (same.level, same.rows) == ("error", (f"{test[3]['id']} = same",))
    assert same.what.startswith("1 of 12 prompts of dolly/test (8.3%) are the same as")
    assert alike.level == "warning"
    # 30 words are 28 triples, of which 4 hold one of the two words: (28 - 4) / (28 + 4).
    assert alike.rows == ("asked = near (0.75)",)
    assert [f.level for f in found(ward.eval("weights=false"), "overlap")] == ["warning"] * 2


def test_conversations_in_a_file_that_leaked(ward: Ward) -> None:
    make_chat(ward.student)
    files = [ward.data / f"{name}.jsonl" for name in ("mine", "held_out")]
    for file, first in zip(files, (1, 3), strict=True):
        rows = [
            {"id": f"{first + n}", "messages": [
                {"role": "user", "content": f"Name {first + n} fruits that are eaten in summer."},
                {"role": "assistant", "content": "apple"},
            ]}
            for n in range(3)
        ]  # fmt: skip
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    keys = [f"train_set={files[0]}", f"valid_set={files[1]}", "train_format=chat", "method=sft"]
    (overlap,) = found(ward.train("weights=false", "teacher=none", *keys), "overlap")
    assert (overlap.level, overlap.rows) == ("warning", ("3 = 3",))
    assert overlap.what.startswith("1 of 3 prompts of held_out.jsonl (33.3%) are the same as")
    assert overlap.fix == "remove these rows from mine.jsonl (kdbench build decontaminate)"


# 5. Weights that are no numbers.


def test_weights_that_are_no_numbers(ward: Ward) -> None:
    nan_weights(ward.student)
    diagnosis = ward.eval("teacher=none")
    only(diagnosis, "finite")
    (finding,) = found(diagnosis, "finite", "error")
    assert "weights are not finite" in finding.what
    assert diagnosis.not_run["stopping"] == "see the error of finite"
    (finding,) = found(ward.train("method=sft", "teacher=none"), "finite", "error")
    assert "weights are not finite" in finding.what


# 6. Prompts without room.


def test_most_rows_are_left_out(ward: Ward) -> None:
    ward.edit_rows(
        "dolly/train",
        lambda rows: [
            row | {"input": f"{row['input']} " + "cat dog " * 40} if index % 10 else row
            for index, row in enumerate(rows)
        ],
    )
    diagnosis = ward.train("weights=false", "max_prompt_tokens=60")
    only(diagnosis, "training_rows")
    (finding,) = found(diagnosis, "training_rows", "error")
    assert finding.what.startswith("540 of 600 rows of dolly/train (90%) are left out")


def _longer_than(ward: Ward, limit: int) -> list[str]:
    """The test rows whose prompts have more tokens, counted by hand."""
    from transformers import AutoTokenizer

    from kdbench.toy.corpus import alpaca_prompt

    tokenizer = AutoTokenizer.from_pretrained(ward.student)
    files = [ward.data / f"{name}/test.jsonl" for name in ("dolly", "vicuna")]
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    prompts = {row["id"]: alpaca_prompt(row["instruction"], row["input"]) for row in rows}
    return sorted(name for name, text in prompts.items() if len(tokenizer(text).input_ids) > limit)


def test_prompts_that_are_cut_or_do_not_fit(ward: Ward) -> None:
    diagnosis = ward.eval("max_prompt_tokens=18", "weights=false")
    cut = [row for finding in found(diagnosis, "prompts") for row in finding.rows]
    assert sorted(cut) == _longer_than(ward, 18)
    assert found(diagnosis, "prompts", "warning")
    diagnosis = ward.eval("max_new_tokens=511", "weights=false")
    only(diagnosis, "prompts")
    assert [f.level for f in found(diagnosis, "prompts")] == ["error"] * 2
    assert "its 512 positions" in found(diagnosis, "prompts")[0].what
    (finding, _) = found(ward.train("max_new_tokens=511", "weights=false"), "training_rows")
    assert finding.fix == "lower max_new_tokens="


# 7. Chat templates.


def test_a_task_with_options_generates_no_response(ward: Ward) -> None:
    """Its prompts are not cut at max_prompt_tokens=, and need no room for max_new_tokens=."""
    task = write_tasks(ward.data / "yaml") / "choice.yaml"
    keys = [f"tasks={task}", "max_prompt_tokens=2", "max_new_tokens=512", "weights=false"]
    assert not found(ward.eval(*keys), "prompts")


def test_a_chat_model_under_the_tasks_own_prompts(ward: Ward) -> None:
    make_chat(ward.student)
    make_chat(ward.teacher)
    diagnosis = ward.eval("weights=false")
    only(diagnosis, "chat_template")
    assert [f.fix for f in found(diagnosis, "chat_template")] == ["protocol=chat"] * 2
    (finding,) = found(ward.train("weights=false"), "chat_template")
    assert "the teacher" in finding.what


def test_no_chat_template_under_chat(ward: Ward) -> None:
    (ward.student / "chat_template.jinja").unlink()
    diagnosis = ward.eval("teacher=none", "protocol=chat", "weights=false")
    (finding,) = [finding for _, finding in diagnosis.findings]
    assert finding.level == "error"
    assert "no chat template" in finding.what
    assert diagnosis.not_run


def test_thinking_without_room(ward: Ward) -> None:
    make_chat(ward.student)
    template = (
        CHATML + "{% if enable_thinking is defined and not enable_thinking %}<think>{% endif %}"
    )
    (ward.student / "chat_template.jinja").write_text(template)
    words = ("teacher=none", "protocol=chat", "weights=false")
    (finding,) = found(ward.eval(*words), "chat_template")
    assert "max_new_tokens=256" in finding.what
    assert (
        found(ward.eval(*words, "chat_template_kwargs=enable_thinking=false"), "chat_template")
        == []
    )


# 8. A teacher that teaches nothing.


def test_a_student_that_is_its_teacher(ward: Ward) -> None:
    diagnosis = ward.train(f"student={ward.teacher}")
    only(diagnosis, "gradient", "same_weights")
    assert "nearly zero" in found(diagnosis, "gradient", "error")[0].what
    copy_into(ward.teacher, ward.student)
    (finding,) = found(ward.eval("weights=false"), "same_weights")
    assert finding.level == "warning"


def test_a_method_whose_keys_leave_the_teacher_out(ward: Ward) -> None:
    diagnosis = ward.train("method=kd", "kd_ratio=0", "weights=false")
    only(diagnosis, "unused_teacher")
    assert found(diagnosis, "unused_teacher", "error")
    (finding,) = found(ward.train("method=sft", "weights=false"), "unused_teacher")
    assert finding.level == "warning"


def test_an_objective_that_forgets_the_teacher(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    from kdbench.training.objective import Match

    monkeypatch.setattr(Match, "token", lambda _, chunk: -chunk.of_target(chunk.log_q))
    diagnosis = ward.train()
    only(diagnosis, "gradient")
    assert "with another teacher the gradient is the same" in (
        found(diagnosis, "gradient", "error")[0].what
    )


@pytest.mark.parametrize("method", ["kd", "minillm", "distillm", "classmate", "taid", "seqkd"])
def test_the_methods_heed_their_teacher(ward: Ward, method: str) -> None:
    diagnosis = ward.train(f"method={method}", "skip=finite,invariance,stopping")
    assert diagnosis.findings == []
    assert diagnosis.not_run == {}


# 9. Generation defaults.


def test_generation_defaults_that_other_tools_apply(ward: Ward) -> None:
    change_json(
        ward.student / "generation_config.json",
        repetition_penalty=1.3,
        suppress_tokens=[7],
        temperature=0.6,
        top_p=0.95,
    )
    diagnosis = ward.eval("weights=false")
    only(diagnosis, "generation_defaults")
    (warning,) = found(diagnosis, "generation_defaults", "warning")
    assert "sets repetition_penalty=1.3, suppress_tokens=[7]" in warning.what
    (note,) = found(diagnosis, "generation_defaults", "note")
    assert "temperature=0.6, top_p=0.95" in note.what


# 10. Batches.


def test_a_model_whose_texts_depend_on_the_batch(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tiny_models
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ward.student)
    monkeypatch.setitem(tiny_models.SMALL, "vocab_size", 512)
    for name in ("max_position_embeddings", "n_positions"):
        monkeypatch.setitem(tiny_models.SMALL, name, 512)
    model = tiny_models.build("GPTNeoForCausalLM")
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.eos_token_id
    folder = ward.student.with_name("neo")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    diagnosis = ward.eval(f"model={folder}", "teacher=none")
    (finding,) = found(diagnosis, "invariance")
    assert finding.level == "warning"
    assert "GPTNeoForCausalLM" in finding.what


def test_answers_that_differ_between_batches(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    from kdbench.doctor.checks import invariance

    answers = invariance._answers

    def mixed_up(*arguments: object) -> object:
        found = answers(*arguments)
        return found if arguments[-1] == 1 else [(*found[0], 7), *found[1:]]

    monkeypatch.setattr(invariance, "_answers", mixed_up)
    (finding,) = found(ward.eval("teacher=none"), "invariance", "error")
    assert finding.what.endswith(
        "1 of 3 greedy answers differ between a batch and one at a time, in float32"
    )


# And more.


def test_duplicates_learning_rates_and_forms(ward: Ward) -> None:
    ward.edit_rows("dolly/train", lambda rows: rows[:100] * 2)
    ward.edit_rows(
        "dolly/train",
        lambda rows: [row | {"id": f"{index}"} for index, row in enumerate(rows)],
    )
    diagnosis = ward.train(
        "weights=false", "learning_rate=0.5", "min_learning_rate=0.6", "warmup_steps=7"
    )
    only(diagnosis, "duplicates", "learning_rate")
    (finding,) = found(diagnosis, "duplicates")
    assert "0 = 100" in finding.rows
    assert len(found(diagnosis, "learning_rate")) == 3
    card = {"training": {"settings": {"train_format": "chat", "add_bos": False}}}
    (ward.student / "kdbench.json").write_text(json.dumps(card))
    (finding,) = found(ward.eval("weights=false"), "trained_form")
    assert finding.fix.startswith("protocol=chat")


def test_an_end_token_inside_a_response_and_two_tokenizers(ward: Ward) -> None:
    ward.edit_rows(
        "dolly/train", lambda rows: [*rows[:-1], rows[-1] | {"output": ["red<|eos|>blue"]}]
    )
    change_json(ward.teacher / "tokenizer_config.json", eos_token="<|pad|>")
    change_json(ward.teacher / "generation_config.json", eos_token_id=2)
    diagnosis = ward.train("weights=false")
    only(diagnosis, "tokenizers", "training_rows")
    (finding,) = found(diagnosis, "training_rows")
    assert len(finding.rows) == 1
    assert "end_token=" in found(diagnosis, "tokenizers", "error")[0].what
    (finding,) = found(ward.eval("weights=false"), "tokenizers")
    assert "'<|eos|>' and '<|pad|>'" in finding.what


def test_too_little_memory_or_disk(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(2, 1, 1_000_000))
    monkeypatch.setattr("kdbench.doctor.checks.memory.available_memory", lambda _: 1_000_000)
    diagnosis = ward.train("weights=false")
    only(diagnosis, "disk", "memory")
    assert "3.7 MB" in found(diagnosis, "disk", "error")[0].what
    assert "micro_batch_size=" in found(diagnosis, "memory", "error")[0].fix


def test_finite_weights_whose_logits_are_not(ward: Ward) -> None:
    change_weights(ward.student, lambda weights: {n: w * 1e13 for n, w in weights.items()})
    (finding,) = found(ward.eval("teacher=none", "skip=stopping"), "finite", "error")
    assert "logits of a prompt are not finite, in float32" in finding.what


def test_frozen_and_unreached_weights(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    from kdbench.distillation.ingredients import Ingredients

    load = Ingredients.load_student

    def with_frozen_norms(self: Ingredients, to_train: bool = False) -> object:
        model = load(self, to_train)
        for name, weight in model.named_parameters():
            weight.requires_grad_("norm" not in name)
        model.model.unused = torch.nn.Linear(2, 2, bias=False)
        return model

    monkeypatch.setattr(Ingredients, "load_student", with_frozen_norms)
    diagnosis = ward.train("skip=finite,invariance,stopping")
    only(diagnosis, "gradient")
    frozen, unreached = found(diagnosis, "gradient", "warning")
    assert frozen.what.startswith("5 tensors of the student are frozen (model.layers.0.input_lay")
    assert "no part of 1 tensors of the student (model.unused.weight)" in unreached.what


def test_a_checkpoint_that_is_there_already(ward: Ward) -> None:
    import kdbench

    out = ward.out.with_name("trained")
    keys = {"method": "sft", "student": str(ward.student), "data": str(ward.data), "limit": 8}
    keys |= {"steps": 1, "validation_limit": 2, "max_new_tokens": 4, "batch_size": 8}
    kdbench.train(**keys, out=str(out))
    words = [f"{key}={value}" for key, value in keys.items()]
    words += [f"out={out}", "weights=false"]
    (finding,) = found(diagnose("train", *words), "command")
    assert (finding.level, finding.fix[:12]) == ("note", "another out=")
    (finding,) = found(diagnose("train", *words, "seed=3"), "command", "error")
    assert "seed" in finding.what


def test_test_rows_that_were_edited(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"instruction": "Why?", "input": "", "output": ["Because."]}
    ward.edit_rows("vicuna/test", lambda _: [row | {"id": f"v{number}"} for number in range(80)])
    (finding,) = found(ward.eval("weights=false"), "published_data", "warning")
    assert "vicuna/test has 80 rows" in finding.what
    from kdbench.system.bundled import load_module

    # The hash that the task's YAML has for the papers' rows.
    published = "efba2d766f5cdbd08afa2873903274aaacfabd29f1b31a411e76817bad275653"
    monkeypatch.setattr(load_module("tasks/instruction.py"), "content_sha256", lambda _: published)
    assert found(ward.eval("weights=false"), "published_data") == []
