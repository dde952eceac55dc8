"""The token metrics of a task, one position set after another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kdbench.fidelity.details_writer import details_writer
from kdbench.fidelity.model_pair import ModelPair, SetTexts
from kdbench.fidelity.results import Results
from kdbench.fidelity.set_scores import SetScores
from kdbench.fidelity.tokens import ForwardPass, lines_of, score_set
from kdbench.fidelity.wanted import GAP, WantedMetrics, with_alignment
from kdbench.metrics import POSITION_SETS, PositionMetric, PositionSet, TokenMetric
from kdbench.task import NO_REFERENCES
from kdbench.views import ModelView
from kdbench.views.token_text import byte_lengths


@dataclass(frozen=True)
class TokenFacts:
    """What a comparison of distributions did not see, stored with the teacher's identity.

    Attributes:
        left_out: Number of texts that not both models can score, by position set.
        outside_top_k: Mean probability outside the teacher's top k of both models, by position set;
            None if all of the teacher's tokens are known.
        cut_mass: Mean probability of tokens that are not shared, by position set; None if it is 0.
        tokenizers: How the tokenizers differ; None if they do not.
    """

    left_out: Mapping[PositionSet, int]
    outside_top_k: Mapping[PositionSet, Mapping[str, float]] | None
    cut_mass: Mapping[PositionSet, Mapping[str, float]] | None
    tokenizers: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The facts that there are."""
        facts = {
            "left_out": self.left_out or None,
            "outside_top_k": self.outside_top_k,
            "cut_mass": self.cut_mass,
            "tokenizers": self.tokenizers,
        }
        return {name: fact for name, fact in facts.items() if fact is not None}


NO_FACTS = TokenFacts({}, None, None)


def add_token_metrics(results: Results, pair: ModelPair, wanted: WantedMetrics) -> TokenFacts:
    """Measure the token metrics and add them to the results.

    Args:
        results: Results to add to.
        pair: Student, teacher and task.
        wanted: Metrics to measure.

    Returns:
        What the metrics did not see.

    Raises:
        InputError: The models cannot be compared, or logits are not finite.
    """
    names = wanted.token_names()
    if not names:
        return NO_FACTS
    if reason := pair.why_no_probabilities():
        results.add_nulls(names, wanted, reason)
        return NO_FACTS
    wanted = with_alignment(wanted) if pair.is_aligned else wanted
    sets: dict[PositionSet, SetScores] = {}
    for position_set in POSITION_SETS:
        if wanted.at(position_set):
            scores = _add_set(results, pair, wanted, position_set)
            if scores is not None:
                sets[position_set] = scores
    exact = pair.teacher.top_k is None and not pair.has_rest
    no_reference = None if pair.task.has_references else NO_REFERENCES
    _add_gaps(results, wanted, sets, exact, no_reference)
    if exact or not pair.is_aligned:
        _add_curve_metrics(results, wanted, sets, pair.teacher.top_k)
    else:
        names = [metric.name for metric in wanted.curve_metrics()]
        results.add_nulls(names, wanted, str(pair.tokenizer_difference))
    return replace(_facts(sets, pair.teacher.top_k), tokenizers=pair.tokenizer_difference)


def _add_set(
    results: Results, pair: ModelPair, wanted: WantedMetrics, position_set: PositionSet
) -> SetScores | None:
    """Add the metrics of a position set; return its scores, or None if there are none."""
    metrics = _defined_metrics(results, pair, wanted, position_set)
    if position_set == "teacher" and (no_responses := pair.teacher.no_responses):
        names = [f"{metric.name}@{position_set}" for metric in metrics]
        results.add_nulls(names, wanted, no_responses)
        return None
    texts = pair.texts(position_set)
    reason = pair.teacher.why_not(texts.texts, pair.teacher_prompts)
    if not texts.texts:
        no_texts = position_set == "ref" and not pair.task.has_references
        reason = NO_REFERENCES if no_texts else "no response of which both know every token"
    if reason:
        results.add_nulls([f"{metric.name}@{position_set}" for metric in metrics], wanted, reason)
        return None
    scores = _score(pair, texts, metrics)
    results.add_set(scores, metrics, pair.teacher.top_k, pair.has_rest)
    return scores


