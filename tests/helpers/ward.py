"""Set-ups of the toy world for the doctor: sound ones, and copies to break."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kdbench.doctor.examine import examine
from kdbench.doctor.finding import Diagnosis, Finding
from kdbench.doctor.settings import parse_doctor

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + "
    "'\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def diagnose(*words: object) -> Diagnosis:
    """What the doctor finds for a command line."""
    patient, settings = parse_doctor([str(word) for word in words])
    try:
        return examine(patient, settings)
    finally:
        patient.close()


def found(diagnosis: Diagnosis, check: str, level: str | None = None) -> list[Finding]:
    """The findings of a check."""
    return [
        finding
        for name, finding in diagnosis.findings
        if name == check and level in (None, finding.level)
    ]


@dataclass(frozen=True)
class Ward:
    """A copy of the toy world in which anything may be broken.

    Attributes:
        data: Folder of the data sets.
        teacher: Folder of the teacher.
        student: Folder of the student.
        out: Folder for a trained student, which does not exist.
    """

    data: Path
    teacher: Path
    student: Path
    out: Path

    def eval(self, *words: object) -> Diagnosis:
        """What the doctor finds before an evaluation of two tasks."""
        given = {str(word).partition("=")[0] for word in words}
        usual = {
            "model": self.student,
            "teacher": self.teacher,
            "data": self.data,
            "tasks": "dolly,vicuna",
        }
        rest = [f"{key}={value}" for key, value in usual.items() if key not in given]
        return diagnose("eval", *rest, f"results={self.out}", *words)

    def train(self, *words: object) -> Diagnosis:
        """What the doctor finds before a training."""
        given = {str(word).partition("=")[0] for word in words}
        usual = {
            "method": "gkd",
            "student": self.student,
            "teacher": self.teacher,
            "data": self.data,
            "learning_rate": "1e-3",
            "max_new_tokens": 32,
        }
        rest = [f"{key}={value}" for key, value in usual.items() if key not in given]
        return diagnose("train", *rest, f"out={self.out}", *words)

    def edit_rows(self, name: str, change: Callable[[list[dict]], list[dict]]) -> None:
        """Change the rows of a file such as `dolly/train`."""
        file = self.data / f"{name}.jsonl"
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        file.write_text("".join(json.dumps(row) + "\n" for row in change(rows)), "utf-8")


def make_chat(folder: Path) -> None:
    """Give a checkpoint a chat format with tokens of its own, and the embeddings for them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    old_end = tokenizer.eos_token_id
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.eos_token, tokenizer.chat_template = "<|im_end|>", CHATML
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    weights = model.get_input_embeddings().weight.data
    weights[tokenizer.eos_token_id] = 1.1 * weights[old_end]  # it has learned to stop with it
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
