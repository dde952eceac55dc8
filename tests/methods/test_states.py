"""Methods with heads, hidden states and gates: parts, resume, and what hand values do not show."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

import kdbench
from kdbench.errors import InputError
from kdbench.methods import methods
from kdbench.methods.nd import NormAndDirection
from kdbench.testing import cases_of
from kdbench.toy.models import World
from kdbench.training import Batch, Chunk, Example, Rollout, Sizes
from kdbench.training.experts import BestByField
from kdbench.training.parts import Parts
from kdbench.training.relations import sampled_tokens
from kdbench.training.source import keyed_uniform
from kdbench.training.sources.mixed import MixedRows
from kdbench.training.sources.validation_rows import WithValidation
from kdbench.training.trainer import DistillationTrainer

FEW: dict[str, Any] = {
    "steps": 4,
    "batch_size": 4,
    "limit": 16,
    "learning_rate": 1e-2,
    "validation_limit": 2,
    "validate_every": 100,
    "max_new_tokens": 2,
    "select": "last",
    "save_every": 1,
    "log_every": 1,
    "device": "cpu",
    "precision": "float32",
}
# The keys with which the parts of a method have no weight in its loss.
WEIGHTLESS = {
    "dual_head": {"matching_weight": 0},
    "trg": {"global_weight": 0},
    "nd": {"weight": 0},
    "talking": {"interaction_weight": 0, "message_weight": 0, "state_weight": 0},
    "mst": {"balance_weight": 0, "gate": "student", "routing": "average"},
}
WITH_PARTS = list(WEIGHTLESS)


def train(world: World, out: Path, name: str, **settings: Any) -> Any:
    both = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    if name == "mst":
        settings = {"teachers": [world.teacher, world.student], "category": "category", **settings}
        settings = {**settings, "validation_limit": 60}
    return kdbench.train(**{**FEW, **both, "method": name, "out": out, **settings})


def swapped(model: Path, folder: Path) -> Path:
    """A copy of a checkpoint in whose tokenizer two tokens have changed places."""
    shutil.copytree(model, folder)
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    vocabulary = content["model"]["vocab"]
    vocabulary["!"], vocabulary["#"] = vocabulary["#"], vocabulary["!"]
    file.write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("mst", "teachers"),
        ("adpa", "reference_model"),
        ("classmate", "classmate_model"),
        ("lelp", "teacher"),
    ],
)
def test_a_model_of_another_tokenizer_is_refused_before_a_model_is_loaded(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, key: str
) -> None:
    other = swapped(world.teacher, tmp_path / "other")
    rows = tmp_path / "rows.jsonl"
    lines = [
        {"instruction": "Say", "output": word, "label": word, "chosen": word, "rejected": "no"}
        for word in ("one", "two") * 8
    ]
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings: dict[str, Any] = {key: [world.teacher, other] if key == "teachers" else str(other)}
    if name in ("adpa", "lelp"):
        settings |= {"train_set": str(rows), "valid_set": str(rows)}
    monkeypatch.setattr("kdbench.distillation.students.StudentSource.load", None)
    monkeypatch.setattr("kdbench.distillation.ingredients.load_teacher", None)
    with pytest.raises(InputError, match="different tokenizers") as refused:
        train(world, tmp_path / "out", name, **settings)
    assert key in str(refused.value)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("name", WITH_PARTS)
def test_a_part_gets_no_gradient_from_a_weight_of_0(name: str) -> None:
    triple = methods.get(name)(**WEIGHTLESS[name]).triple()
    *_, case = cases_of(triple, name)
    parts = case.parts(torch.float32)
    for term in triple.terms:
        if term.weight == 0 or str(term.objective) == "chosen_teachers_loss":
            continue
        other = replace(case, term=term)
        rows = other.rollouts()
        other.loss(rows, other.views(rows, torch.float32), parts).value.backward()
    gradients = [p.grad for module in parts.values() for p in module.parameters()]
    assert not any(gradient is not None and bool(gradient.any()) for gradient in gradients)


@pytest.mark.parametrize("name", WITH_PARTS)
def test_a_killed_run_ends_with_the_same_weights_and_parts_and_saves_no_other_tensor(
    name: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[dict[str, Any]] = []
    restore, step = Parts.restore, DistillationTrainer.training_step

    def listening(self: Parts, folder: Path) -> None:
        restore(self, folder)
        states = {key: module.state_dict() for key, module in self.modules.items()}
        found.append(
            {f"{key}.{n}": v.clone() for key, state in states.items() for n, v in state.items()}
        )

    def stop(self: Any, *arguments: Any) -> Any:
        if self.state.global_step >= 2:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(Parts, "restore", listening)
    train(world, tmp_path / "one", name)
    with pytest.MonkeyPatch.context() as interrupting:
        interrupting.setattr(DistillationTrainer, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(world, tmp_path / "two", name)
    train(world, tmp_path / "two", name)
    one, two = ((tmp_path / run / "model.safetensors").read_bytes() for run in ("one", "two"))
    assert one == two
    assert found[0].keys() == found[-1].keys() != set()
    assert all(torch.equal(found[0][key], found[-1][key]) for key in found[0])
    _, info = AutoModelForCausalLM.from_pretrained(tmp_path / "one", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert not list((tmp_path / "one").glob("*.pt"))


def test_the_second_head_is_the_students_before_training_and_does_not_reach_the_first(
    world: World,
) -> None:
    """Of the loss on the second head, the student's own head gets nothing."""
    student = AutoModelForCausalLM.from_pretrained(world.student)
    config, vocabulary = student.config, student.config.vocab_size - 3
    sizes = Sizes({"student": config.hidden_size}, {"student": 2}, vocabulary)
    triple = methods.get("dual_head")(rank=2).triple()
    head = triple.parts["second_head"].build(sizes)
    objective = triple.terms[1].objective
    objective.begin(SimpleNamespace(parts={"second_head": head}, student=student))
    states = torch.randn(3, config.hidden_size, requires_grad=True)
    own = student.lm_head(states)[:, :vocabulary]
    torch.testing.assert_close(head(states), own)
    views = {"teacher": torch.randn(3, vocabulary)}
    parts, hidden = {"second_head": head}, {("student", -1): states}
    chunk = Chunk(own, views, torch.tensor([1, 2, 3]), hidden=hidden, parts=parts)
    objective.token(chunk).sum().backward()
    assert states.grad is not None
    assert states.grad.any()
    assert student.lm_head.weight.grad is None


