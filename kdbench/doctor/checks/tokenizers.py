"""Tokenizers of student and teacher that differ."""

from collections.abc import Iterator

from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.patient import Patient
from kdbench.doctor.train_patient import TrainPatient
from kdbench.views.tokenizers import shared_tokens


@check("tokenizers", "tokens")
def tokenizers(patient: Patient) -> Iterator[Finding]:
    """Tokenizers of student and teacher that differ, or end a response differently."""
    student, teacher = patient.member("student"), patient.member("teacher")
    if student is None or teacher is None:
        return
    if isinstance(patient, TrainPatient):
        stages = patient.method.stages()
        taught = [
            one.triple
            for one in stages
            if one.triple.needs_teacher_model and one.teacher == "given"
        ]
        if taught:
            patient.ingredients.check_tokenizers(*taught)
        return
    shared = shared_tokens(student.tokenizer, teacher.tokenizer)
    if shared.difference:
        yield Finding(
            "warning",
            f"student and teacher have different tokenizers ({shared.difference})",
            "the metrics that compare their distributions token by token have no value",
            "model= and teacher= of one family; the metrics on texts need no common tokenizer",
        )
    elif not shared.same_end:
        ends = f"'{student.tokenizer.eos_token}' and '{teacher.tokenizer.eos_token}'"
        yield Finding(
            "warning",
            f"student and teacher end a response with different tokens ({ends})",
            "at the end of each response they disagree, however alike they are, as a chat model "
            "and its base do",
            "end_token= in the student's training, or a student of the same chat format",
        )
