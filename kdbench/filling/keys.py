"""The keys of a table's trainings and evaluations: those of all rows, and a row's own."""

from collections.abc import Mapping
from typing import Any

from kdbench.distillation.recipe import layered
from kdbench.errors import InputError
from kdbench.filling.spec import Entry, TableSpec
from kdbench.registry.plugins import KEY as PLUGINS

# These keys follow from the table, so `train:` and `evaluate:` cannot hold them.
_SET_BY_TABLE = {
    *("teacher", "out", "data", "label", "setting", "model", "undistilled", "results", "name"),
    *("teacher_name", "undistilled_name", "card", "dry_run"),
}
_CODE = f"{PLUGINS}: runs code, so a table cannot name it; give {PLUGINS}=FILE.py to kdbench fill"
_SET_BY_TABLE_OF_SET = {"out", "data", "dry_run"}


def refuse_keys_of_set(keys: Mapping[str, Any], where: str) -> None:
    """Refuse keys of a data set that the table sets, and those that run code.

    Args:
        keys: The keys.
        where: Where they are, for the message.

    Raises:
        InputError: One of them is refused.
    """
    for key in keys:
        if key == PLUGINS:  # a table's file may come from anywhere
            raise InputError(f"{where}: {_CODE}")
        if key in _SET_BY_TABLE_OF_SET:
            raise InputError(f"{where}: '{key}' is set by the table; remove it here")


def training_keys(spec: TableSpec, entry: Entry) -> dict[str, Any]:
    """The keys of an entry's training, over those of all trainings of the table.

    Raises:
        InputError: A key is set by the table.
    """
    own = entry.train or {}
    refuse_keys_of_table(spec.train, "train")
    refuse_keys_of_table({key: own[key] for key in own if key != "teacher"}, "train")
    return layered(own, spec.train)


def refuse_keys_of_table(keys: Mapping[str, Any], section: str) -> None:
    """Refuse keys that the table sets, and those that run code.

    Args:
        keys: The keys.
        section: Where they are, for the message.

    Raises:
        InputError: One of them is refused.
    """
    for key in keys:
        if key == PLUGINS:  # a table's file may come from anywhere
            raise InputError(f"{section}: {_CODE}")
        if key in ("shard", "shards", "executor", "executor_options"):
            raise InputError(
                f"{section}: {key}: is for kdbench eval; the workers= of kdbench fill run the "
                "evaluations of several rows in parallel"
            )
        if key in _SET_BY_TABLE:
            row = "; a row's own train may name another teacher" if key == "teacher" else ""
            raise InputError(f"{section}: '{key}' is set by the table; remove it here{row}")
