"""DHO; `seeds.md` 3.3."""

import torch

from kdbench.methods import methods
from kdbench.methods.dho import mixture
from kdbench.training import Batch, Chunk, Rollout
from kdbench.training.labels import LabelWords
from kdbench.training.loss import distillation_loss
from kdbench.training.merging import merged_weights
from tests.methods.hand_values import RESPONSE, STUDENT, TEACHER, Given, HandValue

Z_A, Z_B = torch.tensor([[2, 0, 0], [0.5, 1, 0]], dtype=torch.float64)


def mixed(weight, temperature=0.5):
    return mixture(Z_A, Z_B, weight, temperature)


def two_rows():
    """The whole loss of one head; the first token is a labelled row, the second another one."""
    terms = methods.get("dho")(heads=1).triple().terms
    rows = [
        Rollout(origin, (0,), (token,), origin)
        for origin, token in zip(("dataset", "unlabelled"), RESPONSE, strict=True)
    ]
    views = {"student": Given(STUDENT), "teacher": Given(TEACHER)}
    views["student"].read = lambda batch, layers: (STUDENT, {-1: STUDENT})
    return distillation_loss(terms, Batch(rows), views).value


def of_head_b():
    """The teacher's loss on E2 by a head that gives the student's logits as they are."""
    objective = methods.get("dho")().triple().terms[1].objective
    hidden, parts = {("student", -1): STUDENT}, {"teacher_head": torch.nn.Identity()}
    targets = torch.tensor(RESPONSE)
    return objective.token(Chunk(None, {"teacher": TEACHER}, targets, hidden=hidden, parts=parts))


def among_words():
    """Label and teacher over the words 0 and 2 at the first token of E2."""
    terms = methods.get("dho")(heads=1, label_field="label").triple().terms
    found = []
    for term in terms[:2]:
        term.objective.words = LabelWords(("a", "b"), (0, 2))
        plan = {"at_label": torch.tensor([1.0, 0.0])}
        chunk = Chunk(STUDENT, {"teacher": TEACHER}, torch.tensor(RESPONSE), plan)
        found += term.objective.token(chunk).tolist()
    return found


VALUES = [
    HandValue("mixture", (0.515857, 0.385874, 0.098269), lambda: mixed(0.5)),
    HandValue("mixture of head a alone", (0.786986, 0.106507, 0.106507), lambda: mixed(1)),
    HandValue("mixture of head b alone", (0.244728, 0.665241, 0.090031), lambda: mixed(0)),
    HandValue("mixture, temperature 1", (0.547091, 0.306494, 0.146415), lambda: mixed(0.5, 1)),
    HandValue("a labelled and an unlabelled token", 1.976188, two_rows),
    HandValue("teacher's loss of head b", (0.234455, 0.566243), of_head_b),
    # -log(e / (e + 1)); 4 KL((σ(1), σ(-1)) ‖ (σ(.5), σ(-.5))): p's logits differ by 2, q's by 1
    HandValue("losses among words", (0.313262, 0, 0.105378, 0), among_words),
    # .5 (2, 0, 0) + .5 (.5, 1, 0) / .5
    HandValue("log-linear head", (1.5, 1, 0), lambda: merged_weights(Z_A, Z_B, 0.5, 0.5)),
]
