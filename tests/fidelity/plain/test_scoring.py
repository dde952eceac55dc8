"""Two models over a chunk, against softmaxes in numpy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from kdbench.errors import InputError
from kdbench.fidelity.plain.scoring import score_chunk
from kdbench.views import ModelView

V = 24


def log_softmax(model: Any, chunk: list[int]) -> "np.ndarray":
    with torch.no_grad():
        logits = model(torch.tensor([chunk])).logits[0].double().numpy()[:, :V]
    shifted = logits - logits.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


@pytest.mark.parametrize("length", [8, 9, 30])
@pytest.mark.parametrize("width", [V, V + 7])  # of a padded head
def test_the_second_half_is_compared(tiny: Callable[..., Any], length: int, width: int) -> None:
    student, teacher = tiny("llama", width, 0), tiny("llama", V, 1)
    chunk = [(7 * place + place * place) % V for place in range(length)]
    scored = score_chunk(chunk, ModelView(student, V), ModelView(teacher, V))
    log_q, log_p = log_softmax(student, chunk), log_softmax(teacher, chunk)
    places = list(range(length // 2, length - 1))  # as in perplexity.cpp: n_ctx/2 to n_ctx - 2
    for index, place in enumerate(places):
        p, q = log_p[place], log_q[place]
        assert scored.kl[index] == pytest.approx(float((np.exp(p) * (p - q)).sum()), abs=1e-5)
        assert scored.log_q[index] == pytest.approx(q[chunk[place + 1]], abs=1e-5)
        assert scored.log_p[index] == pytest.approx(p[chunk[place + 1]], abs=1e-5)
        assert scored.same_top[index] == float(p.argmax() == q.argmax())
    assert len(scored.kl) == len(places) == len(scored.same_top)
    assert 0 < scored.same_top.sum() + 1 < len(places) + 1


def test_a_model_beside_itself_differs_in_nothing(tiny: Callable[..., Any]) -> None:
    model = tiny("llama", V, 3)
    scored = score_chunk(list(range(V)), ModelView(model, V), ModelView(model, V))
    assert not scored.kl.any()
    assert scored.same_top.all()
    assert np.array_equal(scored.log_p, scored.log_q)


def test_broken_weights_are_refused(tiny: Callable[..., Any]) -> None:
    model, broken = tiny("llama", V, 3), tiny("llama", V, 3)
    broken.lm_head.weight.data[5, 0] = torch.nan
    with pytest.raises(InputError, match="the logits on the text are not finite"):
        score_chunk(list(range(V)), ModelView(model, V), ModelView(broken, V))
