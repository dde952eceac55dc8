"""States of chosen layers, in the forward pass that a view makes anyway."""

import pytest
import torch
from tiny_models import V, build, with_longrope

from kdbench.errors import InputError
from kdbench.training.micro_batch import MicroBatch
from kdbench.views.rollout import Batch, Rollout
from kdbench.views.view import ModelView

ROWS = [
    Rollout("a", (5, 6, 7), (8, 9, 10, 11), "dataset"),
    Rollout("b", (12, 13), (14, 15), "dataset"),
]
peft_is_older = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


def by_hand(model, layer):
    """The states of a layer where response tokens are predicted, row by row without padding."""
    rows = []
    for row in ROWS:
        ids = torch.tensor([row.prompt_ids + row.response_ids[:-1]])
        states = model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
        rows.append(states[layer][0, len(row.prompt_ids) - 1 :])
    return torch.cat(rows)


@pytest.mark.parametrize("family", ["LlamaForCausalLM", "GPT2LMHeadModel", "Gemma2ForCausalLM"])
def test_layers_are_numbered_from_the_embeddings_and_the_last_feeds_the_head(family):
    model = build(family)
    view = ModelView(model, V)
    with torch.no_grad():
        states, hidden = view.read(Batch(ROWS), (0, 1, 2, -1))
        for layer in (0, 1, 2):
            torch.testing.assert_close(hidden[layer], by_hand(model, layer))
        assert torch.equal(hidden[-1], states)
        assert torch.equal(states, view.states(Batch(ROWS)))
        own = [
            model(torch.tensor([row.prompt_ids + row.response_ids[:-1]])).logits[
                0, len(row.prompt_ids) - 1 :
            ]
            for row in ROWS
        ]
        torch.testing.assert_close(view.logits(hidden[-1]), torch.cat(own), atol=1e-4, rtol=1e-4)


def test_layers_take_no_further_forward_pass():
    model = build("LlamaForCausalLM")
    passes = []
    model.register_forward_hook(lambda *_: passes.append(1))
    micro = MicroBatch(Batch(ROWS), {"student": ModelView(model, V)}, layers={"student": [0, 1]})
    for _ in range(2):
        assert micro.hidden("student", 1).requires_grad
        micro.states("student")
        micro.hidden("student", 0)
    assert len(passes) == 1


@peft_is_older
def test_layers_include_an_adapter_and_train_it():
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    model = peft.get_peft_model(
        build("LlamaForCausalLM"), peft.LoraConfig(r=2, target_modules=["q_proj"])
    ).eval()
    plain = ModelView(model, V).read(Batch(ROWS), (1,))[1][1]
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    changed = ModelView(model, V).read(Batch(ROWS), (1,))[1][1]
    assert float((changed - plain).detach().abs().max()) > 1e-4
    changed.sum().backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert trained
    assert all("layers.0" in name and "lora" in name for name in trained)  # not the second layer


def test_rows_of_two_rotary_ranges_are_read_alone():
    model = with_longrope(6)
    with torch.no_grad():
        _, hidden = ModelView(model, V).read(Batch(ROWS), (1,))
        alone = [ModelView(model, V).read(Batch([row]), (1,))[1][1] for row in ROWS]
    torch.testing.assert_close(hidden[1], torch.cat(alone))


def test_a_layer_that_is_not_there_is_refused():
    view = ModelView(build("LlamaForCausalLM"), V)
    with pytest.raises(InputError, match=r"^layer 3: LlamaForCausalLM has layers 0 to 2$"):
        view.read(Batch(ROWS), (3,))


def test_an_architecture_without_hidden_states_is_refused(monkeypatch):
    model = build("LlamaForCausalLM")
    forward = model.forward

    def without(*args, output_hidden_states=False, **options):
        return forward(*args, **options)

    monkeypatch.setattr(model, "forward", without)
    with pytest.raises(InputError, match=r"^LlamaForCausalLM returns no hidden states"):
        ModelView(model, V).read(Batch(ROWS), (1,))


@pytest.mark.parametrize("family", ["LlamaForCausalLM", "GPT2LMHeadModel", "Gemma2ForCausalLM"])
def test_minus_2_is_the_last_layer_before_the_final_norm(family):
    model = build(family)
    norm = model.transformer.ln_f if family.startswith("GPT2") else model.model.norm
    with torch.no_grad():
        torch.nn.init.normal_(norm.weight)
        states, hidden = ModelView(model, V).read(Batch(ROWS), (-2, 1))
        torch.testing.assert_close(norm(hidden[-2]), states)
        torch.testing.assert_close(hidden[1], by_hand(model, 1))
    assert not torch.allclose(hidden[-2], states, atol=1e-2)


def test_a_model_whose_layers_are_in_no_list_has_no_states_before_the_norm(monkeypatch):
    model = build("LlamaForCausalLM")
    monkeypatch.setattr(model.config, "num_hidden_layers", 7)
    with pytest.raises(InputError, match=r"^LlamaForCausalLM: its 7 layers are in no list"):
        ModelView(model, V).read(Batch(ROWS), (-2,))
