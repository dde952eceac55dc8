"""Scores in chunks equal one softmax over all positions, whatever the batch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from kdbench.errors import InputError
from kdbench.fidelity.forward import TeacherScorer, TextScores, compare_batch
from kdbench.fidelity.teachers.live import LiveScores
from kdbench.fidelity.texts import ComparedText
from kdbench.metrics import PositionMetric, Positions, TokenMetric, metrics
from kdbench.views import Batch, ModelView, Rollout, view

V, STUDENT_HEAD, TEACHER_HEAD, EOS = 61, 65, 67, 2
KINDS = [metrics.get(name) for name in metrics.names()]
EVERY = [kind() for kind in KINDS if issubclass(kind, PositionMetric)]
FAMILIES = ["llama", "gpt2"]
# In a different batch logits differ in the last digit, and two neighbours among the 50 tokens may
# change places. That changes tau by 4 / (50 * 49), and rho by up to 12 * 49 / (50**3 - 50).
PLACES = {"kendall": 4 / (50 * 49), "spearman": 12 * 49 / (50**3 - 50)}


def text(
    document: str, prompt: Sequence[int], response: Sequence[int], seed: int = 0
) -> ComparedText:
    return ComparedText(seed, Rollout(document, tuple(prompt), tuple(response), "student"))


TEXTS = [
    text("a", (3, 4, 5, 6), (7, 8, 9, EOS)),
    text("b", (10,), (11, 12, 13, 14, 15, 16, 60, 18, 19, EOS)),
    text("c", (20, 21), (EOS,)),
    text("d", range(22, 40), (50, 51)),
    text("a", (3, 4, 5, 6), (9, 9, 9, 9, 9, 9), seed=1),
]
# The teacher gets different prompts, of different lengths.
ITS_PROMPTS = {"a": (1, 3, 4, 5, 6), "b": (9, 10), "c": (20,), "d": tuple(range(22, 40))}


class Pair:
    """A student and a teacher whose heads are padded to different widths."""

    def __init__(self, student: Any, teacher: Any):
        self.models = student, teacher
        self.student = ModelView(student, V)
        self.teacher = ModelView(teacher, V, prompt=lambda rollout: ITS_PROMPTS[rollout.id])

    def see(self, batch: Batch, _: Sequence[ComparedText]) -> LiveScores:
        return LiveScores(self.teacher, batch, None)

    def compare(
        self, texts: Sequence[ComparedText], chunk: int | None = None, where: str = "student"
    ) -> list[TextScores]:
        return list(compare_batch(texts, self.student, self.see, EVERY, where, chunk))

    @torch.no_grad()
    def logits(self, compared: ComparedText) -> list[torch.Tensor]:
        """Full logits of both models on a single text, from one forward pass."""
        logits = []
        for model, prompt in zip(
            self.models,
            (compared.rollout.prompt_ids, ITS_PROMPTS[compared.rollout.id]),
            strict=True,
        ):
            ids = torch.tensor([[*prompt, *compared.rollout.response_ids]])
            logits.append(model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float())
        return logits

    def expected(self, compared: ComparedText, where: str = "student") -> dict[str, np.ndarray]:
        log_q, log_p = (logits[:, :V].log_softmax(-1) for logits in self.logits(compared))
        at = Positions(log_p, log_q, torch.tensor(compared.rollout.response_ids), where)
        return {
            metric.name: metric.values(at).double().numpy()
            if isinstance(metric, TokenMetric)
            else metric.sums(at).double().sum(0).numpy()
            for metric in EVERY
        }


@pytest.fixture(scope="module")
def pairs(tiny: Callable[..., Any]) -> dict[str, Pair]:
    return {
        family: Pair(tiny(family, STUDENT_HEAD, 1), tiny(family, TEACHER_HEAD, 2))
        for family in FAMILIES
    }


def assert_same(actual: TextScores, expected: dict[str, np.ndarray]) -> None:
    numbers = {**actual.tokens, **actual.pooled}
    assert numbers.keys() == expected.keys()
    for name, values in numbers.items():
        assert values.shape == expected[name].shape, name
        slack = PLACES.get(name, 1e-5)
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=slack, err_msg=name)


def test_the_two_models_differ(pairs: dict[str, Pair]) -> None:
    """Otherwise the tests below would be vacuous."""
    for pair in pairs.values():
        assert all(pair.expected(text)["fkl"].min() > 0.01 for text in TEXTS)


@pytest.mark.parametrize("where", ["ref", "teacher", "student"])
@pytest.mark.parametrize("chunk", [1, 7, None])
@pytest.mark.parametrize("family", FAMILIES)
def test_values_equal_those_from_the_full_logits(
    pairs: dict[str, Pair], family: str, chunk: int | None, where: str
) -> None:
    outcomes = pairs[family].compare(TEXTS, chunk, where)
    assert [outcome.text for outcome in outcomes] == TEXTS
    for outcome, compared in zip(outcomes, TEXTS, strict=True):
        assert_same(outcome, pairs[family].expected(compared, where))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_alone_scores_as_in_a_batch(pairs: dict[str, Pair], family: str) -> None:
    for compared in TEXTS:
        (alone,) = pairs[family].compare([compared])
        assert_same(alone, pairs[family].expected(compared))


@st.composite
def batches(draw: st.DrawFn) -> list[ComparedText]:
    tokens = st.integers(3, V - 1)
    return [
        text(
            draw(st.sampled_from("abcd")),
            draw(st.lists(tokens, min_size=1, max_size=6)),
            draw(st.lists(tokens, min_size=1, max_size=9)),
            seed,
        )
        for seed in range(draw(st.integers(1, 4)))
    ]


@settings(max_examples=25)
@given(batch=batches(), chunk=st.integers(1, 12), family=st.sampled_from(FAMILIES))
def test_batch_order_and_chunk_size_do_not_change_the_values(
    pairs: dict[str, Pair], batch: list[ComparedText], chunk: int, family: str
) -> None:
    for outcome in pairs[family].compare([*batch, *TEXTS[:1]][::-1], chunk):
        assert_same(outcome, pairs[family].expected(outcome.text))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_mass_on_padded_head_columns_is_recorded(pairs: dict[str, Pair], family: str) -> None:
    for outcome in pairs[family].compare(TEXTS, 3):
        beyond = [
            float(logits.softmax(-1)[:, V:].sum(-1).mean())
            for logits in pairs[family].logits(outcome.text)
        ]
        assert outcome.cut_mass == pytest.approx(beyond, abs=1e-6)
        assert min(beyond) > 1e-4


def test_a_student_equal_to_its_teacher_is_perfect_at_every_position(
    tiny: Callable[..., Any],
) -> None:
    model = tiny("llama", V, 3)
    see: TeacherScorer = lambda batch, texts: LiveScores(ModelView(model, V), batch, None)  # noqa: E731
    for outcome in compare_batch(TEXTS, ModelView(model, V), see, EVERY, "student", 4):
        for metric in EVERY:
            if isinstance(metric, TokenMetric) and metric.perfect is not None:
                values = outcome.tokens[metric.name]
                counted = values[~np.isnan(values)]
                assert counted == pytest.approx(np.full(len(counted), metric.perfect), abs=1e-5)


# Memory


class Widest(TorchDispatchMode):
    """Record the largest number of rows of any tensor that is as wide as a head."""

    def __init__(self, widths: set[int]):
        super().__init__()
        self.widths, self.rows = widths, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            is_wide = (
                isinstance(tensor, torch.Tensor) and tensor.ndim and tensor.shape[-1] in self.widths
            )
            if is_wide and func.name() != "aten::t":  # a view of the head's weights
                self.rows = max(self.rows, tensor.numel() // tensor.shape[-1])
        return result


@pytest.mark.parametrize("length", [20, 200])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_tensor_over_the_vocabulary_has_more_rows_than_a_chunk(
    pairs: dict[str, Pair], family: str, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk, seen, log_probs = 7, [], ModelView.log_probs

    def recorded(view: ModelView, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        computed = log_probs(view, states)
        seen.append(tuple(computed[0].shape))
        return computed

    monkeypatch.setattr(ModelView, "log_probs", recorded)
    long = [text("a", (3, 4), [5 + place % 50 for place in range(length)], s) for s in (0, 1)]
    with Widest({V, STUDENT_HEAD, TEACHER_HEAD}) as widest:
        outcomes = pairs[family].compare(long, chunk)
    assert len(outcomes[0].tokens["fkl"]) == length
    assert max(rows for rows, _ in seen) == chunk
    assert sum(rows for rows, _ in seen) == 2 * 2 * length
    assert {columns for _, columns in seen} == {V}
    assert widest.rows == chunk


def test_the_automatic_chunk_is_bounded_by_the_vocabulary(
    pairs: dict[str, Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(view._ELEMENTS, "cpu", 4 * 17 * V)
    seen, log_probs = [], ModelView.log_probs
    monkeypatch.setattr(
        ModelView, "log_probs", lambda *given: [seen.append(len(given[1])), log_probs(*given)][1]
    )
    pairs["llama"].compare(TEXTS)
    assert max(seen) == 17


# Broken weights


def broken(model: Any, token: int | None = None) -> Any:
    """The embedding of one token, or of all tokens, is NaN."""
    with torch.no_grad():
        model.get_input_embeddings().weight[slice(None) if token is None else token] = torch.nan
    return model


@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize("whose", ["student", "teacher"])
@pytest.mark.parametrize("family", FAMILIES)
def test_non_finite_weights_give_an_error_that_names_the_document(
    tiny: Callable[..., Any], family: str, whose: str, padding: int
) -> None:
    token = 13  # of document b alone
    student, teacher = tiny(family, V + padding, 1), tiny(family, V + padding, 2)
    chosen = student if whose == "student" else teacher
    chosen.lm_head.weight = torch.nn.Parameter(chosen.lm_head.weight.clone())  # not the embedding
    broken(chosen, token)
    pair = Pair(student, teacher)
    outcomes = compare_batch(TEXTS, pair.student, pair.see, EVERY, "ref", 3)
    assert next(outcomes).text == TEXTS[0]  # the weights are finite here
    with pytest.raises(InputError, match="logits on document 'b' are not finite: the weights"):
        next(outcomes)


@pytest.mark.parametrize("chunk", [1, None])
def test_non_finite_weights_are_found_with_any_metrics(
    tiny: Callable[..., Any], chunk: int | None
) -> None:
    pair = Pair(broken(tiny("llama", V, 1)), tiny("llama", V, 2))
    for only in ([], EVERY[:1]):
        with pytest.raises(InputError, match="document 'a'"):
            list(compare_batch(TEXTS, pair.student, pair.see, only, "ref", chunk))
