"""Test prompts that are among the training prompts, word for word or nearly."""

from collections.abc import Iterator, Sequence

from kdbench.builders.overlap.near import Twins, equal_pairs, near_pairs
from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.patient import Patient
from kdbench.doctor.rows import Rows, said

_SAME, _NEARLY = "the same as", "nearly the same as"
_MANY = 0.01  # share of a test set from which its mean cannot be trusted


@check("overlap", "files")
def overlap(patient: Patient) -> Iterator[Finding]:
    """Test prompts that are among the training prompts, exactly or nearly, with the rows."""
    for train_name, train in patient.training_sets.items():
        texts = [said(row) for row in train]
        for test_name, test in patient.test_sets.items():
            questions = [said(row) for row in test]
            equal = equal_pairs(texts, questions)
            known = {pair.second for pair in equal}
            near = [pair for pair in near_pairs(texts, questions) if pair.second not in known]
            if equal:
                yield _finding(patient, _SAME, train_name, train, test_name, test, equal)
            if near:
                yield _finding(patient, _NEARLY, train_name, train, test_name, test, near)


def _finding(
    patient: Patient,
    how: str,
    train_name: str,
    train: Rows,
    test_name: str,
    test: Rows,
    pairs: Sequence[Twins],
) -> Finding:
    share = len(pairs) / len(test)
    validates = test_name == patient.validation
    certain = how == _SAME and share >= _MANY and patient.of == "train" and not validates
    way = "" if validates else ", or leave the set out of tasks="
    seen = "has seen" if patient.of == "train" else "may have seen"
    answers = "them with their answers" if how == _SAME else "much the same with an answer"
    return Finding(
        "error" if certain else "warning",
        f"{len(pairs)} of {len(test)} prompts of {test_name} ({share:.1%}) are {how} prompts of "
        f"{train_name}",
        f"the student {seen} {answers}, so its scores on them are too high",
        f"remove these rows from {train_name} (kdbench build decontaminate){way}",
        tuple(_row(pair, train, test) for pair in pairs),
    )


def _row(pair: Twins, train: Rows, test: Rows) -> str:
    similarity = "" if pair.similarity == 1 else f" ({pair.similarity:.2f})"
    return f"{test[pair.second]['id']} = {train[pair.first]['id']}{similarity}"
