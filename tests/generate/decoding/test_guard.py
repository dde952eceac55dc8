"""The guard over every causal-LM class: no way of decoding is used that gives other tokens."""

from collections.abc import Iterator, Sequence
from typing import Any

import architectures
import pytest
import torch
import transformers
from tiny_models import V, build, variants, with_longrope

from kdbench.errors import InputError
from kdbench.generate.decoding.guard import SoundDecodings, guarded, sound_decoding
from kdbench.generate.decoding.kinds import Begin, of_model
from kdbench.generate.decoding.memory import _bytes_per_row, rows_that_fit
from kdbench.generate.decoding.own_text import own_text
from kdbench.views.probe import plain_logits, plainly, special_tokens
from kdbench.views.rope import rope_limit

PROMPTS = [(5, 9, 12, 7), (8, 3, 40, 22, 31, 17, 9, 11, 50, 4, 6, 33), (19, 20, 21, 5, 5, 8, 13)]
STEPS = 6


@torch.no_grad()
def plain_tokens(model: Any, prompt: Sequence[int]) -> list[int]:
    """Greedy tokens of one prompt, each from a forward pass without padding or cache."""
    tokens = list(prompt)
    for _ in range(STEPS):
        logits = model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, -1, :V]
        tokens.append(int(logits.argmax()))
    return tokens[len(prompt) :]


@torch.inference_mode()
def decoded_tokens(begin: Begin, prompts: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Greedy tokens of a batch; its second row leaves halfway."""
    decoding = begin(prompts, len(prompts), STEPS)
    live, found = list(range(len(prompts))), [[] for _ in prompts]
    for step in range(STEPS):
        tokens = decoding.logits.argmax(-1)
        for row, token in zip(live, tokens.tolist(), strict=True):
            found[row].append(token)
        if step == STEPS // 2 and len(live) > 1:
            stay = torch.tensor([0, 2])
            live, tokens = [live[0], live[2]], tokens[stay]
            decoding.keep(stay)
        if step < STEPS - 1:
            decoding.advance(tokens)
    return found


def sharpen(model: Any) -> None:
    """Large weights, so that what a token attends to decides the next one."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "setting"), variants())
def test_no_class_is_decoded_wrongly(name: str, setting: str) -> None:
    verdict, model, sound = architectures.judge(name, setting)
    version, page = architectures.stored()
    if version == transformers.__version__:
        known = page[name, setting]
        assert (verdict.decoding, verdict.view) == (known.decoding, known.view)
    if model is not None:
        assert 1 <= rows_that_fit(model, 40) <= 64
    if sound is None:
        assert verdict.decoding in {"refused", "not tried"}
        return
    sharpen(model)
    expected = [plain_tokens(model, prompt) for prompt in PROMPTS]
    found = decoded_tokens(sound.begin, PROMPTS)
    assert [found[0], found[2]] == [expected[0], expected[2]]
    assert found[1] == expected[1][: len(found[1])]
    assert [decoded_tokens(sound.begin, [prompt])[0] for prompt in PROMPTS] == expected


def test_rows_that_grow_beyond_the_limit_of_longrope_begin_anew(
    capsys: pytest.CaptureFixture[str],
) -> None:
    limit = 9
    model = with_longrope(limit)
    sharpen(model)
    begin = of_model(model, V)
    expected = [plain_tokens(model, prompt) for prompt in PROMPTS]
    wrong = [decoded_tokens(begin, [prompt])[0] for prompt in PROMPTS]
    assert wrong != expected  # or there is nothing to test
    sound = sound_decoding(model, V).begin
    assert [decoded_tokens(sound, [prompt])[0] for prompt in PROMPTS] == expected
    together = decoded_tokens(sound, PROMPTS)
    assert [together[0], together[2]] == [expected[0], expected[2]]
    assert capsys.readouterr().err.count(f"change beyond {limit} tokens") == 1
    decoded_tokens(sound, [PROMPTS[0][: limit - STEPS]])
    assert capsys.readouterr().err == ""


def test_most_models_have_no_limit() -> None:
    assert rope_limit(build("LlamaForCausalLM").config) is None
    assert rope_limit(with_longrope(9).config) == 9


def test_the_page_lists_every_class() -> None:
    version, page = architectures.stored()
    if version == transformers.__version__:
        assert sorted(page) == variants()


# What the guard says


def test_nothing_is_said_when_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    guarded(build("LlamaForCausalLM"), V)
    assert capsys.readouterr() == ("", "")


def test_a_slow_way_is_announced_once_for_each_model(capsys: pytest.CaptureFixture[str]) -> None:
    known = SoundDecodings(V)
    models = [build("BartForCausalLM"), build("LlamaForCausalLM")]
    for _ in range(2):
        for model in models:
            known.of(model)
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("BartForCausalLM: rows are decoded one at a time: in a batch its logits")
    assert known.of(models[0]) is known.of(models[0])


def test_a_model_that_fails_in_every_way_is_refused_in_one_line() -> None:
    model = build("LlamaForCausalLM")
    forward = type(model).forward
    calls: list[int] = []

    class Moody(type(model)):
        """Other logits after the guard's five plain passes."""

        def forward(self, *args: Any, **words: Any) -> Any:
            output = forward(self, *args, **words)
            calls.append(1)
            if len(calls) > 5:
                output.logits = output.logits.roll(1, -1)
            return output

    model.__class__ = Moody
    with pytest.raises(InputError, match=r"^Moody: no way of decoding agrees .* spread$") as caught:
        sound_decoding(model, V)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_finite_are_refused() -> None:
    model = build("LlamaForCausalLM")
    with torch.no_grad():
        model.model.embed_tokens.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="the logits are not finite"):
        sound_decoding(model, V)