def test_a_projector_of_nd_maps_to_the_teachers_width_and_learns() -> None:
    part = methods.get("nd")().triple().parts["projector"]
    widths = {"student": 3, "teacher": 5}
    projector = part.build(Sizes(widths, dict.fromkeys(widths, 2), 7))
    same = part.build(Sizes(dict.fromkeys(widths, 4), dict.fromkeys(widths, 2), 7))
    assert not list(same.parameters())
    objective = NormAndDirection()
    directions = torch.nn.functional.normalize(torch.randn(7, 5), dim=-1)
    directions[2] = 0  # seen too rarely
    objective.begin(SimpleNamespace(statistics={"directions": directions}))
    hidden = {("student", -2): torch.randn(2, 3), ("teacher", -2): torch.randn(2, 5)}
    chunk = Chunk(None, {}, torch.tensor([1, 2]), hidden=hidden, parts={"projector": projector})
    losses = objective.token(chunk)
    assert losses[0] != 0
    assert losses[1] == 0
    losses.sum().backward()
    assert projector.weight.grad.any()


def test_nd_finds_the_mean_state_before_each_token() -> None:
    states = torch.tensor([[3.0, 0], [0, 4], [1, 1], [5, 5]])
    batch = SimpleNamespace(targets=torch.tensor([1, 1, 2, 3]))
    preparation = SimpleNamespace(
        vocabulary=4, device="cpu", batches=lambda: [batch], hidden=lambda view, b, layer: states
    )
    found = methods.get("nd")(least_seen=2).prepare(preparation)["directions"]
    expected = torch.tensor([[0, 0], [0.6, 0.8], [0, 0], [0, 0]])
    torch.testing.assert_close(found, expected)
    assert methods.get("nd")(targets="head").prepare(preparation) == {}


def test_the_tokens_that_are_related_hang_on_the_rows_alone() -> None:
    rows = [Rollout(f"row-{n}", (5,), tuple(range(50)), "dataset") for n in range(8)]
    first = sampled_tokens(Batch(rows), 256)
    assert torch.equal(first, sampled_tokens(Batch(rows), 256))
    assert len(first) == 256 == len(first.unique())
    others = sampled_tokens(Batch([replace(row, id=f"{row.id}x") for row in rows]), 256)
    assert not torch.equal(first, others)
    assert sampled_tokens(Batch(rows[:2]), 256).tolist() == list(range(100))


def example(name: str, response: tuple[int, ...], **fields: Any) -> Example:
    return Example(name, (5, 6), response, fields=fields)


