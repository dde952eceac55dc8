"""The executor that `executor=` and `executor_options=` name."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from kdbench.config.executor import ExecutorKeys
from kdbench.config.kinds import fields_by_key
from kdbench.errors import InputError, first_fault, nearest
from kdbench.filling.executor import Executor, NeedsOf
from kdbench.filling.executors import executors

MakeExecutor = Callable[[Path, NeedsOf], Executor]


def choose_executor(settings: ExecutorKeys) -> MakeExecutor:
    """Look up an executor and check its options, before any model is looked at.

    Args:
        settings: Settings that name it.

    Returns:
        A function that makes it, from the folder of checkpoints and what nodes need.

    Raises:
        InputError: The executor or an option is unknown, a value is wrong, or its package is not
            installed.
    """
    from pydantic import ValidationError

    name, given = settings.executor, settings.executor_options
    kind = executors.get(name)
    known = fields_by_key(kind.options)
    for key, value in given.items():
        if not known:
            raise InputError(f"executor_options={key}={value}: executor={name} has no options")
        if key not in known:
            near = nearest(key, known)
            raise InputError(
                f"executor_options={key}=…: executor={name} has no such option; {near}"
            )
    if kind.package and find_spec(kind.package) is None:
        raise InputError(
            f"executor={name} needs {kind.package}: pip install 'kdbench[{kind.extra}]'"
        )
    try:
        options = kind.options.model_validate(given)
    except ValidationError as error:
        key, reason = first_fault(error)
        raise InputError(f"executor_options={key}={given.get(key)}: {reason}") from None

    def make(models: Path, needs: NeedsOf) -> Executor:
        return kind(settings.workers, models, needs, options)

    return make
