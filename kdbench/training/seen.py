"""The views of a run: who is seen by name, and what each is asked."""

import reprlib
from collections.abc import Iterable, Mapping
from functools import partial
from math import isfinite
from typing import Any

from kdbench.errors import InputError
from kdbench.training.context import Context
from kdbench.training.memory import plain_state
from kdbench.training.micro_batch import is_whole
from kdbench.training.parts import Sizes
from kdbench.training.triple import Encode, Triple, ViewPrompt
from kdbench.views.rollout import Rollout, of_dataset
from kdbench.views.view import ModelView, View


def start_companions(triple: Triple, context: Context, views: dict[str, View]) -> None:
    """Add the companions' views, and give each view the prompt that the method has for it.

    Args:
        triple: The method.
        context: What the companions can look at; its views are `views`.
        views: The views so far; those of the companions are added.

    Raises:
        InputError: The method needs a view that does not exist, or the whole distribution of one
            of which only the likeliest tokens are known; or a prompt is too long for its view.
    """
    for companion in triple.companions:
        views[companion.name] = companion.start(context)
    encode = _encode(context)
    for name, prompt in triple.prompts.items():
        view = views.get(name)
        if not isinstance(view, ModelView):
            raise InputError(f"prompts: the view '{name}' is not a model that can be asked")
        begin = getattr(prompt, "begin", None)
        if begin is not None:
            begin(context)
        views[name] = view.asked(partial(_asked, prompt, encode, name, view))
    if missing := sorted(triple.needed_views - set(views)):
        raise InputError(
            f"the method needs the view '{missing[0]}', and this run has only "
            f"{', '.join(views)}; a method adds a view by a companion of that name"
        )
    _check_top_k(triple, views)
    for name in sorted({one.name for one in triple.companions} | set(triple.prompts)):
        _check_positions(name, views[name], context, triple.source.gives_samples)


def check_schedule(triple: Triple, values: Mapping[str, float]) -> None:
    """Check, before the first step, that the schedule gives what the terms weigh by.

    Args:
        triple: The method.
        values: The schedule's values in the next step.

    Raises:
        InputError: A value is missing or no number, or the schedule's state is not plain JSON.
    """
    check_values(triple, values)
    for member in (triple.schedule, triple.source):
        plain_state(member)


def check_values(triple: Triple, values: Any) -> Mapping[str, float]:
    """The values of the schedule, in any step.

    Raises:
        InputError: They are no mapping, or one is missing or no number.
    """
    kind = type(triple.schedule).__name__
    if not isinstance(values, Mapping):
        raise InputError(f"{kind}.values returned {type(values).__name__}: must return a mapping")
    for term in triple.terms:
        if isinstance(term.weight, str) and term.weight not in values:
            raise InputError(
                f"the term '{term}' has the weight '{term.weight}', and {kind} gives "
                f"{', '.join(values) or 'no values'}"
            )
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise InputError(f"{kind}: the value '{name}' is {value!r}: must be a finite number")
    return values


def _encode(context: Context) -> Encode:
    def encode(text: str) -> list[int]:
        ids: list[int] = context.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    return encode


def _asked(
    prompt: ViewPrompt, encode: Encode, name: str, view: ModelView, rollout: Rollout
) -> tuple[int, ...]:
    """What a prompt of a view returns.

    Raises:
        InputError: It is not tokens of the view's vocabulary, one at least.
    """
    given = prompt(rollout, encode=encode)
    many = isinstance(given, Iterable) and not isinstance(given, str)
    ids = tuple(given) if many else ()
    tokens = view.bare.get_input_embeddings().num_embeddings
    if not ids or not all(isinstance(token, int) and 0 <= token < tokens for token in ids):
        raise InputError(
            f"prompts: that of the view '{name}' returned {reprlib.repr(given)} for row "
            f"'{rollout.id}': must return token ids below {tokens}, one at least"
        )
    return ids


def _check_top_k(triple: Triple, views: Mapping[str, View]) -> None:
    terms = [*triple.terms, *(term for companion in triple.companions for term in companion.terms)]
    for term in terms:
        for name in term.objective.views:
            if not is_whole(views[name]) and not term.objective.takes_top_k:
                raise InputError(
                    f"{term.objective} needs the whole distribution of the {name}, and a cache has "
                    "the top k tokens; give a model, or a method that matches the teacher by a "
                    "divergence without a temperature, such as kd"
                )


def _check_positions(name: str, view: View, context: Context, samples: bool) -> None:
    """Check that a view has a position for every token of its prompts and their responses.

    Args:
        name: The name of the view.
        view: The view.
        context: Of the run.
        samples: Whether it reads sampled responses, which may be as long as the limit.

    Raises:
        InputError: It does not; the line names the row with the longest prompt.
    """
    config = view.bare.config.get_text_config() if isinstance(view, ModelView) else None
    positions = getattr(config, "max_position_embeddings", None)
    if not positions or not isinstance(view, ModelView):
        return
    sampled = context.sampling.max_new_tokens if samples else 0

    def tokens(rollout: Rollout) -> int:
        return len(view.prompt_ids(rollout)) + max(len(rollout.response_ids), sampled)

    row = max(map(of_dataset, context.train), key=tokens)
    if tokens(row) > positions:
        length = len(view.prompt_ids(row))
        raise InputError(
            f"row '{row.id}': a prompt of {length} tokens for the view '{name}' and "
            f"{tokens(row) - length} of a response do not fit into its {positions} positions; "
            "lower max_length= or the limit of its context"
        )


def sizes_of(views: Mapping[str, View], vocabulary: int) -> Sizes:
    """The sizes of all views that are models."""
    models = {name: view.bare for name, view in views.items() if isinstance(view, ModelView)}
    configs = {name: model.config.get_text_config() for name, model in models.items()}
    return Sizes(
        {name: int(config.hidden_size) for name, config in configs.items()},
        {name: int(config.num_hidden_layers) for name, config in configs.items()},
        vocabulary,
    )
