"""The views of a run: who is seen by name, and what each is asked."""

from collections.abc import Mapping
from functools import partial
from math import isfinite

from kdbench.errors import InputError
from kdbench.training.context import Context
from kdbench.training.memory import plain_state
from kdbench.training.micro_batch import is_whole
from kdbench.training.parts import Sizes
from kdbench.training.triple import Encode, Triple
from kdbench.views.view import ModelView, View


def start_companions(triple: Triple, context: Context, views: dict[str, View]) -> None:
    """Add the companions' views, and give each view the prompt that the method has for it.

    Args:
        triple: The method.
        context: What the companions can look at; its views are `views`.
        views: The views so far; those of the companions are added.

    Raises:
        InputError: The method needs a view that does not exist, or the whole distribution of one
            of which only the likeliest tokens are known.
    """
    for companion in triple.companions:
        views[companion.name] = companion.start(context)
    encode = _encode(context)
    for name, prompt in triple.prompts.items():
        view = views[name]
        if not isinstance(view, ModelView):
            raise InputError(f"prompts: the view '{name}' is not a model that can be asked")
        views[name] = view.asked(partial(prompt, encode=encode))
    wanted = {*triple.views, *triple.source.views, *triple.schedule.views}
    if missing := sorted(wanted - set(views)):
        raise InputError(
            f"the method needs the view '{missing[0]}', and this run has only "
            f"{', '.join(views)}; a method adds a view by a companion of that name"
        )
    _check_top_k(triple, views)


def check_schedule(triple: Triple, values: Mapping[str, float]) -> None:
    """Check, before the first step, that the schedule gives what the terms weigh by.

    Args:
        triple: The method.
        values: The schedule's values in the next step.

    Raises:
        InputError: A value is missing or no number, or the schedule's state is not plain JSON.
    """
    kind = type(triple.schedule).__name__
    for term in triple.terms:
        if isinstance(term.weight, str) and term.weight not in values:
            raise InputError(
                f"the term '{term}' has the weight '{term.weight}', and {kind} gives "
                f"{', '.join(values) or 'no values'}"
            )
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise InputError(f"{kind}: the value '{name}' is {value!r}: must be a finite number")
    for member in (triple.schedule, triple.source):
        plain_state(member)


def _encode(context: Context) -> Encode:
    def encode(text: str) -> list[int]:
        ids: list[int] = context.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    return encode


def _check_top_k(triple: Triple, views: Mapping[str, View]) -> None:
    for term in triple.terms:
        for name in term.objective.views:
            if not is_whole(views[name]) and not term.objective.takes_top_k:
                raise InputError(
                    f"{term.objective} needs the whole distribution of the {name}, and a cache has "
                    "the top k tokens; give a model, or a method that matches the teacher by a "
                    "divergence without a temperature, such as kd"
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
