"""Students made from a teacher's outer layers or from random weights."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from kdbench.checkpoint import find_checkpoint
from kdbench.distillation.pruning import check_prunable, prune
from kdbench.distillation.students import StudentSource, turn_dropout_off
from kdbench.errors import InputError
from kdbench.toy.models import World

LAYERS = 6
SMALL = {"vocab_size": 40, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": LAYERS}
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
LLAMA = {**SMALL, **ENDS, "num_key_value_heads": 2, "intermediate_size": 32}
SLIDING = {"sliding_window": 8, "use_sliding_window": True, "max_window_layers": 3}

FAMILIES: dict[str, tuple[Callable[[], Any], str]] = {
    "llama": (lambda: LlamaForCausalLM(LlamaConfig(**LLAMA)), "model.layers."),
    "gpt2": (
        lambda: GPT2LMHeadModel(
            GPT2Config(vocab_size=40, n_embd=16, n_head=2, n_layer=LAYERS, **ENDS)
        ),
        "transformer.h.",
    ),
    "gemma2": (
        lambda: Gemma2ForCausalLM(Gemma2Config(**LLAMA, head_dim=8, sliding_window=8)),
        "model.layers.",
    ),
    "qwen2": (lambda: Qwen2ForCausalLM(Qwen2Config(**LLAMA, **SLIDING)), "model.layers."),
    "opt": (
        lambda: OPTForCausalLM(OPTConfig(**SMALL, **ENDS, ffn_dim=32, word_embed_proj_dim=16)),
        "model.decoder.layers.",
    ),
}
KEPT = {1: [0], 2: [0, 5], 3: [0, 1, 5], 4: [0, 1, 4, 5], 5: [0, 1, 2, 4, 5]}


def make(family: str) -> Any:
    torch.manual_seed(0)
    model = FAMILIES[family][0]().eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms differ by layer too
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", KEPT)
def test_pruning_keeps_the_first_and_last_layers(family: str, layers: int) -> None:
    teacher, prefix = make(family), FAMILIES[family][1]
    before = copy.deepcopy(teacher.state_dict())
    student = prune(teacher, layers)
    assert student.config.num_hidden_layers == layers
    known, ours = teacher.state_dict(), student.state_dict()
    expected = {name: value for name, value in known.items() if not name.startswith(prefix)}
    for new, old in enumerate(KEPT[layers]):
        start = f"{prefix}{old}."
        for name, value in known.items():
            if name.startswith(start):
                expected[f"{prefix}{new}.{name.removeprefix(start)}"] = value
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[name], value) for name, value in expected.items())
    assert all(torch.equal(before[name], value) for name, value in known.items())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pruned_student_equals_the_teacher_without_the_pruned_layers(family: str) -> None:
    teacher = make(family)
    student = prune(teacher, 3)
    by_hand = copy.deepcopy(teacher)
    parent = by_hand.get_submodule(FAMILIES[family][1].rstrip(".").rpartition(".")[0])
    name = FAMILIES[family][1].rstrip(".").rpartition(".")[2]
    setattr(parent, name, torch.nn.ModuleList(getattr(parent, name)[i] for i in KEPT[3]))
    by_hand.config.num_hidden_layers = 3
    if types := getattr(by_hand.config, "layer_types", None):
        by_hand.config.layer_types = [types[index] for index in KEPT[3]]
    ids = torch.randint(3, 40, (2, 20))
    with torch.no_grad():
        ours = student(ids, use_cache=False).logits
        expected = by_hand(ids, use_cache=False).logits
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    assert not student.training


@pytest.mark.parametrize("family", ["gemma2", "qwen2"])
def test_a_layer_keeps_its_kind_of_attention(family: str) -> None:
    teacher = make(family)
    types = teacher.config.layer_types
    assert len(set(types)) == 2
    student = prune(teacher, 4)
    assert student.config.layer_types == [types[index] for index in KEPT[4]]
    assert teacher.config.layer_types == types
    assert len(types) == LAYERS


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pruned_student_generates_and_survives_saving(family: str, tmp_path: Path) -> None:
    student = prune(make(family), 3)
    ids = torch.randint(3, 40, (1, 12))
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    cached = student.generate(ids, attention_mask=torch.ones_like(ids), **options)
    slow = student.generate(ids, attention_mask=torch.ones_like(ids), use_cache=False, **options)
    assert cached.shape == (1, 18)
    assert torch.equal(cached, slow)
    student.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(ids).logits, student(ids).logits)


def test_tied_embeddings_stay_tied() -> None:
    student = prune(make("gpt2"), 2)
    assert student.lm_head.weight is student.transformer.wte.weight


@pytest.mark.parametrize("layers", [0, -1, LAYERS, LAYERS + 1])
def test_an_invalid_number_of_layers_is_refused(layers: int) -> None:
    with pytest.raises(InputError, match=rf"layers={layers}: the model has 6; give 1 to 5"):
        prune(make("llama"), layers)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, world: World) -> Path:
    """A folder with only the configuration of a smaller student."""
    folder = tmp_path_factory.mktemp("tiny")
    known = json.loads((world.student / "config.json").read_text())
    changed = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "head_dim": 4}
    (folder / "config.json").write_text(json.dumps({**known, **changed}))
    return folder


def student(spec: str, world: World, seed: int = 3, teacher: bool = True) -> StudentSource:
    return StudentSource(
        spec, find_checkpoint(str(world.teacher)) if teacher else None, seed, False
    )


def equal(first: Any, other: Any) -> bool:
    ours, its = first.state_dict(), other.state_dict()
    return ours.keys() == its.keys() and all(torch.equal(ours[name], its[name]) for name in ours)


def test_a_checkpoint_is_loaded_unchanged(world: World) -> None:
    made = student(str(world.student), world, teacher=False)
    model = made.load("cpu")
    assert model.dtype == torch.float32
    assert not model.training
    assert equal(model, AutoModelForCausalLM.from_pretrained(world.student, dtype=torch.float32))
    checkpoint = find_checkpoint(str(world.student))
    assert made.identity == {"name": "student", "sha256": checkpoint.sha256}


@pytest.mark.parametrize("named", [True, False])
def test_a_teacher_is_pruned_by_name_or_by_path(named: bool, world: World) -> None:
    spec = f"prune:{'teacher' if named else world.teacher},layers=1"
    made = student(spec, world, teacher=named)
    model = made.load("cpu")
    teacher = AutoModelForCausalLM.from_pretrained(world.teacher, dtype=torch.float32)
    assert len(model.model.layers) == 1
    assert torch.equal(model.model.norm.weight, teacher.model.norm.weight)
    for name, value in model.model.layers[0].state_dict().items():
        assert torch.equal(value, teacher.model.layers[0].state_dict()[name])
    assert equal(model, made.load("cpu"))
    sha256 = find_checkpoint(str(world.teacher)).sha256
    assert made.identity == {"name": "teacher", "sha256": sha256, "layers": 1}
    assert len(made.load_tokenizer()) == model.config.vocab_size


def test_the_number_of_layers_is_part_of_the_identity(world: World) -> None:
    identities = [student(f"prune:teacher,layers={n}", world).identity for n in (1, 2, 3)]
    assert [identity.pop("layers") for identity in identities] == [1, 2, 3]
    assert identities[0] == identities[1] == identities[2]


@pytest.mark.parametrize("layers", [0, 4, 17])
def test_a_student_of_no_or_of_all_layers_is_refused(layers: int, world: World) -> None:
    with pytest.raises(InputError, match=rf"layers={layers}: the model has 4; give 1 to 3"):
        student(f"prune:teacher,layers={layers}", world).load("cpu")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("prune:teacher", r"student=prune:teacher: must be prune:MODEL,layers=N"),
        ("prune:teacher,layers=two", "must be prune:MODEL,layers=N"),
        ("prune:,layers=2", "must be prune:MODEL,layers=N"),
        ("prune:teacher,layers=-1", "must be prune:MODEL,layers=N"),
        ("prune:teacher,layers=2", r"student=prune:teacher,layers=2: teacher= is missing"),
        ("prune:nowhere,layers=2", "student=nowhere: no such folder"),
        ("random:nowhere", r"student=random:nowhere: no such config\.json"),
        ("nowhere", "student=nowhere: no such folder"),
    ],
)
def test_an_invalid_student_is_refused(spec: str, message: str, world: World) -> None:
    with pytest.raises(InputError, match=message):
        student(spec, world, teacher=False)


@pytest.mark.parametrize("file", [True, False])
def test_random_weights_depend_only_on_the_seed(file: bool, config: Path, world: World) -> None:
    spec = f"random:{config / 'config.json' if file else config}"
    made = student(spec, world)
    first = made.load("cpu")
    torch.rand(7)
    assert equal(first, made.load("cpu"))
    assert equal(first, student(spec, world).load("cpu"))
    assert not equal(first, student(spec, world, seed=4).load("cpu"))
    assert first.config.hidden_size == 16
    assert first.dtype == torch.float32
    assert not first.training


def test_random_weights_do_not_touch_the_global_random_state(config: Path, world: World) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    student(f"random:{config}", world).load("cpu")
    assert torch.equal(torch.rand(3), expected)


def test_random_weights_are_identified_by_configuration_and_seed(
    config: Path, world: World
) -> None:
    identity = student(f"random:{config}", world).identity
    assert identity["config"] == json.loads((config / "config.json").read_text())
    assert identity["seed"] == 3
    assert identity["name"] == config.name
    assert student(f"random:{config}", world, seed=4).identity != identity
    assert student(f"random:{config / 'config.json'}", world).identity == identity


def test_random_weights_take_the_teachers_tokenizer(config: Path, world: World) -> None:
    tokenizer = student(f"random:{config}", world).load_tokenizer()
    assert tokenizer.get_vocab() == student(str(world.teacher), world).load_tokenizer().get_vocab()
    with pytest.raises(InputError, match="no tokenizer in its folder; pass teacher="):
        student(f"random:{config}", world, teacher=False)


def test_a_tokenizer_next_to_the_configuration_takes_precedence(
    config: Path, world: World, tmp_path: Path
) -> None:
    """No weights are needed, because none are read."""
    folder = tmp_path / "own"
    shutil.copytree(config, folder)
    for file in world.student.glob("token*"):
        shutil.copy(file, folder)
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "mark": "own"}))
    for teacher in (True, False):
        made = student(f"random:{folder}", world, teacher=teacher)
        assert made.load_tokenizer().init_kwargs.get("mark") == "own"


def test_from_a_checkpoint_only_architecture_and_tokenizer_are_used(world: World) -> None:
    made = student(f"random:{world.student}", world, teacher=False)
    trained = AutoModelForCausalLM.from_pretrained(world.student, dtype=torch.float32)
    model = made.load("cpu")
    assert model.config.hidden_size == trained.config.hidden_size
    assert not equal(model, trained)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_dropout_two_passes_in_training_are_equal(family: str) -> None:
    model = make(family)
    for key in ("dropout", "attention_dropout", "layerdrop", "attn_pdrop", "resid_pdrop"):
        if hasattr(model.config, key):
            setattr(model.config, key, 0.3)
    model = type(model)(model.config).train()
    turn_dropout_off(model)
    ids = torch.arange(3, 9)[None]
    with torch.no_grad():
        assert torch.equal(model(ids).logits, model(ids).logits)


def test_every_per_layer_list_is_cut() -> None:
    from transformers import SmolLM3Config, SmolLM3ForCausalLM

    config = SmolLM3Config(**LLAMA, no_rope_layer_interval=3)
    student = prune(SmolLM3ForCausalLM(config), 4)
    assert student.config.no_rope_layers == [config.no_rope_layers[kept] for kept in KEPT[4]]
    wanted = [bool(flag) for flag in student.config.no_rope_layers]
    assert [bool(layer.self_attn.use_rope) for layer in student.model.layers] == wanted


TOKENS = {"vocab_size": 40, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def other_architecture(name: str) -> Any:
    """Six layers whose number has another name, or whose kind follows from their place."""
    import transformers as library

    if name == "GPTNeo":
        config = library.GPTNeoConfig(
            **TOKENS,
            hidden_size=16,
            num_layers=6,
            num_heads=2,
            max_position_embeddings=32,
            attention_types=[[["global", "local"], 3]],
        )
        return library.GPTNeoForCausalLM(config)
    if name == "Mpt":
        config = library.MptConfig(
            vocab_size=40, d_model=16, n_layers=6, n_heads=2, expansion_ratio=2, max_seq_len=32
        )
        return library.MptForCausalLM(config)
    if name == "XGLM":
        config = library.XGLMConfig(
            **TOKENS, d_model=16, num_layers=6, attention_heads=2, ffn_dim=32
        )
        return library.XGLMForCausalLM(config)
    config = library.Qwen2MoeConfig(
        **TOKENS,
        hidden_size=16,
        num_hidden_layers=6,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=24,
        moe_intermediate_size=8,
        shared_expert_intermediate_size=8,
        num_experts=2,
        num_experts_per_tok=1,
        decoder_sparse_step=2,
    )
    return library.Qwen2MoeForCausalLM(config)


@pytest.mark.parametrize("name", ["GPTNeo", "Mpt", "XGLM"])
def test_layers_are_found_under_any_name(name: str) -> None:
    model = other_architecture(name).eval()
    student = prune(model, 3)
    assert student.config.num_hidden_layers == 3
    ids = torch.arange(3, 9)[None]
    assert torch.isfinite(student(input_ids=ids).logits).all()
    if name == "GPTNeo":
        assert student.config.attention_layers == ["global", "local", "local"]


def test_a_layer_whose_kind_follows_from_its_place_is_not_moved() -> None:
    """Every second layer has experts; the sixth would become the third, which has none."""
    model = other_architecture("Qwen2Moe")
    with pytest.raises(InputError, match="cannot be pruned: layer 5 would be another kind"):
        prune(model, 3)
    with pytest.raises(InputError, match="cannot be pruned: layer 5 would be another kind"):
        check_prunable(model.config, 3)
    assert prune(model, 4).config.num_hidden_layers == 4
    check_prunable(model.config, 4)
