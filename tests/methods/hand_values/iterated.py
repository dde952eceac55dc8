"""Iterated self-distillation; `seeds.md` 4.3 and 4.5.

The spectral values are kernel ridge regression in the eigenvectors of the kernel, where S is a
number for each: f_n = S (a y + (1-a) f_{n-1}), f_0 = S y.
"""

import torch

from kdbench.methods import methods
from kdbench.methods.iterated import anchored, blend
from tests.methods.hand_values import RESPONSE, TEACHER, HandValue, chunk, gradient, tokens


def later(**options):
    """The objective of the second generation."""
    (term,) = methods.get("iterated")(**options).stages()[1].triple.terms
    return term.objective


def mean(truth_weight):
    return tokens(later(truth_weight=truth_weight)).mean()


def kl_form(truth_weight):
    """KL(t‖q) to the target t = a 1_y + (1-a) p: without the entropy of the target."""
    label = torch.nn.functional.one_hot(torch.tensor(RESPONSE), 4).double()
    target = blend(label, TEACHER.softmax(-1), truth_weight)
    return mean(truth_weight) + (target * target.log()).sum(-1).mean()


def errors(truth_weight, generations):
    """The squared error to the truth by generation, as far as `generations` names them."""
    eigenvalues = torch.tensor([4, 1, 0.25], dtype=torch.float64)
    truth = torch.tensor([1, 0.5, 0], dtype=torch.float64)
    noisy = truth + torch.tensor([0.1, 0.2, 0.8], dtype=torch.float64)
    shrink = eigenvalues / (eigenvalues + 0.1)
    fitted, found = shrink * noisy, []
    for number in range(max(generations) + 1):
        if number:
            fitted = shrink * blend(noisy, fitted, truth_weight)
        found.append(float((fitted - truth).square().sum()))
    return [found[number] for number in generations]


def contraction(share, kind, steps=5):
    """KL(p_0‖q_n) of a student that learns its target exactly."""
    anchor = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64).log()
    student, found = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).log(), []
    for _ in range(steps):
        found.append(float((anchor.exp() * (anchor - student)).sum()))
        student = anchored(anchor, student, share, kind)
    return found


def mixed_first(share):
    """The first generation's loss on E2 between a uniform anchor and the student before it."""
    options = {"target": "anchored", "first_target": "mixed", "anchor_model": "x"}
    method = methods.get("iterated")(truth_weight=0, anchor_share=share, **options)
    (term,) = method.stages()[0].triple.terms
    at = chunk(teacher=torch.full_like(TEACHER, torch.nan), start=TEACHER, anchor=TEACHER * 0)
    return term.objective.token(at)


def anchored_loss(share):
    """KL(t‖q) on E2 with the anchor of a uniform distribution."""
    objective = later(target="anchored", truth_weight=0, anchor_share=share, anchor_model="x")
    return objective.token(chunk(anchor=torch.zeros_like(TEACHER)))


VALUES = [
    *[
        HandValue(f"label weight {weight:g}", expected, lambda weight=weight: mean(weight))
        for weight, expected in ((0, 1.208592), (0.25, 1.173610), (0.5, 1.138629), (1, 1.068666))
    ],
    HandValue("KL form", 0.308757, lambda: kl_form(0.25)),
    # q - (.25 1_y + .75 p), from the probabilities of seeds.md 0.2.
    HandValue(
        "gradient of the first token",
        (-0.424268, 0.331245, 0.048194, 0.044829),
        lambda: gradient(later(truth_weight=0.25))[0],
    ),
    HandValue(
        "kernel ridge, no labels",
        (
            0.350480,
            0.174970,
            0.086131,
            0.043858,
            0.027168,
            0.024936,
            0.031148,
            0.042465,
            0.056970,
            0.073511,
        ),
        lambda: errors(0, range(10)),
    ),
    HandValue("kernel ridge, no labels, in the end", 1.25, lambda: errors(0, [2000])[0]),
    HandValue(
        "kernel ridge, label weight .25",
        (0.350480, 0.213094, 0.152535, 0.123961, 0.109822, 0.102610),
        lambda: errors(0.25, range(6)),
    ),
    HandValue(
        "kernel ridge, label weight .25, in the end", 0.094675, lambda: errors(0.25, [99])[0]
    ),
    HandValue("kernel ridge, label weight .5, in the end", 0.206743, lambda: errors(0.5, [99])[0]),
    HandValue("kernel ridge, labels alone", (0.350480, 0.350480), lambda: errors(1, [0, 9])),
    HandValue(
        "contraction, geometric",
        (0.634897, 0.146330, 0.033896, 0.008100, 0.001977),
        lambda: contraction(0.5, "geometric"),
    ),
    HandValue(
        "contraction, arithmetic",
        (0.634897, 0.154793, 0.044826, 0.012797, 0.003500),
        lambda: contraction(0.5, "arithmetic"),
    ),
    HandValue("no contraction", (0.634897, 0.634897), lambda: contraction(0, "geometric", 2)),
    HandValue("contraction in one step", (0.634897, 0), lambda: contraction(1, "geometric", 2)),
    HandValue("first of a mixture, no anchor", (0.244744, 0.494684), lambda: mixed_first(0)),
    # -log 4 - the mean of log q
    HandValue("first of a mixture, anchor alone", (0.289196, 0.100547), lambda: mixed_first(1)),
    # seeds.md 0.2: KL(p‖q) without an anchor.
    HandValue("without an anchor", (0.244744, 0.494684), lambda: anchored_loss(0)),
]
