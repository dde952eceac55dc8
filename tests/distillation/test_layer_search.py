"""The search for the layers of a pruned student, against values worked out by hand."""

import json

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from kdbench.distillation import layer_search
from kdbench.distillation.layer_search import relation_distance, search_layers, simple_rules
from kdbench.distillation.pruning import prune
from kdbench.distillation.students import StudentSource, check_student
from kdbench.errors import InputError
from kdbench.training import Example


def states(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_the_distance_of_relations_is_the_one_worked_out():
    """`seeds.md` 5.8; of channels, its Gram matrices are divided by 2 and not by 4."""
    of_rows = relation_distance(states((1, 0), (1, 1)), states((1, 1), (0, 1)))
    of_channels = 2 * relation_distance(states((1, 0), (1, 1)), states((1, 2), (0, 1)))
    assert float(of_rows) == pytest.approx(0.051317, abs=6e-7)
    assert float(of_channels) == pytest.approx(0.280855, abs=6e-7)
    assert -float(of_rows + of_channels) == pytest.approx(-0.332172, abs=6e-7)


def test_scale_rotation_and_width_do_not_count():
    given = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turned, _ = torch.linalg.qr(given.T @ given)
    wider = torch.nn.functional.pad(given @ turned * 7, (0, 2))
    assert float(relation_distance(given, wider)) < 1e-20


def test_the_simple_rules():
    assert simple_rules(12, 6) == {
        "first+last": (0, 1, 2, 9, 10, 11),
        "every second": (0, 2, 4, 6, 8, 10),
    }


def model(layers=4):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).eval()


EXAMPLES = [
    Example(f"row-{n}", (3, 4 + n % 7), tuple((n * k) % 37 + 2 for k in range(1, 9)))
    for n in range(60)
]


def test_a_layer_that_does_nothing_is_the_one_that_goes():
    given = model()
    for name in ("self_attn.o_proj", "mlp.down_proj"):
        given.model.layers[1].get_submodule(name).weight.data.zero_()
    for metric in ("kl", "relation"):
        found = search_layers(given, 3, metric, EXAMPLES, 0)
        assert found.layers == (0, 2, 3)
        assert found.tried == len(found.ranking) == 4
        assert found.ranking[0].kl == pytest.approx(0, abs=1e-6)
        assert set(found.baselines) == {"first+last", "every second", "lowest KL"}
        assert found.baselines["first+last"].layers == (0, 1, 3)
        distances = [candidate.by(metric) for candidate in found.ranking]
        assert distances == sorted(distances)


def test_the_shared_copy_is_the_pruned_model():
    given, ids = model(), torch.arange(3, 12)[None]
    for kept in ((0, 3), (1, 2), (2,)):
        shared, copied = prune(given, kept, shared=True), prune(given, kept)
        torch.testing.assert_close(shared(input_ids=ids).logits, copied(input_ids=ids).logits)
        assert shared.model.layers[0].mlp.up_proj.weight.data_ptr() == (
            given.model.layers[kept[0]].mlp.up_proj.weight.data_ptr()
        )


def test_a_search_is_equal_for_an_equal_seed():
    given = model()
    first, again, other = (search_layers(given, 2, "kl", EXAMPLES, seed) for seed in (1, 1, 2))
    assert first.in_card() == again.in_card()
    assert first.in_card() != other.in_card()
    assert json.loads(json.dumps(first.in_card())) == first.in_card()
    kept = ", ".join(map(str, first.layers))
    nearness = f"{first.ranking[0].kl:.3f} nats per token (first and last layers: "
    assert str(first).startswith(f"layers {kept} are kept, of 6 sets that were tried: ")
    assert nearness in str(first)


def test_deep_models_lose_one_layer_at_a_time(monkeypatch):
    given = model()
    for name in ("self_attn.o_proj", "mlp.down_proj"):
        for layer in (1, 2):
            given.model.layers[layer].get_submodule(name).weight.data.zero_()
    monkeypatch.setattr(layer_search, "EXHAUSTIVE", 3)
    found = search_layers(given, 2, "kl", EXAMPLES, 0)
    assert found.layers == (0, 3)
    assert found.tried == 4 + 3


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("search:teacher,layers=2,metric=best", "must be search:MODEL,layers=N,metric=kl|relation"),
        ("search:teacher", "must be search:MODEL,layers=N"),
        ("search:teacher,layers=2", "teacher= is missing"),
    ],
)
def test_a_faulty_search_is_refused(spec, fault):
    with pytest.raises(InputError) as caught:
        check_student(spec, None)
    assert fault in str(caught.value)


def test_a_student_is_loaded_with_the_layers_that_are_found(world):
    from kdbench.checkpoint import find_checkpoint

    teacher = find_checkpoint(str(world.teacher), key="teacher")
    source = StudentSource("search:teacher,layers=1,metric=relation", teacher, 0)
    source.examples = EXAMPLES
    source.check()
    student = source.load("cpu")
    assert student.config.num_hidden_layers == 1
    assert source.search is not None
    whole, kept = source.search, source.search.layers[0]
    assert source.load("cpu").config.num_hidden_layers == 1
    assert source.search is whole
    expected = source_weights(teacher)[f"model.layers.{kept}.mlp.up_proj.weight"]
    assert torch.equal(student.model.layers[0].mlp.up_proj.weight, expected)
    assert source.identity["search"] == "relation"
    with pytest.raises(InputError, match="layers=9"):
        StudentSource("search:teacher,layers=9", teacher, 0).check()


def source_weights(teacher):
    from safetensors.torch import load_file

    return load_file(teacher.path / "model.safetensors")
