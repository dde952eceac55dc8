"""The numbers of a report: everything that its pictures, its page and its files show."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kdbench.stats.estimates import Estimate

Quadrant = Literal["faithful gain", "unfaithful gain", "faithful loss", "unfaithful loss"]


@dataclass(frozen=True)
class Number:
    """A number with its 95 % interval over prompts.

    Attributes:
        value: The number.
        low: Lower end of the interval; None where there is no interval.
        high: Upper end of the interval.
        n: Number of prompts behind it.
        standard_error: Standard error over prompts; None where it is unknown.
        skewness: Skewness of the mean over prompts.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0
    standard_error: float | None = None
    skewness: float | None = None

    @property
    def sure_sign(self) -> int:
        """1 or -1 if the interval is on one side of 0, else 0."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return 0
        return 1 if self.low > 0 else -1

    @classmethod
    def of(cls, estimate: "Estimate") -> "Number":
        """The number of an estimate that has a value."""
        assert estimate.value is not None  # noqa: S101 - for the type checker
        return cls(
            estimate.value,
            estimate.ci_low,
            estimate.ci_high,
            estimate.n,
            estimate.standard_error,
            estimate.skewness,
        )


@dataclass(frozen=True)
class StudentRow:
    """A run that was compared with the teacher.

    Attributes:
        run: Folder of the run, relative to the results; unique.
        label: Name for readers; unique in a report.
        model: Name of the model.
        method: Label of the method, or the model's name if it has none.
        parameters: Parameter count of the model, if known.
        baseline: Whether gains and changes are measured from this student.
    """

    run: str
    label: str
    model: str
    method: str
    parameters: int | None
    baseline: bool


@dataclass(frozen=True)
class Axis:
    """A metric that a report plots.

    Attributes:
        name: Name of the result.
        unit: Unit of its numbers.
        direction: `higher` or `lower`: the better direction.
    """

    name: str
    unit: str
    direction: str

    @property
    def sign(self) -> int:
        """The factor that makes an improvement positive."""
        return -1 if self.direction == "lower" else 1


@dataclass(frozen=True)
class Point:
    """A student on a task: its score, its fidelity, and how both differ from the baseline's.

    Attributes:
        task: Name of the task; AVG for the plain mean over all tasks.
        student: The student.
        score: Level of the score.
        fidelity: Level of the fidelity.
        gain: Score relative to the baseline, positive is better; None without a baseline.
        change: Fidelity relative to the baseline, positive is more faithful.
    """

    task: str
    student: StudentRow
    score: Number
    fidelity: Number
    gain: Number | None = None
    change: Number | None = None

    @property
    def quadrant(self) -> Quadrant | None:
        """Where gain and change are; None unless both intervals leave 0, or without a baseline."""
        if self.gain is None or self.change is None:
            return None
        better, closer = self.gain.sure_sign, self.change.sure_sign
        if not better or not closer:
            return None
        if better > 0:
            return "faithful gain" if closer > 0 else "unfaithful gain"
        return "faithful loss" if closer > 0 else "unfaithful loss"


@dataclass(frozen=True)
class BandPoint:
    """Agreement of final answers, and the band that the two accuracies allow.

    Attributes:
        task: Name of the task.
        student: The student.
        accuracy: Share of the student's answers that are right.
        agreement: Share of the student's answers that equal the teacher's.
        teacher_accuracy: Share of the teacher's answers that are right.
        ceiling: Agreement of the teacher with itself, if known.
        error_agreement: Share of equal answers where both are wrong, if known.
        kappa: Cohen's kappa of being right, if known.
    """

    task: str
    student: StudentRow
    accuracy: Number
    agreement: Number
    teacher_accuracy: float
    ceiling: float | None = None
    error_agreement: Number | None = None
    kappa: Number | None = None

    @property
    def low(self) -> float:
        """The lowest agreement that the two accuracies allow."""
        return max(0.0, self.teacher_accuracy + self.accuracy.value - 1)

    @property
    def high(self) -> float:
        """The highest agreement that the two accuracies allow."""
        return 1 - abs(self.teacher_accuracy - self.accuracy.value)

    @property
    def independent(self) -> float:
        """The agreement if right answers are independent and wrong answers never match."""
        return self.teacher_accuracy * self.accuracy.value

    @property
    def position(self) -> float | None:
        """The position within the band, 0 to 1; None where the band has no width."""
        width = self.high - self.low
        return (self.agreement.value - self.low) / width if width > 1e-12 else None


@dataclass(frozen=True)
class AnswerShares:
    """Shares of the pairs of final answers, by who is right; they sum to 1.

    Attributes:
        task: Name of the task.
        student: The student.
        rr: Both are right.
        wws: Both are wrong, with the same answer.
        wr: Only the student is right.
        rw: Only the teacher is right.
        wwd: Both are wrong, with different answers.
        n: Number of documents.
        p: P-value of the test that WR and RW are equally likely; None without numbers by document.
    """

    task: str
    student: StudentRow
    rr: float
    wws: float
    wr: float
    rw: float
    wwd: float
    n: int = 0
    p: float | None = None


@dataclass(frozen=True)
class CurvePoint:
    """Fidelity at a bucket of token indices.

    Attributes:
        task: Name of the task.
        student: The student.
        where: Position set: `ref`, `teacher` or `student`.
        start: First token index of the bucket.
        stop: First token index after the bucket.
        value: Mean over the responses that reach the bucket; None if not defined.
        low: Lower end of its interval, if known.
        high: Upper end of its interval.
        n: Number of responses that reach the bucket.
    """

    task: str
    student: StudentRow
    where: str
    start: int
    stop: int
    value: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def middle(self) -> float:
        """The geometric mean of the first and the last token of the bucket, counted from 1."""
        return float(((self.start + 1) * self.stop) ** 0.5)


@dataclass(frozen=True)
class ExposurePoint:
    """Accumulated exposure error up to a length.

    Attributes:
        task: Name of the task.
        student: The student.
        length: Number of response tokens that are counted.
        value: Percent; None if not defined.
        n: Number of responses that are at least as long.
    """

    task: str
    student: StudentRow
    length: int
    value: float | None
    n: int


@dataclass(frozen=True)
class CalibrationPoint:
    """How far a student's confidence is from how often it is right.

    Attributes:
        task: Name of the task.
        student: The student.
        metric: Name of the result, such as `ece@ref`.
        error: The error; lower is better.
    """

    task: str
    student: StudentRow
    metric: str
    error: Number


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation over runs and tasks.

    Attributes:
        of: The two quantities.
        task: The task; None for all tasks.
        rho: The correlation; None where it is not defined.
        low: Lower end of its 95 % bootstrap interval, which resamples whole runs.
        high: Upper end of the interval.
        n: Number of points.
        runs: Number of runs that the points come from.
        reason: Why there is no number, or no interval.
    """

    of: str
    task: str | None
    rho: float | None
    low: float | None
    high: float | None
    n: int
    runs: int
    reason: str | None = None


