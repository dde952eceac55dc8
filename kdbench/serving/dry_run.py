"""`kdbench speed --dry-run`: which loads would be timed, without loading the model."""

from kdbench.config import SpeedSettings, given_facts
from kdbench.serving.speed import find_subject, stored_speeds
from kdbench.system.outline import Fact, Section
from kdbench.text import counted

_DIGITS = 12  # of a hash


def plan_speed(settings: SpeedSettings) -> list[Section]:
    """What `speed` would time, and where it would store it.

    Raises:
        InputError: As for `speed`, but for what only the loaded model shows.
    """
    subject = find_subject(settings)
    loads = subject.loads()
    stored = {} if settings.again else dict(stored_speeds(loads))
    sha256 = subject.checkpoint.sha256[:_DIGITS]
    facts = [*given_facts(settings), Fact("model", f"{subject.name} (sha256 {sha256})")]
    facts.append(Fact("runs on", f"{subject.hardware}, backend {settings.backend}"))
    sections = [Section("kdbench speed: a dry run, which writes nothing", tuple(facts))]
    for path, load in loads.items():
        tokens = (
            f"{counted(load.prompt_tokens, 'token')} of prompt and {load.new_tokens} of response"
        )
        size = f"{load.repeats} repeats of {load.requests} requests, each with {tokens}"
        state = "stored already" if path in stored else "to be timed"
        lines = (Fact("load", size), Fact("stored in", f"{path} ({state})"))
        sections.append(Section(f"Requests at a time: {load.concurrency}", lines))
    return sections
