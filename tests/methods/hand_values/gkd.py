"""GKD: generalised Jensen-Shannon with the teacher's weight; `seeds.md` 0.2."""

from tests.methods.hand_values import HandValue, loss, objective_of, tokens


def of(teacher_weight):
    return tokens(objective_of("gkd", teacher_weight=teacher_weight))


VALUES = [
    HandValue("weight .9", (0.021855, 0.048784), lambda: of(0.9)),
    HandValue("mean at .9", 0.035320, lambda: loss("gkd", {"teacher_weight": 0.9}, "student")),
    HandValue("weight .5", (0.059831, 0.124793), lambda: of(0.5)),
    HandValue("weight 0, KL(p‖q)", (0.244744, 0.494684), lambda: of(0)),
    HandValue("weight 1, KL(q‖p)", (0.244922, 0.562931), lambda: of(1)),
]
