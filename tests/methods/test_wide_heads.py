"""Every method's loss, where a head has columns beyond the vocabulary."""

import pytest
import torch

from kdbench.methods import methods
from kdbench.testing import cases_of
from kdbench.testing.table import VOCABULARY
from kdbench.views.view import ModelView
from tests.methods.begun import begun
from tests.methods.by_design import CONTEXTS
from tests.methods.wide_heads import wide_model


@pytest.fixture(scope="module")
def models():
    return {padding: wide_model(VOCABULARY, padding) for padding in (0, 3)}


def losses(name, models, padded):
    triple = begun(name, methods.get(name)().triple())
    for case in cases_of(triple, name, context=CONTEXTS.get(name)):
        if not case.top_k:
            kinds = {"student": "student", **dict.fromkeys(case.view_names, "others")}
            views = {
                view: ModelView(models[3 if kind in padded else 0], VOCABULARY)
                for view, kind in kinds.items()
            }
            rows, parts = case.rollouts(), case.parts(torch.float32)
            yield float(case.loss(rows, views, parts).value.detach())


@pytest.mark.parametrize("name", methods.names())
@pytest.mark.parametrize("padded", [("student",), ("others",), ("student", "others")])
def test_more_columns_than_tokens_give_the_same_loss(name, padded, models):
    narrow = list(losses(name, models, ()))
    assert list(losses(name, models, padded)) == pytest.approx(narrow, abs=1e-5)
