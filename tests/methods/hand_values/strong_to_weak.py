"""Strong-to-weak; `seeds.md` 7.8, from the values of 0.2."""

from kdbench.methods import methods
from kdbench.training.stage import steps_of
from tests.methods.hand_values import HandValue, tokens


def stage(number, **options):
    (term,) = methods.get("strong_to_weak")(**options).stages()[number].triple.terms
    return tokens(term.objective)


def steps(share, total):
    return steps_of(methods.get("strong_to_weak")(first_share=share).stages(), total)


VALUES = [
    HandValue("first stage, cross-entropy", (1.175490, 0.961841), lambda: stage(0)),
    HandValue("second stage, KL(q‖p)", (0.244922, 0.562931), lambda: stage(1)),
    HandValue("w = 0, KL(p‖q)", (0.244744, 0.494684), lambda: stage(1, teacher_weight=0)),
    HandValue("w = .5", (0.059831, 0.124793), lambda: stage(1, teacher_weight=0.5)),
    HandValue("steps of the stages", (25, 75), lambda: steps(0.25, 100), 1e-12),
]
