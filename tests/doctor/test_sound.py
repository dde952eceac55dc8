"""Sound set-ups: the doctor is silent, and has made every check."""

import json

import torch
from scripted_teacher import ScriptedTeacher
from transformers import AutoModelForCausalLM, AutoTokenizer
from ward import Ward, make_chat

from kdbench.doctor.check import checks
from kdbench.doctor.finding import Diagnosis


def assert_silent(diagnosis: Diagnosis, left_out: int = 0) -> None:
    assert diagnosis.findings == []
    assert dict(diagnosis.not_run) == {}
    of_verb = [name for name in checks.names() if diagnosis.of in checks.get(name).of]
    assert len(diagnosis.ran) == len(of_verb) - left_out


def test_an_evaluation_with_a_teacher(ward: Ward) -> None:
    assert_silent(ward.eval())


def test_a_training(ward: Ward) -> None:
    diagnosis = ward.train()
    assert_silent(diagnosis)
    # The toy students' parameters by hand: an embedding of 512 by 64 that is also the head, two
    # layers of four maps of 64 by 64, three of 64 by 128 and two norms, and the last norm.
    by_hand = 512 * 64 + 2 * (4 * 64 * 64 + 3 * 64 * 128 + 2 * 64) + 64
    assert diagnosis.facts["memory"]["bytes"]["gradients"] == 4 * by_hand
    assert diagnosis.facts["disk"]["bytes"] == 32 * by_hand


def test_a_training_beside_a_server_of_which_nothing_is_kept(ward: Ward, monkeypatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    model = AutoModelForCausalLM.from_pretrained(ward.teacher, dtype=torch.float32)
    with ScriptedTeacher(model, AutoTokenizer.from_pretrained(ward.teacher)) as server:
        diagnosis = ward.train(f"teacher={server.url}", "teacher_top_k=8")
    assert diagnosis.findings == []
    assert diagnosis.facts["gradient"]["changed_by_teacher"] > 0.01
    assert server.bodies
    assert not list(ward.out.parent.rglob("teacher-scores"))


def test_a_pair_of_chat_models(ward: Ward) -> None:
    make_chat(ward.teacher)
    make_chat(ward.student)
    assert_silent(ward.eval("protocol=chat"))
    assert_silent(ward.train("train_format=chat", "weights=false"), left_out=3 + 1)


def test_prompts_without_references(ward: Ward) -> None:
    make_chat(ward.teacher)
    make_chat(ward.student)
    rows = [{"messages": [{"role": "user", "content": f"Name item {n}."}]} for n in range(3)]
    file = ward.data / "own.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert_silent(ward.eval("protocol=chat", f"tasks={file}", "weights=false"), left_out=3)


def test_a_task_that_is_scored_by_likelihood(ward: Ward) -> None:
    file = ward.data / "rolling.yaml"
    file.write_text(
        "task: rolling\ndataset_path: json\ntest_split: test\n"
        f"dataset_kwargs: {{data_files: {{test: {ward.data / 'dolly' / 'test.jsonl'}}}}}\n"
        "output_type: loglikelihood_rolling\n"
        "doc_to_text: ''\ndoc_to_target: '{{output[0]}}'\n"
        "metric_list: [{metric: bits_per_byte}]\n"
    )
    diagnosis = ward.eval(f"tasks={file}", "weights=false")
    assert [finding for name, finding in diagnosis.findings if name != "overlap"] == []
    assert set(diagnosis.not_run.values()) <= {"the tasks have no prompts"}


def test_looking_without_weights_loads_none(ward: Ward) -> None:
    diagnosis = ward.eval("weights=false")
    assert diagnosis.findings == []
    assert set(diagnosis.left_out) == {"finite", "invariance", "stopping"}


def test_texts_that_follow_no_prompt(ward: Ward) -> None:
    assert ward.eval("tasks=skills_last_word,skills_larger").findings == []
