"""What is particular to a method in the conformance suite: variants, and facts that cannot hold.

A fact that does not hold by design is excepted here by name, with the reason.
"""

from types import SimpleNamespace

import torch

from tests.methods.hand_values import WithHead

# Methods with other keys than the default ones, each of which is tested as well.
VARIANTS = [
    ("abkd", {"alpha": 0, "beta": 1}),
    *[("abkd", {"alpha": a, "beta": b}) for a, b in ((0.5, 0), (0, 0.5), (0.5, -0.5), (0, 0))],
    ("akl", {"head_mass": 0.8}),
    ("akl", {"boundary": "head"}),
    ("adpa", {"advantage_limit": 0.5}),
    ("adpa", {"anchor_weight": 0.1}),
    ("adpa", {"dckd_share": 0.5}),
    ("bdkd", {"ce_weight": 1, "teacher_learns": True}),
    ("classmate", {"plausibility": 0}),
    ("classmate", {"divergence": "jsd"}),
    ("classmate", {"divergence": "reverse_kl"}),
    ("classmate", {"form": "subtract"}),
    ("classmate", {"form": "subtract", "strength": 1.0, "clamp": 0.5}),
    *[("classmate", {"classmate": kind}) for kind in ("frozen", "ema", "teacher", "uniform")],
    ("dho", {"heads": 1}),
    ("dho", {"label_field": "label"}),
    ("distillm", {"direction": "forward"}),
    ("dual_head", {"heads": 1}),
    ("dual_head", {"centre": False}),
    ("distillm", {"skew": 0}),
    ("context_sd", {"refresh": "ema"}),
    ("distillm2", {"adaptive_skew": True, "growing_weight": True}),
    ("distillm2", {"skew": 0}),
    ("first", {"target_temperature": 2}),
    ("first", {"smoothing": 0.1}),
    ("first", {"tail": "bucket", "top_k": 3}),
    ("gkd", {"teacher_weight": 0}),
    ("gkd", {"teacher_weight": 0.1}),
    ("gkd", {"teacher_weight": 1}),
    ("iterated", {"target": "anchored"}),
    ("iterated", {"target": "anchored", "anchor_mean": "arithmetic", "truth_weight": 0.5}),
    ("kd", {"temperature": 2}),
    ("kd", {"kd_ratio": 1}),
    ("logit_std", {"over": 3}),
    ("dskd", {"kd_ratio": 1, "temperature": 1}),
    ("dskd", {"attention": True}),
    *[("gold", {"teacher_weight": weight}) for weight in (0, 0.9, 1)],
    ("gold", {"place": "last", "student_fraction": 0}),
    ("uld", {"matching": "text"}),
    ("minillm", {"clip": 0.05}),
    ("minillm", {"single_step": 0}),
    ("opsd", {"clip": 0.02, "clip_per": "entry", "temperature": 2}),
    ("opsd", {"clip": 0.1, "top_k": 3}),
    ("opsd", {"form": "sampled"}),
    ("ofa", {"exits": (1,)}),
    ("ofa", {"exits": (1, 2), "power": 1, "rank": 3}),
    ("mixup", {"scaled": True}),
    ("mst", {"gate": "student"}),
    ("mst", {"routing": "hard"}),
    ("nd", {"aspect": "direction"}),
    ("nd", {"aspect": "norm"}),
    ("rkl", {"student_fraction": 1}),
    ("sdft", {"top_k": 3}),
    ("sdft", {"top_k": 3, "tail": True}),
    ("sdpo", {"distillation_weight": 0.5}),
    ("seqkd", {"kd_ratio": 0.5}),
    ("taid", {"start": 0}),
    ("taid", {"start": 1}),
    ("strong_to_weak", {"teacher_weight": 0}),
    ("trrd", {"old_share": 0}),
    ("trrd", {"old_share": 1}),
    ("trg", {"relation": "knn"}),
    ("weak_to_strong", {"own_weight": 0}),
    *[("weak_to_strong", {"responses": whose}) for whose in ("fresh", "dataset")],
]

# What an objective is shown before the first step, by method: the student's head for `ofa`, unit
# vectors of classes for `nd`, of which that of the first token counts nothing.
HEAD = torch.nn.Linear(8, 11, bias=False, dtype=torch.float64)
UNIT = torch.nn.functional.normalize(torch.arange(88.0).view(11, 8).double().sin(), dim=-1)
CONTEXTS = {
    "ofa": SimpleNamespace(student=WithHead(HEAD), vocabulary=11),
    "nd": SimpleNamespace(statistics={"directions": UNIT * (torch.arange(11) > 2)[:, None]}),
}