def test_validation_rows_come_with_each_step_and_only_the_gate_learns_from_them() -> None:
    train_rows = [example(f"t{n}", (7, 8)) for n in range(4)]
    source = WithValidation(3)
    source.begin(SimpleNamespace(valid=[example(f"v{n}", (9,)) for n in range(50)]))

    def drawn(step: int, process: int = 0, processes: int = 1) -> list[Rollout]:
        known = {"examples": train_rows, "process": process, "processes": processes}
        own = partial(keyed_uniform, step, process)
        return source.rollouts(SimpleNamespace(own_uniform=own, **known))

    rows = drawn(0)
    # Several processes add as many in all.
    assert [len(drawn(0, process, 2)) - 4 for process in range(2)] == [2, 1]
    assert [row.origin for row in rows] == ["dataset"] * 4 + ["validation"] * 3
    assert rows == drawn(0) != drawn(1)
    triple = methods.get("mst")().triple()
    assert all(term.on for term in triple.terms)
    on_validation = [term for term in triple.terms if "validation" in term.on]
    assert [str(term.objective) for term in on_validation] == ["chosen_teachers_loss"]
    assert not on_validation[0].objective.needs_logits


def test_the_gate_finds_the_better_teacher_of_each_kind_of_state() -> None:
    """Two kinds of response; each teacher predicts one of them."""
    triple = methods.get("mst")().triple()
    (chosen,) = [term for term in triple.terms if "validation" in term.on]
    gate = triple.parts["gate"].build(Sizes({"student": 2}, {"student": 1}, 3))
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.1)
    states = torch.tensor([[1.0, 0], [0, 1.0]])
    sure, wrong = torch.tensor([4.0, 0, 0]), torch.tensor([0, 4.0, 0])
    views = {"t1": torch.stack([sure, wrong]), "t2": torch.stack([wrong, sure])}
    chunk = Chunk(None, views, torch.tensor([0, 0]), {"mean_state": states}, parts={"gate": gate})
    for _ in range(200):
        optimizer.zero_grad()
        chosen.objective.token(chunk).sum().backward()
        optimizer.step()
    weights = gate(states).softmax(-1)
    assert weights[0, 0] > 0.95
    assert weights[1, 1] > 0.95


def test_rows_of_a_kind_that_validation_lacks_are_refused() -> None:
    best = BestByField("category", ("t1", "t2"))
    valid = [example("v", (7,), category="sum")]
    best.check([example("a", (7,), category="sum")], valid)
    with pytest.raises(InputError, match=r"^row 'b': no validation row has its category=sort"):
        best.check([example("b", (7,), category="sort")], valid)
    with pytest.raises(InputError, match=r"^row 'v' has no field 'kind'"):
        BestByField("kind", ()).check([], valid)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"teachers": ()}, r"^teachers= is missing: method=mst chooses between two"),
        ({"routing": "hard", "gate": "student"}, r"gives the gate no gradient"),
        ({"category": None, "routing": "known"}, r"routing=known: pass category="),
        ({"teachers": ["missing", "absent"]}, r"^teachers=missing: "),
        ({"category": "nothing"}, r"needs the field 'nothing'"),
    ],
)
def test_what_mst_cannot_route_is_refused_before_a_model_is_loaded(
    settings: dict[str, Any], message: str, world: World, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("kdbench.distillation.ingredients.Ingredients.load_student", None)
    with pytest.raises(InputError, match=message):
        train(world, tmp_path / "out", "mst", **settings)


def test_partners_and_shares_are_keyed_and_alike_on_every_view() -> None:
    rows = [example(f"row-{n}", tuple(range(7, 8 + n))) for n in range(6)]

    def drawn(step: int, **options: Any) -> list[Rollout]:
        keyed = {"own_uniform": lambda name: hash((step, name)) % 10**6 / 10**6}
        return MixedRows(**options).rollouts(SimpleNamespace(examples=rows, **keyed))

    mixed = drawn(0)
    assert mixed == drawn(0) != drawn(1)
    for row in mixed:
        assert row.mix is not None
        assert row.mix.partner.id != row.id
        its, count = row.mix.partner.response_ids, len(row.response_ids)
        padded = (*its[:count], *row.response_ids[len(its) :])
        assert row.recorded["partner_token"] == padded
        shares = (row.mix.share,) * min(count, len(its))
        assert row.recorded["own_share"] == (*shares, *(1.0,) * (count - len(its)))
    assert all(row.mix is None for row in drawn(0, share=0.0))
    with pytest.raises(InputError, match=r"^batch_size=1: rows are mixed"):
        MixedRows().prompts_per_step(1)
    alike = [row.mix.share for n in range(50) for row in drawn(n, spread=0.2) if row.mix]
    assert sum(not 0.1 < share < 0.9 for share in alike) > len(alike) / 2  # near 0 or 1


def test_mixup_logs_what_the_teacher_makes_of_a_mixture(world: World, tmp_path: Path) -> None:
    train(world, tmp_path / "mixed", "mixup", save_every=None)
    lines = (tmp_path / "mixed" / "training.jsonl").read_text().splitlines()
    logged = [line for line in map(json.loads, lines) if "mixup/share" in line]
    assert len(logged) == 4
    assert all(0 < line["mixup/share"] < 1 < 10 * line["mixup/teacher_entropy"] for line in logged)
