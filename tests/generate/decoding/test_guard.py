"""The guard over every causal-LM class: no way of decoding is used that gives other tokens."""

from collections.abc import Sequence
from typing import Any

import architectures
import pytest
import torch
import transformers
from tiny_models import NOT_BUILT, V, build, variants

from kdbench.errors import InputError
from kdbench.generate.decoding.guard import SoundDecodings, guarded, sound_decoding
from kdbench.generate.decoding.kinds import Begin

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
    if sound is None:
        assert verdict.decoding in {"refused", "not tried"}
        return
    sharpen(model)
    expected = [plain_tokens(model, prompt) for prompt in PROMPTS]
    found = decoded_tokens(sound.begin, PROMPTS)
    assert [found[0], found[2]] == [expected[0], expected[2]]
    assert found[1] == expected[1][: len(found[1])]
    assert [decoded_tokens(sound.begin, [prompt])[0] for prompt in PROMPTS] == expected
