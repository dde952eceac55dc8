"""The requests of a task that is scored by likelihood, made by lm-eval.

A request is a context and a continuation whose log-probability is asked for; a rolling one is a
text. `multiple_choice` makes one of each option and, for `acc_mutual_info`, one more of each option
without a context. The requests of one task are made in the order of its documents, because lm-eval
draws few-shot examples in that order.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kdbench.errors import InputError, reason_of
from kdbench.system.time_limit import time_limit
from kdbench.views.chat import Turn

_SECONDS = 30  # a document takes milliseconds
_FEWSHOT_SEED = 1234  # lm-eval's default

Render = Callable[[tuple[Turn, ...]], str]
"""A function that renders chat turns as text; the last turn may be the start of the answer."""


def make_requests(
    task: Any, rows: Sequence[Mapping[str, Any]], render: Render | None = None
) -> Iterator[tuple[tuple[str, ...], ...]]:
    """Yield the requests of each row.

    Args:
        task: lm-eval's task.
        rows: Rows of the data set, from the first on.
        render: Function that renders chat turns; None for the plain prompt.

    Raises:
        InputError: A function or template of the YAML fails on a row.
    """
    task.set_fewshot_seed(_FEWSHOT_SEED)
    for row in rows:
        try:
            with time_limit(_SECONDS):
                requests = _requests(task, row, render)
        except InputError:
            raise
        except Exception as error:
            raise InputError(reason_of(error)) from error
        yield requests  # after the limit, whose clock would run while the caller works


def gold_options(task: Any, row: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the indices of the right options of a row, as lm-eval's accuracy takes them.

    Returns:
        One or more indices; none if the row names no right option. A text that is scored as a
        whole is its own only option.

    Raises:
        InputError: A function or template of the YAML fails.
    """
    if task.OUTPUT_TYPE != "multiple_choice":
        return (0,)
    try:
        with time_limit(_SECONDS):
            choices = task.doc_to_choice(row)
            _check_options(choices)
            gold = task.doc_to_text(row) if task.multiple_input else task.doc_to_target(row)
    except InputError:
        raise
    except Exception as error:
        raise InputError(reason_of(error)) from error
    several = gold if isinstance(gold, list | tuple) else [gold]
    found = [choices.index(g) if isinstance(g, str) and g in choices else g for g in several]
    return tuple(g for g in found if isinstance(g, int) and 0 <= g < len(choices))


def _check_options(choices: Any) -> None:
    """Check that there are options, which are texts.

    Raises:
        InputError: They are not.
    """
    is_list = isinstance(choices, list | tuple) and len(choices) > 0
    if not is_list or not all(isinstance(text, str) for text in choices):
        raise InputError(f"doc_to_choice must be a list of texts, not {str(choices)[:60]}")


def _requests(
    task: Any, row: Mapping[str, Any], render: Render | None
) -> tuple[tuple[str, ...], ...]:
    chat = {
        "apply_chat_template": render is not None,
        "chat_template": None if render is None else _as_lm_eval_calls(render),
    }
    context = task.fewshot_context(
        row,
        task.config.num_fewshot or 0,
        fewshot_as_multiturn=True,
        gen_prefix=task.doc_to_prefix(row),
        **chat,
    )
    metadata = (task.config.task, 0, 1)
    made = task.construct_requests(doc=row, ctx=context, metadata=metadata, **chat)
    instances = made if isinstance(made, list) else [made]
    asked = "loglikelihood" if task.OUTPUT_TYPE == "multiple_choice" else task.OUTPUT_TYPE
    for instance in instances:
        if instance.request_type != asked:
            raise InputError(f"asks for {instance.request_type} and for {asked}")
        if not all(isinstance(text, str) for text in instance.args):
            raise InputError(f"a request must be text, not {str(instance.args)[:60]}")
    return tuple(tuple(instance.args) for instance in instances)


def _as_lm_eval_calls(render: Render) -> Callable[..., str]:
    def template(turns: Sequence[Mapping[str, str]], **_: Any) -> str:
        # Whether the answer begins or goes on is known from the last turn's role.
        return render(tuple(Turn(turn["role"], turn["content"]) for turn in turns))

    return template
