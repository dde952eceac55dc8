"""Which keys of an analysis decide its numbers."""

from kdbench.config import Settings
from kdbench.config.analysing import AnalysisFolderKeys
from kdbench.config.command import value_text
from kdbench.config.executor import ExecutorKeys
from kdbench.config.kinds import DryRunKeys, fields_by_key
from kdbench.config.plugins import PluginKeys

_NO_PART = {
    *("world", "teacher", "student", "data", "stored", "device"),
    *AnalysisFolderKeys.model_fields,
    *ExecutorKeys.model_fields,
    *DryRunKeys.model_fields,
    *PluginKeys.model_fields,
}


def deciding_settings(analysis: Settings) -> dict[str, str]:
    """The keys that decide the numbers, as one types them, without those that have no value.

    Paths are no part, so that the answer is the same wherever models are.
    """
    values = {
        key: getattr(analysis, key)
        for key in fields_by_key(type(analysis))
        if key not in _NO_PART and key != "changes"
    }
    changes = getattr(analysis, "changes", {})
    shown = {key: value_text(value) for key, value in values.items() if value is not None}
    return {**shown, **changes}
