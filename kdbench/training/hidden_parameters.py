"""Parameters that no optimiser would see, wherever a part of a method holds them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.training.context import Context
from kdbench.training.objective import Objective, Term
from kdbench.training.schedule import Schedule
from kdbench.training.source import Source
from kdbench.views.rollout import Example, Rollout

if TYPE_CHECKING:
    import torch

_MEMBERS = (Objective, Source, Schedule, Term)
_OF_OTHERS = ("builtins", "torch", "transformers", "tokenizers", "numpy", "datasets", "pydantic")
_MANY = 1000  # rows of data are no parameters


def refuse_hidden_parameters(holders: Iterable[object], context: Context) -> None:
    """Refuse parameters that no optimiser would see, also those inside lists, dicts and functions.

    A companion has an optimiser of its own, and may hold what it trains.

    Args:
        holders: Objectives, sources and schedules.
        context: The models and parts of the run, which may be held.

    Raises:
        InputError: One of them holds a module that asks for gradients, or such a tensor.
    """
    known = _known(context)
    for holder in holders:
        for place, tensor in _tensors(holder, type(holder).__name__, set()):
            if tensor.requires_grad and id(tensor) not in known:
                raise InputError(
                    f"{place}: parameters held here would never be trained or saved; make them a "
                    "part, Triple(parts={'NAME': Part(build)}), and read chunk.parts['NAME']"
                )


def _known(context: Context) -> set[int]:
    """The identities of all parameters that have an optimiser, or a place among the views."""
    models = [context.student, context.teacher, *context.parts.values()]
    models += [getattr(view, "model", None) for view in context.views.values()]
    modules = [model for model in models if model is not None]
    return {id(parameter) for module in modules for parameter in module.parameters()}


def _tensors(held: Any, place: str, seen: set[int]) -> "Iterator[tuple[str, torch.Tensor]]":
    """The tensors that an object holds, each with its place."""
    import torch

    if id(held) in seen or isinstance(held, Context | Example | Rollout):
        return
    seen.add(id(held))
    if isinstance(held, torch.Tensor):
        yield place, held
    elif isinstance(held, torch.nn.Module):
        yield from ((place, parameter) for parameter in held.parameters())
    else:
        for name, inner in _inner(held):
            yield from _tensors(inner, place + name, seen)


def _inner(held: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(held, Mapping):
        return [(f"[{key!r}]", value) for key, value in _first(held.items())]
    if isinstance(held, list | tuple | set | frozenset):
        return [(f"[{number}]", value) for number, value in enumerate(_first(held))]
    if isinstance(held, partial | MethodType | FunctionType):
        return _inside_function(held)
    if isinstance(held, _MEMBERS) or (is_dataclass(held) and not isinstance(held, type)):
        return _attributes(held)
    package = type(held).__module__.partition(".")[0]
    return _attributes(held) if package not in _OF_OTHERS and hasattr(held, "__dict__") else ()


def _attributes(held: Any) -> list[tuple[str, Any]]:
    """The attributes of an object, also those of its class, which a method may forget to copy."""
    from torch.nn import Module

    if isinstance(held, type | ModuleType):
        return []
    own = dict(vars(held)) if hasattr(held, "__dict__") else {}
    for kind in type(held).__mro__:
        if kind.__module__.partition(".")[0] not in _OF_OTHERS:
            shared = {name: value for name, value in vars(kind).items() if name[:2] != "__"}
            own = {
                **{k: v for k, v in shared.items() if not callable(v) or isinstance(v, Module)},
                **own,
            }
    return [(f".{name}", value) for name, value in own.items()]


def _inside_function(held: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(held, partial):
        return [("", held.func), ("", held.args), ("", held.keywords)]
    if isinstance(held, MethodType):
        return [("", held.__self__)]
    cells = zip(held.__code__.co_freevars, held.__closure__ or (), strict=True)
    return [(f".{name}", cell.cell_contents) for name, cell in cells if _is_filled(cell)]


def _first(values: Collection[Any]) -> list[Any]:
    return [value for value, _ in zip(values, range(_MANY), strict=False)]


def _is_filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True
