"""What a report shows, before it is drawn. Every number of a picture stands here first."""

from dataclasses import dataclass, field
from typing import Literal

Quadrant = Literal["faithful gain", "unfaithful gain", "faithful loss", "unfaithful loss"]


@dataclass(frozen=True)
class Number:
    """A number with its 95 % interval over prompts.

    Attributes:
        value: the number.
        low: lower end, None where there is no interval.
        high: upper end.
        n: prompts behind it.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0


@dataclass(frozen=True)
class Student:
    """A run that was measured beside the teacher.

    Attributes:
        run: its folder below the results; unique.
        label: for readers; unique in a report.
        model: its name.
        method: its label, the model's name if it has none.
        parameters: of the model, if known.
        baseline: whether gains and changes are measured against it.
    """

    run: str
    label: str
    model: str
    method: str
    parameters: int | None
    baseline: bool


@dataclass(frozen=True)
class Axis:
    """A metric of a report.

    Attributes:
        name: of the result.
        unit: of its numbers.
        direction: which way is better.
    """

    name: str
    unit: str
    direction: str

    @property
    def sign(self) -> int:
        """What makes a difference positive where it is for the better."""
        return -1 if self.direction == "lower" else 1


@dataclass(frozen=True)
class Point:
    """A student on a task: how good, how faithful, and how both changed.

    Attributes:
        task: its name, AVG for the plain mean over all tasks.
        student: whose.
        score: the level of the score.
        fidelity: the level of fidelity.
        gain: of the score over the baseline, positive is better; None without a baseline.
        change: of fidelity against the baseline, positive is more faithful.
    """

    task: str
    student: Student
    score: Number
    fidelity: Number
    gain: Number | None = None
    change: Number | None = None

    @property
    def quadrant(self) -> Quadrant | None:
        """The sign of both; None without a baseline, or where one is exactly 0."""
        if self.gain is None or self.change is None or not self.gain.value * self.change.value:
            return None
        if self.gain.value > 0:
            return "faithful gain" if self.change.value > 0 else "unfaithful gain"
        return "faithful loss" if self.change.value > 0 else "unfaithful loss"


@dataclass(frozen=True)
class BandPoint:
    """Agreement of final answers, within what the two accuracies allow.

    Attributes:
        task: its name.
        student: whose.
        accuracy: share of the student's answers that are right.
        agreement: share of them that are the teacher's.
        teacher_accuracy: share of the teacher's answers that are right.
        ceiling: the teacher's agreement with itself, if known.
        error_agreement: share of the same answer where both are wrong, if known.
        kappa: Cohen's, of being right, if known.
    """

    task: str
    student: Student
    accuracy: Number
    agreement: Number
    teacher_accuracy: float
    ceiling: float | None = None
    error_agreement: Number | None = None
    kappa: Number | None = None

    @property
    def low(self) -> float:
        """The least agreement that the two accuracies allow."""
        return max(0.0, self.teacher_accuracy + self.accuracy.value - 1)

    @property
    def high(self) -> float:
        """The most that they allow."""
        return 1 - abs(self.teacher_accuracy - self.accuracy.value)

    @property
    def independent(self) -> float:
        """Agreement if right answers are independent and wrong ones never the same."""
        return self.teacher_accuracy * self.accuracy.value

    @property
    def position(self) -> float | None:
        """The share of the way from the least to the most; None where they are equal."""
        way = self.high - self.low
        return (self.agreement.value - self.low) / way if way > 1e-12 else None


@dataclass(frozen=True)
class Cells:
    """Shares of pairs of final answers.

    Attributes:
        task: its name.
        student: whose.
        rr: both right.
        wws: both wrong, the same answer.
        wr: only the student right.
        rw: only the teacher right.
        wwd: both wrong, different answers.
    """

    task: str
    student: Student
    rr: float
    wws: float
    wr: float
    rw: float
    wwd: float


@dataclass(frozen=True)
class CurvePoint:
    """Fidelity at the token indices start to stop, the end not included.

    Attributes:
        task: its name.
        student: whose.
        where: the position set: ref, teacher or student.
        start: first index.
        stop: first index beyond.
        value: mean over the responses that reach it, None if not defined; with its interval.
        low: lower end of its interval, if known.
        high: upper end.
        n: responses.
    """

    task: str
    student: Student
    where: str
    start: int
    stop: int
    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class ExposurePoint:
    """Accumulated exposure error at a length.

    Attributes:
        task: its name.
        student: whose.
        length: tokens of a response that count.
        value: percent, None if not defined.
        n: responses that are as long.
    """

    task: str
    student: Student
    length: int
    value: float | None
    n: int


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation over runs and tasks.

    Attributes:
        of: the two quantities.
        task: the one task, None for all.
        rho: the correlation, None where it is not defined.
        low: lower end of its 95 % bootstrap interval; whole runs are drawn.
        high: upper end.
        n: points.
        runs: runs that they come from.
        reason: why there is no number, or no interval.
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
        score: metric of gains.
        fidelity: metric of changes.
        curve: metric of the pictures by token, None if there is no curve.
        curve_unit: its unit.
        teacher: its name.
        students: in order, the baseline first.
        tasks: in order.
        points: by task and student.
        band: positions within the band.
        cells: of final answers.
        curves: by token index.
        exposure: by length.
        correlations: of gain, score, change and fidelity.
        left_out: what is not shown, and why.
    """

    score: Axis
    fidelity: Axis
    curve: str | None
    curve_unit: str
    teacher: str
    students: tuple[Student, ...]
    tasks: tuple[str, ...]
    points: tuple[Point, ...] = field(repr=False)
    band: tuple[BandPoint, ...] = field(repr=False)
    cells: tuple[Cells, ...] = field(repr=False)
    curves: tuple[CurvePoint, ...] = field(repr=False)
    exposure: tuple[ExposurePoint, ...] = field(repr=False)
    correlations: tuple[Correlation, ...]
    left_out: tuple[str, ...]

    @property
    def baseline(self) -> Student | None:
        """The student that gains and changes are measured against."""
        return next((one for one in self.students if one.baseline), None)
