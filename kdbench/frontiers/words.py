"""What a frontier says in words: a sentence for each student, and notes."""

from kdbench.store.frontiers import FrontierGain, FrontierRecord, FrontierStudent
from kdbench.text import DECIMALS, counted, interval, signed

VERDICTS = {"above": "above", "on": "on", "below": "below"}


def decimals_of(record: FrontierRecord) -> int:
    """Decimals of the quality."""
    return DECIMALS.get(record.unit, 2)


def p_text(p: float | None) -> str:
    """A p-value: `0.013`, `<0.001`; empty for none."""
    if p is None:
        return ""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def gain_text(gain: FrontierGain | None, decimals: int) -> str:
    """A gain with its interval; a dash for none."""
    if gain is None:
        return "–"
    return f"{signed(gain.value, decimals)} {interval(gain.low, gain.high, decimals)}".rstrip()


def verdict_text(student: FrontierStudent, record: FrontierRecord) -> str:
    """The verdict as a cell."""
    if student.label == record.baseline:
        return "baseline"
    if student.verdict is None:
        return "not compared" if student.gain is None else "no interval"
    return {"above": "above", "on": "not told apart", "below": "below"}[student.verdict]


def sentence(student: FrontierStudent, record: FrontierRecord) -> str:
    """What is known of a student's curve."""
    baseline, decimals = record.baseline, decimals_of(record)
    if student.gain is None:
        return f"{student.label}: not compared: {student.reason}."
    gain = f"{gain_text(student.gain, decimals)} {record.unit}"
    low, high = student.shared or (0.0, 0.0)
    over = f"over entropies of {low:.3f} to {high:.3f} nats per token"
    if student.verdict is None:
        return f"{student.label}: {gain} {over}: {student.reason}."
    where = {
        "above": f"lies above the curve of {baseline}",
        "on": f"is not told apart from the curve of {baseline}",
        "below": f"lies below the curve of {baseline}",
    }[student.verdict]
    p = p_text(student.adjusted_p)
    return f"{student.label} {where}: {gain}, {over} (p {p if p[0] == '<' else f'= {p}'})."


def notes(record: FrontierRecord) -> list[str]:
    """Sentences that explain the table."""
    seeds = sorted({len(student.trainings) for student in record.students})
    tasks = record.tasks[0] if len(record.tasks) == 1 else f"the mean of {len(record.tasks)} tasks"
    how_many = "–".join(map(str, dict.fromkeys([seeds[0], seeds[-1]])))
    temperatures = ", ".join(f"{t:g}" for t in record.temperatures)
    over = "prompts" if seeds[-1] == 1 else "prompts and training seeds"
    sign = " (sign flipped: positive is better)" if record.direction == "lower" else ""
    return [
        f"Quality is {record.metric} ({record.unit}) of {tasks}, "
        f"{counted(record.prompts, 'prompt')}, {how_many} "
        f"{'training' if how_many == '1' else 'trainings'} of each student; temperatures "
        f"{temperatures}.",
        f"frontier_gain is the mean vertical distance{sign} of a student's curve of quality "
        f"against entropy from that of {record.baseline}, over the entropies that both reach. "
        f"Brackets hold its 95 % interval over {over}; p-values are corrected for "
        f"{counted(len(record.students) - 1, 'comparison')} (Holm). Sharpening or flattening moves "
        "a student along its curve, and gains nothing.",
        *(f"{student.label}: {note}." for student in record.students for note in student.notes),
    ]
