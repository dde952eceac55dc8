"""An optimiser for a further model, with the settings of the student's."""

from typing import Any


def optimizer_for(trainer: Any, model: Any) -> Any:
    """Make an optimiser for another model.

    Args:
        trainer: The trainer of the student.
        model: The other model.
    """
    kind, options = trainer.get_optimizer_cls_and_kwargs(trainer.args, model)
    decayed = set(trainer.get_decay_parameter_names(model))
    groups: dict[bool, list[Any]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        groups[name in decayed].append(parameter)
    decay = trainer.args.weight_decay
    return kind(
        [
            {"params": parameters, "weight_decay": decay if decays else 0.0}
            for decays, parameters in groups.items()
        ],
        **options,
    )
