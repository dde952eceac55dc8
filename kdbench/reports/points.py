"""Points of the pictures of final answers, curves by token, exposure error and calibration."""

from kdbench.reports.levels import level, results_of
from kdbench.reports.model import (
    AnswerShares,
    BandPoint,
    CalibrationPoint,
    CurvePoint,
    ExposurePoint,
)
from kdbench.reports.select import Selection
from kdbench.stats.paired import equal_sizes_p, sign_flips
from kdbench.store.results import TaskResult

SETS = ("ref", "teacher", "student")
_CALIBRATION = ("ece", "ece_teacher", "ece_teacher_soft", "confidence_gap")  # lower is better
_SHARES = ("rr", "wws", "wr", "rw", "wwd")


def band_points(selection: Selection) -> list[BandPoint]:
    """Accuracy and agreement, for every result whose answers are known to be right or wrong."""
    points = []
    for task, student, result in results_of(selection):
        accuracy = level(result, "answer_accuracy")
        agreement = level(result, "answer_agreement")
        teacher_accuracy = level(result, "teacher_accuracy")
        if accuracy and agreement and teacher_accuracy:
            points.append(
                BandPoint(
                    task,
                    student,
                    accuracy,
                    agreement,
                    teacher_accuracy.value,
                    result.metrics["answer_agreement"].ceiling,
                    level(result, "error_agreement"),
                    level(result, "error_kappa"),
                )
            )
    return points


def answer_shares(selection: Selection) -> list[AnswerShares]:
    """The five shares of right and wrong answers, for every result that has all of them."""
    rows = []
    for task, student, result in results_of(selection):
        shares = [level(result, f"answers_{name}") for name in _SHARES]
        known = [share.value for share in shares if share is not None]
        if len(known) == len(_SHARES):
            n = result.metrics["answers_rr"].n
            rr, wws, wr, rw, wwd = known
            p = equally_right_p(result)
            rows.append(AnswerShares(task, student, rr, wws, wr, rw, wwd, n, p))
    return rows


def equally_right_p(result: TaskResult) -> float | None:
    """The p-value that student and teacher are equally likely to be right where the other is wrong.

    With one response to a document it is that of McNemar's exact test. With several, a document's
    difference is a mean over seeds, and its sign is flipped as a whole.

    Args:
        result: Result of the student.

    Returns:
        The p-value; None without numbers by document.
    """
    import numpy as np

    columns = [result.documents.get(f"answers_{name}") for name in ("wr", "rw")]
    if columns[0] is None or columns[1] is None:
        return None
    pairs = [pair for pair in zip(*columns, strict=True) if None not in pair]
    if not pairs:
        return None
    differences = np.array([wr - rw for wr, rw in pairs])
    exact = equal_sizes_p(differences)
    return sign_flips(differences).p() if exact is None else exact


def curve_points(selection: Selection, metric: str) -> list[CurvePoint]:
    """A metric by token, on all three position sets."""
    return [
        CurvePoint(task, student, where, start, stop, value, low, high, n)
        for task, student, result in results_of(selection)
        for where in SETS
        if (curve := result.curves.get(f"{metric}@{where}"))
        for start, stop, value, low, high, n in zip(
            *(curve[key] for key in ("start", "stop", "value", "ci_low", "ci_high", "n")),
            strict=True,
        )
    ]


def exposure_points(selection: Selection) -> list[ExposurePoint]:
    """The accumulated exposure error by length."""
    return [
        ExposurePoint(task, student, length, value, n)
        for task, student, result in results_of(selection)
        if "stop" in (curve := result.curves.get("exposure_error") or {})
        for length, value, n in zip(curve["stop"], curve["value"], curve["n"], strict=True)
    ]


def calibration_points(selection: Selection) -> list[CalibrationPoint]:
    """Every calibration error that has a number."""
    return [
        CalibrationPoint(task, student, name, error)
        for task, student, result in results_of(selection)
        for name in result.metrics
        if name.partition("@")[0] in _CALIBRATION
        if (error := level(result, name)) is not None
    ]