DERIVATIVE = "the_gradient_is_the_derivative"
EVERY_NUMBER = "every_number_of_the_objective_reaches_the_loss"
MICRO_BATCHES = "micro_batches_add_up_to_the_step"
ONE_ROW = "a_longer_row_does_not_change_a_rows_share"
PART = "every_part_gets_a_gradient"
PERMUTED = "a_permuted_vocabulary_changes_nothing"
CHUNKS = "chunks_do_not_change_loss_and_gradient"
FLOAT16 = "logits_of_40_in_float16_give_a_finite_loss_and_gradient"
NO_VIEW = "no_gradient_flows_into_a_view"

# Facts that do not hold by design, by what the text of a term or the name of a case begins with.
BY_DESIGN: dict[str, tuple[str, ...]] = {
    # The divergence of p/q to the power .5 is e^40 there, and its gradient beyond float16.
    "abkd(alpha=0.5,beta=-0.5": (FLOAT16,),
    # A part of these losses is detached on purpose.
    "cross_entropy(interpolated)": (DERIVATIVE,),  # the student's part of the target
    "sampled_reverse_kl": (DERIVATIVE,),  # the reward
    "adaptive_kl": (DERIVATIVE,),  # the weights
    "token_wise_kl": (DERIVATIVE,),
    "token_selective": (DERIVATIVE,),  # the gate
    "ratio_weighted_informed_jsd": (DERIVATIVE,),  # the ratio
    "skewed_by_writer(rejected": (DERIVATIVE,),  # the student's share in the mixture
    "controlled": (DERIVATIVE,),
    "routed_kl": (DERIVATIVE,),  # the gate's input, and the gate unless the KL trains it
    "chosen_teachers_loss": (DERIVATIVE,),
    "two_spaces": (DERIVATIVE,),  # the projected teacher as a target
    # The fact does not rename the prompt's last token, which attention reads.
    "cross_model_attention": (DERIVATIVE, PERMUTED),
    "balance": (DERIVATIVE, MICRO_BATCHES, ONE_ROW, NO_VIEW, CHUNKS),  # only the gate learns
    # Relations of the tokens of a micro-batch.
    "local_relations": (MICRO_BATCHES, ONE_ROW),
    "global_relations": (MICRO_BATCHES, ONE_ROW),
    # Tokens have an order or a meaning of their own.
    "norm_and_direction": (PERMUTED,),  # a class has its direction
    "trg()-1": ("no_gradient_leaves_the_response_positions",),  # one token has no relations
    "exit_": (PERMUTED,),  # the student's head
    "dho(label_field": (PERMUTED,),  # words of labels
    "dho()-1": (PERMUTED,),  # the further head
    "dho()-2": (PERMUTED,),
    # Models of one width have no projector; see test_states.py.
    "nd(": (PART,),
    # The vocabulary here is smaller than the numbers of tokens.
    "pld": (EVERY_NUMBER,),
    "eopd": (EVERY_NUMBER,),
    "pretrain_kd": (EVERY_NUMBER,),
    "sdft": (EVERY_NUMBER,),
    "sdpo": (EVERY_NUMBER,),
    "trg": (EVERY_NUMBER,),
    "grpo": (EVERY_NUMBER,),  # without a teacher, whom any other share than 1 needs
    # The ratio of a token that the others rule out has no bound, nor has its gradient.
    "clipped_ratio": (FLOAT16,),
    "classmate(form=subtract": (EVERY_NUMBER,),  # `plausibility` is in its diagnostics alone
    "classmate(classmate=teacher": (EVERY_NUMBER,),  # which changes nothing
}

# Keys that a method uses elsewhere than in its losses, source, schedule, companions and parts, or
# in a form that is not the default.
EXCEPT_KEYS: dict[str, set[str]] = {
    "minillm": {"discount", "reward_scale", "reward_clip"},  # at sampling; see test_formulas.py
    "classmate": {"clamp"},
    "bdkd": {"peer_weight", "teacher_rate"},  # of teacher_learns=true; see test_logit_methods.py
    "context_sd": {"decay"},
    "dho": {"mixture_weight", "mixture_temperature", "heads"},  # measured, or merged into the head
    "dual_head": {"heads"},  # 1 or 2
    "iterated": {"anchor_share"},
    "nd": {"least_seen"},  # in its preparation; see test_states.py
    "ofa": {"exit_weight", "rank", "part_rate"},  # of exits=; see test_logit_methods.py
    "tgeo": {"average_rows"},  # in its preparation; see test_tgeo.py
    "trg": {"neighbours", "spread"},
}
