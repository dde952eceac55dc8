"""The checks, one after the other: files first, then tokens, and weights last."""

from collections.abc import Iterator
from time import perf_counter

from kdbench.doctor.check import STAGES, Check, checks
from kdbench.doctor.finding import LEVELS, CannotRunError, Diagnosis, Finding
from kdbench.doctor.patient import Patient
from kdbench.doctor.settings import DoctorSettings
from kdbench.errors import InputError, reason_of

_FIRST = "command"
_STOPS = "the command itself stops here, perhaps after hours"


def examine(patient: Patient, settings: DoctorSettings) -> Diagnosis:
    """Make all checks that apply and were not left out.

    Args:
        patient: What is looked at.
        settings: Which checks are left out.
    """
    findings: list[tuple[str, Finding]] = []
    ran, not_run, left_out = [], dict(patient.unseen), []
    seconds: dict[str, float] = {}
    faults: dict[str, str] = {}
    for check in _in_order(patient):
        if check.name in settings.skip or (check.stage == "weights" and not settings.weights):
            left_out.append(check.name)
            continue
        start = perf_counter()
        found, reason = _look(check, patient, faults)
        seconds[check.name] = perf_counter() - start
        findings += [(check.name, finding) for finding in found]
        if reason is None:
            ran.append(check.name)
        else:
            not_run[check.name] = reason
    findings.sort(key=lambda pair: LEVELS.index(pair[1].level))
    return Diagnosis(
        patient.of, findings, ran, not_run, left_out, patient.sections, patient.facts, seconds
    )


def _in_order(patient: Patient) -> Iterator[Check]:
    """The checks that apply to the verb, by stage; what the command refuses comes first."""
    names = sorted(checks.names(), key=lambda name: (name != _FIRST, name))
    everything = [checks.get(name) for name in names]
    for stage in STAGES:
        yield from (c for c in everything if c.stage == stage and patient.of in c.of)


def _look(
    check: Check, patient: Patient, faults: dict[str, str]
) -> tuple[list[Finding], str | None]:
    """Make one check.

    Args:
        check: The check.
        patient: What is looked at.
        faults: Faults so far that stopped a check, with the check that reported each first. The
            same fault stops many checks, and is reported once.

    Returns:
        What it found, and why it could not be made to its end; None if it could.
    """
    found: list[Finding] = []
    try:
        found.extend(check.look(patient))
    except CannotRunError as reason:
        return found, str(reason)
    except InputError as error:
        fault = str(error)
        if fault in faults:
            return found, f"see the error of {faults[fault]}"
        faults[fault] = check.name
        return [*found, Finding("error", fault, _STOPS, "")], None
    except Exception as error:  # noqa: BLE001 - a broken model or plug-in must not end the others
        return found, f"{type(error).__name__}: {reason_of(error)}"
    return found, None
