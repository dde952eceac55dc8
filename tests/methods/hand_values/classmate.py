"""Classmate, by numpy, with the classmate's logits (0, 1, 0, 1) and (1, 0, 0, 0)."""

import torch

from tests.methods.hand_values import HandValue, chunk, loss, objective_of, tokens

CLASSMATE = torch.tensor([[0, 1, 0, 1], [1, 0, 0, 0]], dtype=torch.float64)


def of(**options):
    return tokens(objective_of("classmate", 1, **options), chunk(classmate=CLASSMATE))


def target():
    return objective_of("classmate", 1).target(chunk(classmate=CLASSMATE), "zero").exp()


def by_the_target():
    """(1-λ) KL(q‖p̃) - (1-λ) log Z, which is what `subtract` must be (`methods.md` 4.2)."""
    guided = objective_of("classmate", 1, plausibility=0, divergence="reverse_kl")
    at = chunk(classmate=CLASSMATE)
    log_c = CLASSMATE.log_softmax(-1)
    log_z = (1.25 * at.log_p - 0.25 * log_c).logsumexp(-1)
    return 0.8 * (guided.token(at) - log_z)


VALUES = [
    HandValue(
        "target",
        ((0.766157, 0.170953, 0.062890, 0), (0, 0, 0.924142, 0.075858)),
        target,
    ),
    HandValue("each token", (0.418623, 0.872989), of),
    HandValue(
        "mean on student samples",
        0.645806,
        lambda: loss("classmate", {}, "student", classmate=CLASSMATE),
    ),
    HandValue(
        "KL(p‖q) on the dataset", 0.369714, lambda: loss("classmate", {}, classmate=CLASSMATE)
    ),
    HandValue("subtract", (0.186776, 0.511237), lambda: of(form="subtract")),
    HandValue("subtract, by the target", (0.186776, 0.511237), by_the_target),
]
