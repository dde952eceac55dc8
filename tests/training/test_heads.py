"""Gradients through the head in chunks, against plain autograd through the model's own logits."""

import warnings
from dataclasses import replace

import pytest
import torch
from tiny_models import V, build, tiny_config

import kdbench
from kdbench.divergence import forward_kl
from kdbench.training import CrossEntropy, Match, Objective, Rollout, StepObjective, Term
from kdbench.training.compiled import ChunkCompiler
from kdbench.training.exits import StudentHead
from kdbench.training.heads import _Any, _Linear, trained_head
from kdbench.training.loss import distillation_loss
from kdbench.views.rollout import Batch
from kdbench.views.view import ModelView, UniformView

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

VOCABULARY = V - 3  # the rest is padding of the head
TERMS = [Term(CrossEntropy(), 0.5), Term(Match(forward_kl))]
ROWS = [
    Rollout("a", (5, 6, 7), (8, 9, 10, 11), "dataset"),
    Rollout("b", (12, 13), (14, 15), "dataset", weight=0.5),
]
# Plain, tied, with a bias, and with what follows the head: soft caps, scales.
FAMILIES = [
    "LlamaForCausalLM",
    "GPT2LMHeadModel",
    "PhiForCausalLM",
    "CodeGenForCausalLM",
    "Gemma2ForCausalLM",
    "RecurrentGemmaForCausalLM",
    "GraniteForCausalLM",
    "CohereForCausalLM",
    "HyperCLOVAXForCausalLM",
    "FalconH1ForCausalLM",
    "MambaForCausalLM",
    "OPTForCausalLM",
    "Qwen3MoeForCausalLM",
]


def built(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build(name).eval()


def plain_loss(model, autocast=None):
    """The same loss by all logits at once: -.5 log q(y) + KL(uniform, q), means over weights."""
    total = 0.0
    for row in ROWS:
        ids = torch.tensor([row.prompt_ids + row.response_ids[:-1]])
        if autocast is None:
            logits = model(input_ids=ids, use_cache=False).logits[0]
        else:
            with autocast:
                logits = model(input_ids=ids, use_cache=False).logits[0]
        log_q = logits[len(row.prompt_ids) - 1 :, :VOCABULARY].float().log_softmax(-1)
        uniform = torch.full_like(log_q, 1 / VOCABULARY)
        targets = torch.tensor(row.response_ids)[:, None]
        losses = -0.5 * log_q.gather(-1, targets)[:, 0]
        losses = losses + (uniform * (uniform.log() - log_q)).sum(-1)
        total = total + row.weight * losses.sum()
    return total / 6


def chunked_loss(model, chunk=3, compiler=None, **options):
    view = ModelView(model, VOCABULARY, **options)
    views = {"student": view, "teacher": UniformView(VOCABULARY)}
    return distillation_loss(TERMS, Batch(ROWS), views, None, None, chunk, compiler=compiler).value


def gradients(model, loss):
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is not None
    }


def assert_same(model, tolerance=2e-5, **options):
    """Loss and gradients; errors are relative to the largest entry of a tensor."""
    ours_value, plain_value = chunked_loss(model, **options), plain_loss(model)
    torch.testing.assert_close(ours_value, plain_value, rtol=tolerance, atol=tolerance)
    ours, plain = gradients(model, ours_value), gradients(model, plain_value)
    assert ours.keys() == plain.keys()
    for name, expected in plain.items():
        size = max(float(expected.abs().max()), 1e-3)
        assert float((ours[name] - expected).abs().max()) <= tolerance * size, name


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_of_architectures_are_those_of_plain_autograd(name):
    model = built(name)
    ModelView(model, VOCABULARY).check()
    for chunk in (2, None):
        assert_same(model, 1e-4, chunk=chunk)


@pytest.mark.parametrize("tied", [True, False])
def test_tied_and_frozen_heads(tied):
    import transformers

    torch.manual_seed(0)
    config = tiny_config("LlamaForCausalLM", tie_word_embeddings=tied)
    model = transformers.LlamaForCausalLM(config).eval()
    assert (model.lm_head.weight is model.model.embed_tokens.weight) is tied
    assert isinstance(trained_head(ModelView(model, VOCABULARY)), _Linear)
    assert_same(model)
    model.lm_head.weight.requires_grad_(False)
    assert_same(model)
    model.requires_grad_(False)
    model.model.layers[0].requires_grad_(True)
    assert_same(model)


@pytest.mark.parametrize("targets", [["q_proj", "lm_head"], ["q_proj"]])
def test_lora_on_the_head_and_below_it(targets):
    peft = pytest.importorskip("peft")
    base = built("LlamaForCausalLM")
    torch.manual_seed(1)
    model = peft.get_peft_model(base, peft.LoraConfig(r=2, target_modules=targets)).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    head = trained_head(ModelView(model, VOCABULARY))
    assert isinstance(head, _Any if "lm_head" in targets else _Linear)
    assert_same(model)


class NearTheStart(Objective):
    """A distance of layers, without distributions."""

    views = ()
    hidden = {"student": (1,), "start": (1,)}  # noqa: RUF012
    needs_logits = False

    def token(self, chunk):
        return (chunk.hidden("student", 1) - chunk.hidden("start", 1)).square().mean(-1)