def _defined_metrics(
    results: Results, pair: ModelPair, wanted: WantedMetrics, position_set: PositionSet
) -> list[PositionMetric]:
    """Return the wanted metrics that are defined; the others are added without a number."""
    undefined: dict[str, str] = {}
    for metric in wanted.at(position_set):
        if not pair.teacher.knows_entropy and metric.needs_entropy:
            reason = f"the teacher's entropy is not known from its top {pair.teacher.top_k}"
            undefined[metric.name] = reason
        if pair.is_aligned and not metric.across_tokenizers:
            undefined[metric.name] = str(pair.tokenizer_difference)
        of_plain_samples = isinstance(metric, TokenMetric) and metric.of_plain_samples
        sampled = position_set != "ref"
        if sampled and of_plain_samples and not pair.student.protocol.samples_plainly:
            undefined[metric.name] = "needs samples of temperature=1, top_p=1, top_k=0"
    for name, reason in undefined.items():
        results.add_nulls([f"{name}@{position_set}"], wanted, reason)
    return [metric for metric in wanted.at(position_set) if metric.name not in undefined]


def _score(pair: ModelPair, texts: SetTexts, metrics: list[PositionMetric]) -> SetScores:
    """Run both models over the texts, except those already stored."""
    student, teacher, task = pair.student, pair.teacher, pair.task
    view = ModelView(student.backend.model, pair.vocabulary)
    view.check()
    forward_pass = ForwardPass(
        texts.position_set,
        metrics,
        view,
        pair.teacher_scorer(),
        lambda text: teacher.must_cache(text, pair.teacher_prompts),
        student.protocol.max_new_tokens,
        _byte_lengths(pair, metrics),
        details_writer(pair) if texts.position_set == "student" else None,
    )
    key = [teacher.identity, pair.vocabulary, list(texts.seeds)]
    file = lines_of(student.run, task.name, forward_pass, key)
    return SetScores(
        texts.position_set,
        [document.id for document in task.documents],
        texts.seeds,
        forward_pass.limit,
        score_set(file, task.name, texts.texts, forward_pass),
        texts.left_out,
    )


def _byte_lengths(pair: ModelPair, metrics: Sequence[PositionMetric]) -> list[int] | None:
    """Return how many bytes each token of the student writes, if a metric counts them."""
    if not any(metric.needs_bytes for metric in metrics):
        return None
    backend = pair.student.backend
    return byte_lengths(backend.tokenizer, backend.ends | pair.teacher.ends)


def _add_gaps(
    results: Results,
    wanted: WantedMetrics,
    sets: Mapping[PositionSet, SetScores],
    exact: bool,
    no_reference: str | None,
) -> None:
    for metric in wanted.gaps():
        missing = [end for end in ("student", "ref") if end not in sets]
        if no_reference:
            results.add_nulls([f"{metric.name}@{GAP}"], wanted, no_reference)
        elif missing or (not exact and metric.from_top_k != "exact"):
            reason = f"needs the exact @{missing[0] if missing else 'student'} scores"
            results.add_nulls([f"{metric.name}@{GAP}"], wanted, reason)
        else:
            results.add_gap(metric, sets["student"], sets["ref"])


def _add_curve_metrics(
    results: Results,
    wanted: WantedMetrics,
    sets: Mapping[PositionSet, SetScores],
    top_k: int | None,
) -> None:
    for metric in wanted.curve_metrics():
        if missing := [position_set for position_set in metric.sets if position_set not in sets]:
            results.add_nulls([metric.name], wanted, f"needs the @{missing[0]} scores")
        else:
            results.add_curve_metric(metric, sets, top_k)


def _facts(sets: Mapping[PositionSet, SetScores], top_k: int | None) -> TokenFacts:
    outside = {position_set: scores.mass("outside") for position_set, scores in sets.items()}
    cut = {position_set: scores.mass("cut_mass") for position_set, scores in sets.items()}
    return TokenFacts(
        left_out={name: scores.left_out for name, scores in sets.items() if scores.left_out},
        outside_top_k=None if top_k is None else outside,
        cut_mass=cut if any(any(masses.values()) for masses in cut.values()) else None,
    )
