"""`kdbench kld --dry-run`: what would be compared, without loading weights."""

from kdbench.checkpoint import describe_weights
from kdbench.config import given_facts
from kdbench.config.kld import KldSettings
from kdbench.fidelity.plain.compare import TextMember, find_pair
from kdbench.system.outline import Fact, Section
from kdbench.text import counted

_DIGITS = 12  # of a hash


def plan_kld(settings: KldSettings) -> list[Section]:
    """What `kld` would compare.

    Raises:
        InputError: As for `kld`, but for what only the loaded models show.
    """
    pair = find_pair(settings)
    length = f"{counted(len(pair.chunks), 'chunk')} of {settings.context} tokens"
    facts = [
        *given_facts(settings),
        Fact("models", f"{_described(pair.student)}; teacher {_described(pair.teacher)}"),
        Fact("runs on", pair.device),
        Fact("text", f"{settings.text}: {length}, {len(pair.missing)} to be measured"),
    ]
    return [Section("kdbench kld: a dry run, which writes nothing", tuple(facts))]


def _described(member: TextMember) -> str:
    words = describe_weights(member.checkpoint, member.quantisation)
    quantised = f", quantised ({words})" if words else ""
    return f"{member.checkpoint.name} (sha256 {member.checkpoint.sha256[:_DIGITS]}{quantised})"