def test_layers_of_a_view_that_shares_the_students_head():
    peft = pytest.importorskip("peft")
    base = built("LlamaForCausalLM")
    model = peft.get_peft_model(base, peft.LoraConfig(r=2, target_modules=["q_proj"])).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    views = {name: ModelView(model, VOCABULARY) for name in ("student", "start")}
    loss = distillation_loss([Term(NearTheStart())], Batch(ROWS), views)
    assert loss.value.item() == 0


def test_a_wrapper_that_rounds_what_a_head_returns_does_not_round_the_loss():
    """As FSDP2 does with mixed precision."""
    model = built("LlamaForCausalLM")
    expected = chunked_loss(model)
    exact = gradients(model, expected)
    model.lm_head.register_forward_hook(lambda *given: given[-1].bfloat16())
    value = chunked_loss(model)
    torch.testing.assert_close(value, expected)
    for name, found in gradients(model, value).items():
        torch.testing.assert_close(found, exact[name], msg=name)


class Norms(StepObjective):
    """A loss of a layer's states, which reads no other weights of the student."""

    views = ()
    hidden = {"student": (1,)}  # noqa: RUF012
    needs_logits = False

    def step(self, whole):
        assert len(whole.batch.targets) == len(whole.states("student")) == len(whole.logits("s"))
        return whole.hidden("student", 1).square().sum()


def test_a_loss_of_some_rows_runs_the_student_once_and_has_a_gradient_for_each_weight():
    """Processes wait for each other in forward passes, and for the gradient of each weight."""
    model, passes = built("LlamaForCausalLM"), []
    view = ModelView(model, VOCABULARY)
    model.register_forward_hook(lambda *_: passes.append(1))
    rows = [ROWS[0], replace(ROWS[1], origin="student")]
    for on, some in (((), rows), (("student",), rows[1:])):
        passes.clear()
        term = Term(Norms(), on=on)
        loss = distillation_loss([term], Batch(rows), {"student": view, "s": view}).value
        assert len(passes) == len({"student", "s"})
        found = gradients(model, loss)
        assert len(found) == len(list(model.parameters()))
        alone = distillation_loss([term], Batch(some), {"student": view, "s": view}).value
        for name, expected in gradients(model, alone).items():
            torch.testing.assert_close(found[name], expected, msg=name)


def test_a_head_with_an_adapter_compiles():
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(
        built("LlamaForCausalLM"), peft.LoraConfig(r=2, target_modules=["lm_head"])
    ).eval()
    compiler = ChunkCompiler(enabled=True, backend="aot_eager")
    assert_same(model, compiler=compiler)
    assert compiler.failures == []


def test_autocast_with_float32_weights_and_weights_in_bfloat16():
    """As near as bfloat16 is: the same operations in the same precision."""

    def autocast():
        return torch.autocast("cpu", dtype=torch.bfloat16)

    model = built("LlamaForCausalLM")
    exact = gradients(model, plain_loss(model))
    mixed = gradients(model, chunked_loss(model, autocast=autocast))
    plain = gradients(model, plain_loss(model, autocast()))
    half = built("LlamaForCausalLM").bfloat16()
    low = gradients(half, chunked_loss(half))
    for name, expected in exact.items():
        size = float(expected.norm())
        error = float((mixed[name] - expected).norm())
        assert error <= max(1.5 * float((plain[name] - expected).norm()), 0.01 * size), name
        assert mixed[name].dtype == torch.float32
        assert low[name].dtype == torch.bfloat16
        assert float((low[name].float() - expected).norm()) <= 0.1 * size + 1e-4, name


def test_blocks_of_the_heads_gradient_are_the_plain_product(monkeypatch):
    """Where the product of low precision is added to a float32 sum, block by block."""
    model = built("LlamaForCausalLM").bfloat16()
    draw = torch.Generator().manual_seed(0)
    states = torch.randn(6, 32, generator=draw).bfloat16()
    slopes = torch.randn(6, VOCABULARY, generator=draw).bfloat16()
    for block in (2**23, 32 * 7):
        monkeypatch.setattr("kdbench.training.heads._BLOCK", block)
        head = trained_head(ModelView(model, VOCABULARY))
        raw = head.raw(states)
        assert torch.equal(raw, (states @ model.lm_head.weight.T)[:, :VOCABULARY])
        of_states = head.take([slopes])
        head.raw(states)
        head.take([slopes])
        (total,) = head.gradients
        assert total.dtype == torch.float32
        expected = 2 * (slopes.float().T @ states.float())
        torch.testing.assert_close(total[:VOCABULARY], expected, rtol=0.01, atol=0.05)
        assert not total[VOCABULARY:].any()
        torch.testing.assert_close(of_states, slopes @ model.lm_head.weight[:VOCABULARY])


def test_the_tolerance_of_the_check_of_heads_is_at_most_a_thousandth():
    from kdbench.views.probe import tolerance

    assert tolerance(torch.float32) <= 1e-3


def test_weights_that_a_process_has_a_part_of_are_not_read():
    model = built("PhiForCausalLM")
    view = ModelView(model, VOCABULARY)
    assert view.linear_head[0].shape[0] == VOCABULARY
    model.get_output_embeddings().weight.ds_id = 0  # as DeepSpeed marks them
    model.get_input_embeddings().weight.ds_id = 0
    asks = (
        lambda: view.linear_head,
        lambda: view.embed(torch.tensor([3])),
        lambda: StudentHead(model, VOCABULARY, trains=False),
    )
    for ask in asks:
        with pytest.raises(kdbench.InputError, match="which FSDP and DeepSpeed divide up"):
            ask()
