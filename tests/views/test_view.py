"""A view's states and logits equal the model's, for every supported architecture."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_models import build, with_longrope
from transformers import (
    Cohere2Config,
    Cohere2ForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

from kdbench.errors import InputError
from kdbench.training.loss import target_log_probs
from kdbench.views.rollout import Batch, Rollout
from kdbench.views.view import ModelView, UniformView, bare_model

V = 32
WIDTH = {"vocab_size": V, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
LLAMA = {**WIDTH, "num_key_value_heads": 2, "intermediate_size": 32, "initializer_range": 0.5}
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
OPT = {**WIDTH, **ENDS, "ffn_dim": 32, "word_embed_proj_dim": 16, "init_std": 0.5}
GEMMA = {**LLAMA, **ENDS, "head_dim": 8, "sliding_window": 16, "final_logit_softcapping": 2.0}

FAMILIES: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**LLAMA)),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=V, n_embd=16, n_head=2, n_layer=2, initializer_range=0.5, **ENDS)
    ),
    "opt": lambda: OPTForCausalLM(OPTConfig(**OPT)),
    "opt with a projection": lambda: OPTForCausalLM(OPTConfig(**OPT | {"word_embed_proj_dim": 8})),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**GEMMA)),
    "cohere2": lambda: Cohere2ForCausalLM(
        Cohere2Config(**LLAMA, **ENDS, logit_scale=0.25, sliding_window=16)
    ),
    "granite": lambda: GraniteForCausalLM(GraniteConfig(**LLAMA, logits_scaling=3.0)),
}
ROWS = [
    Rollout("a", (3, 4, 5, 6), (7, 8, 9), "dataset"),
    Rollout("b", (10,), (11, 12, 13, 14, 2), "student"),
    Rollout("c", (15, 16), (2,), "student"),
]


def make(family: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return FAMILIES[family]().eval()


@torch.no_grad()
def own_logits(model: Any, rows: list[Rollout]) -> torch.Tensor:
    """Logits of the whole model, row by row without padding."""
    per_row = []
    for row in rows:
        tokens = torch.tensor([[*row.prompt_ids, *row.response_ids]])
        logits = model(input_ids=tokens, use_cache=False).logits[0, :-1]
        per_row.append(logits[len(row.prompt_ids) - 1 :])
    return torch.cat(per_row).float()


@torch.no_grad()
def view_logits(view: ModelView, rows: list[Rollout]) -> torch.Tensor:
    return view.logits(view.states(Batch(rows)))


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_of_the_states_equal_the_models(family: str) -> None:
    model = make(family)
    view = ModelView(model, V)
    view.check()
    expected = own_logits(model, ROWS)
    assert view.states(Batch(ROWS)).shape[0] == 9
    assert expected.std() > 0.1
    torch.testing.assert_close(view_logits(view, ROWS), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["gemma2", "cohere2", "granite"])
def test_operations_after_the_head_change_the_logits(family: str) -> None:
    model = make(family)
    with torch.no_grad():
        states = ModelView(model, V).states(Batch(ROWS))
        head = model.get_output_embeddings()(states)
    assert (head - own_logits(model, ROWS)).abs().max() > 0.5


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_on_the_right_does_not_change_states(family: str) -> None:
    view = ModelView(make(family), V)
    with torch.no_grad():
        together = view.states(Batch(ROWS))
        alone = torch.cat([view.states(Batch([row])) for row in ROWS])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_of_a_frozen_model_never_gets_a_slice(family: str) -> None:
    # torch copies the weights for each row to multiply a slice with them
    model = make(family).requires_grad_(False)
    seen: list[torch.Tensor] = []
    model.get_output_embeddings().register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        ModelView(model, V).states(Batch(ROWS))
    assert seen
    assert all(states.is_contiguous() for states in seen)


def test_the_gradient_equals_that_of_the_whole_model() -> None:
    model = make("gemma2")
    view = ModelView(model, V)
    view.logits(view.states(Batch(ROWS[:1]))).log_softmax(-1)[:, 5].sum().backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    whole = torch.tensor([[3, 4, 5, 6, 7, 8]])
    model(input_ids=whole, use_cache=False).logits[0, 3:].log_softmax(-1)[:, 5].sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-3, atol=1e-5)


class Twisted(LlamaForCausalLM):
    """A model that changes its logits in a way that its configuration does not show."""

    def forward(self, *args: Any, **options: Any) -> Any:
        output = super().forward(*args, **options)
        output.logits = 3 * output.logits.roll(1, -1)
        return output


def test_an_architecture_that_changes_its_logits_in_an_unknown_way_is_refused() -> None:
    torch.manual_seed(0)
    model = Twisted(LlamaConfig(**LLAMA)).eval()
    with pytest.raises(InputError, match="Twisted: its logits are not its head's output"):
        ModelView(model, V).check()


class Capped(LlamaForCausalLM):
    """Caps its logits as Gemma 2 does, under a name that nobody knows."""

    def forward(self, *args: Any, **words: Any) -> Any:
        output = super().forward(*args, **words)
        output.logits = 30 * (output.logits / 30).tanh()
        return output


class Shifted(LlamaForCausalLM):
    """Adds a bias to its logits."""

    def forward(self, *args: Any, **words: Any) -> Any:
        output = super().forward(*args, **words)
        output.logits = output.logits + 0.01 * torch.arange(V)
        return output


@pytest.mark.parametrize("kind", [Capped, Shifted])
@pytest.mark.parametrize("scale", [0.02, 0.5])
def test_a_cap_or_a_bias_is_found_however_small_the_logits_are(kind: type, scale: float) -> None:
    torch.manual_seed(0)
    model = kind(LlamaConfig(**LLAMA | {"initializer_range": scale})).eval()
    with pytest.raises(InputError, match="its logits are not its head's output"):
        ModelView(model, V).check()


def test_the_cap_of_recurrent_gemma_is_applied() -> None:
    model = build("RecurrentGemmaForCausalLM")
    with torch.no_grad():
        model.lm_head.weight.mul_(300)
    view = ModelView(model, V)
    view.check()
    expected = own_logits(model, ROWS)
    assert 20 < expected.abs().max() <= 30
    found = view_logits(view, ROWS)
    torch.testing.assert_close(found, expected[:, :V], rtol=1e-4, atol=1e-3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", ["Llama4ForCausalLM", "ModernBertDecoderForCausalLM", "MllamaForCausalLM"]
)
def test_states_are_those_that_the_head_is_given(name: str) -> None:
    """Their `get_decoder` is the whole model, or gives no state first."""
    model = build(name)
    view = ModelView(model, V)
    view.check()
    found = view_logits(view, ROWS)
    torch.testing.assert_close(found, own_logits(model, ROWS)[:, :V], rtol=1e-4, atol=1e-4)


def test_a_long_row_does_not_change_the_rotary_positions_of_the_others() -> None:
    model = with_longrope(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4 if parameter.dim() > 1 else 1)
    whole = [len(row.prompt_ids) + len(row.response_ids) - 1 for row in ROWS]
    assert min(whole) < 5 < max(whole)
    # each row as long as the view makes it, without its last token
    expected = torch.cat(
        [
            model(input_ids=torch.tensor([[*row.prompt_ids, *row.response_ids[:-1]]])).logits[
                0, len(row.prompt_ids) - 1 :
            ]
            for row in ROWS
        ]
    ).detach()
    view = ModelView(model, V)
    assert (view_logits(view, ROWS) - expected[:, :V]).abs().max() < 1e-3


def test_an_encoder_is_refused() -> None:
    with pytest.raises(InputError, match="BertLMHeadModel: its logits are not its head's output"):
        ModelView(build("BertLMHeadModel"), V).check()


def test_a_model_without_a_head_is_refused() -> None:
    with pytest.raises(InputError, match="LlamaModel has no language-model head"):
        ModelView(make("llama").model, V)


def test_check_keeps_the_mode_of_the_model() -> None:
    for training in (True, False):
        model = make("gpt2").train(training)  # has dropout
        ModelView(model, V).check()
        assert model.training is training
        assert model.transformer.drop.training is training


def test_a_padded_head_is_cut_to_the_vocabulary_before_the_softmax() -> None:
    """Student and teacher with different paddings see the same tokens."""
    small, large = make("llama"), make("llama")
    large.resize_token_embeddings(V + 8, mean_resizing=False)
    with torch.no_grad():
        large.lm_head.weight[V:] = 100.0  # padding that would win every softmax
        large.lm_head.weight[V + 4 :] = -100.0
    views = [ModelView(small, V), ModelView(large, V)]
    for view in views:
        view.check()
        assert view_logits(view, ROWS).shape == (9, V)
    torch.testing.assert_close(view_logits(views[0], ROWS), view_logits(views[1], ROWS))
    scores = [target_log_probs(Batch(ROWS), view) for view in views]
    assert scores[0] == scores[1]


def test_a_head_smaller_than_the_vocabulary_is_refused() -> None:
    view = ModelView(make("llama"), V + 1)
    with pytest.raises(InputError, match="head has 32 tokens, its tokenizer 33"):
        view_logits(view, ROWS)
    with pytest.raises(InputError, match="head has 32 tokens, its tokenizer 33"):
        view.check()


# peft 0.21 asks transformers 5.23 for a property by its old name.
peft_is_older = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


def with_adapter(model: Any) -> Any:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(
        r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    wrapped = peft.get_peft_model(model, config)
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:  # the initial zeros would make it no adapter at all
                parameter.normal_(std=0.5)
    return wrapped.eval()


@peft_is_older
@pytest.mark.filterwarnings("ignore:fan_in_fan_out:UserWarning")
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_view_of_a_student_includes_its_adapter(family: str) -> None:
    base = make(family)
    before = own_logits(base, ROWS)
    student = with_adapter(base)
    view = ModelView(student, V)
    view.check()
    expected = own_logits(student, ROWS)
    torch.testing.assert_close(view_logits(view, ROWS), expected, rtol=1e-4, atol=1e-4)
    assert (expected - before).abs().max() > 0.1
    assert type(bare_model(student)) is type(base)


@peft_is_older
def test_only_the_adapter_gets_a_gradient() -> None:
    student = with_adapter(make("llama"))
    view = ModelView(student, V)
    view.logits(view.states(Batch(ROWS))).log_softmax(-1)[:, 3].sum().backward()
    for name, parameter in student.named_parameters():
        touched = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert touched == ("lora_" in name), name


@peft_is_older
def test_the_teacher_is_not_changed_by_the_students_adapter() -> None:
    """Student and teacher share a checkpoint; only the student has the adapter."""
    teacher, base = make("llama"), make("llama")
    view = ModelView(teacher, V)
    before = view_logits(view, ROWS)
    kept = copy.deepcopy(teacher.state_dict())
    student_view = ModelView(with_adapter(base), V)
    assert (view_logits(student_view, ROWS) - before).abs().max() > 0.1
    torch.testing.assert_close(view_logits(view, ROWS), before, rtol=0, atol=0)
    assert kept.keys() == teacher.state_dict().keys()
    assert not [name for name, _ in teacher.named_modules() if "lora" in name]


def test_every_token_is_as_likely_under_the_uniform_view() -> None:
    view = UniformView(V)
    logits = view.logits(view.states(Batch(ROWS)))
    assert logits.shape == (9, V)
    assert torch.equal(logits, torch.zeros(9, V))


# Log-probabilities, for metrics


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probs_are_the_log_softmax_of_the_models_logits(family: str) -> None:
    model = make(family)
    view = ModelView(model, V)
    with torch.no_grad():
        actual, cut = view.log_probs(view.states(Batch(ROWS)))
    expected = own_logits(model, ROWS).log_softmax(-1)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    assert actual.dtype == torch.float32
    assert cut.tolist() == [0] * 9


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
@pytest.mark.parametrize("kept", [1, V - 5, V])
def test_a_padded_head_is_cut_before_the_softmax_and_its_mass_is_reported(
    family: str, kept: int
) -> None:
    model = make(family)
    view = ModelView(model, kept)
    with torch.no_grad():
        actual, cut = view.log_probs(view.states(Batch(ROWS)))
    whole = own_logits(model, ROWS)
    assert actual.shape == (9, kept)
    torch.testing.assert_close(actual, whole[:, :kept].log_softmax(-1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(actual.exp().sum(-1), torch.ones(9))
    expected = whole.softmax(-1)[:, kept:].sum(-1)
    torch.testing.assert_close(cut, expected, rtol=1e-4, atol=1e-5)


def test_dominant_padding_takes_no_mass_from_the_tokens() -> None:
    small, large = make("llama"), make("llama")
    large.resize_token_embeddings(V + 8, mean_resizing=False)
    with torch.no_grad():
        large.lm_head.weight[V:] = 0
        large.lm_head.weight[V, :] = 1000.0
        large.lm_head.weight[V + 1, :] = -1000.0  # one of them wins for either sign of a state
        views = [ModelView(small, V), ModelView(large, V)]
        (ours, none), (its, cut) = (view.log_probs(view.states(Batch(ROWS))) for view in views)
    torch.testing.assert_close(ours, its)
    assert none.tolist() == [0] * 9
    assert cut.tolist() == pytest.approx([1] * 9)


def test_log_probs_in_low_precision_are_still_a_float32_softmax() -> None:
    model = make("llama").bfloat16()
    view = ModelView(model, V - 2)
    with torch.no_grad():
        states = view.states(Batch(ROWS))
        actual, cut = view.log_probs(states)
        logits = model.lm_head(states).float()
    assert (actual.dtype, cut.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(actual, logits[:, : V - 2].log_softmax(-1), rtol=0, atol=1e-6)


def test_log_probs_of_a_head_smaller_than_the_vocabulary_are_refused() -> None:
    view = ModelView(make("llama"), V + 1)
    with (
        torch.no_grad(),
        pytest.raises(InputError, match="head has 32 tokens, its tokenizer 33"),
    ):
        view.log_probs(view.states(Batch(ROWS)))


def test_a_head_is_brought_to_the_students_device(world) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(world.teacher)
    view = ModelView(model, 512)
    view.bring_head("cpu")
    assert view.head is model.lm_head  # it is there
    view.bring_head("meta")
    assert view.logits(torch.zeros(3, 128, device="meta")).device.type == "meta"
    assert model.lm_head.weight.device.type == "cpu"