def test_the_guard_leaves_a_model_and_the_random_state_as_they_were() -> None:
    model = build("GPT2LMHeadModel").train()
    model.transformer.h[0].eval()
    before = torch.get_rng_state()
    sound_decoding(model, V)
    assert model.training
    assert not model.transformer.h[0].training
    assert not model.transformer.h[0].attn.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "MambaForCausalLM", "Gemma4ForCausalLM"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.filterwarnings("ignore")
def test_low_precision_is_no_reason_for_a_slower_way(name: str, dtype: torch.dtype) -> None:
    model = build(name)
    path = sound_decoding(model, V).path
    assert sound_decoding(model.to(dtype), V).path == path


class Unsteady(transformers.LlamaForCausalLM):
    """Unlikely tokens move its logits, as rounding does those of Gemma 3; it writes likely ones."""

    LIKELY = 8

    def forward(self, input_ids: torch.Tensor, **words: Any) -> Any:
        """The logits, disturbed where a short row has an unlikely token."""
        output = super().forward(input_ids, **words)
        output.logits[..., : self.LIKELY] += 30
        if input_ids.shape[1] < 17 and bool((input_ids >= self.LIKELY).any()):
            output.logits += 8 * torch.randn(V, generator=torch.Generator().manual_seed(0))
        return output


def unsteady(dtype: torch.dtype) -> Any:
    """A model of that class, whose texts begin with a likely token."""
    model = build("LlamaForCausalLM")
    model.config.bos_token_id = 1
    model.__class__ = Unsteady
    return model.to(dtype)


def test_rounding_on_random_tokens_is_no_reason_for_a_slower_way() -> None:
    model = unsteady(torch.bfloat16)
    assert max(max(text) for text in own_text(model, V, (9, 21))) < Unsteady.LIKELY
    assert sound_decoding(model, V).path == "fast"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_rounding_does_not_explain_is(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    if dtype is torch.bfloat16:  # it disagrees on its own text too
        monkeypatch.setattr(Unsteady, "LIKELY", 1)
    assert sound_decoding(unsteady(dtype), V).path == "recomputed"


def test_own_text_is_the_same_at_every_call_and_leaves_special_tokens_out() -> None:
    model = build("LlamaForCausalLM")
    model.config.bos_token_id = 1
    texts = own_text(model, V, (3, 9, 70))
    assert texts == own_text(model, V, (3, 9, 70))
    assert [len(text) for text in texts] == [3, 9, 70]
    assert all(text[0] == 1 for text in texts)
    assert not special_tokens(model.config) & {token for text in texts for token in text[1:]}


# Memory


@pytest.fixture
def own_precision() -> Iterator[None]:
    """Let a test choose accelerate's precision, which a process keeps."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


@pytest.mark.usefixtures("own_precision")
def test_a_model_prepared_for_autocast_is_checked_without_it() -> None:
    # accelerate's forward pass in bfloat16 was taken for the model's own in float32.
    from accelerate import Accelerator

    model = Accelerator(mixed_precision="bf16").prepare_model(build("LlamaForCausalLM"))
    under_autocast = model.forward
    expected = plain_logits(build("LlamaForCausalLM").eval(), (1, 2, 3))
    assert not torch.equal(plain_logits(model.eval(), (1, 2, 3)), expected)
    with plainly(model):
        assert torch.equal(plain_logits(model, (1, 2, 3)), expected)
    assert model.forward == under_autocast
    assert sound_decoding(model, V).path == "fast"


def test_the_largest_layer_counts_where_layers_differ() -> None:
    model = build("Gemma4ForCausalLM")
    config = model.config.get_text_config()
    widths = [config.per_layer_config[layer].head_dim for layer in range(2)]
    assert widths[0] != widths[1]
    cache = 2 * 2 * 2 * max(widths) * 4 * 40  # keys and values, layers, heads, width, bytes, tokens
    assert _bytes_per_row(model, 40) == 2 * cache + 6 * 4 * V