@dataclass(frozen=True)
class Findings:
    """All numbers of a report.

    Attributes:
        score: Metric of gains.
        fidelity: Metric of changes.
        curve: Metric plotted by token; None if there is no curve.
        curve_unit: Unit of that metric.
        teacher: Name of the teacher.
        students: Students in order, the baseline first.
        tasks: Names of the tasks, in order.
        points: Scores and fidelities, by task and student.
        band: Agreement of final answers and its band.
        cells: Shares of right and wrong final answers.
        curves: Fidelity by token.
        exposure: Accumulated exposure error by length.
        calibration: Calibration errors, by task, student and metric.
        correlations: Correlations of score, fidelity, gain and change.
        left_out: What the report does not show, and why.
    """

    score: Axis
    fidelity: Axis
    curve: str | None
    curve_unit: str
    teacher: str
    students: tuple[StudentRow, ...]
    tasks: tuple[str, ...]
    points: tuple[Point, ...] = field(repr=False)
    band: tuple[BandPoint, ...] = field(repr=False)
    cells: tuple[AnswerShares, ...] = field(repr=False)
    curves: tuple[CurvePoint, ...] = field(repr=False)
    exposure: tuple[ExposurePoint, ...] = field(repr=False)
    calibration: tuple[CalibrationPoint, ...] = field(repr=False)
    correlations: tuple[Correlation, ...]
    left_out: tuple[str, ...]

    @property
    def baseline(self) -> StudentRow | None:
        """The student from which gains and changes are measured."""
        return next((student for student in self.students if student.baseline), None)

    @property
    def has_gains(self) -> bool:
        """Whether a student other than the baseline has a gain and a change."""
        return any(
            point.gain and point.change and not point.student.baseline for point in self.points
        )

    @property
    def has_exposure(self) -> bool:
        """Whether an exposure error is defined anywhere."""
        return any(point.value is not None for point in self.exposure)
