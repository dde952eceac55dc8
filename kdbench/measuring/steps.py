"""The steps that a measurement still has to do, for the time left of a whole run."""

from kdbench.measuring.forward_metrics import doing as doing_forward
from kdbench.measuring.measurement import Measurement
from kdbench.metrics import ForwardMetric, ModelMetric, make_metrics
from kdbench.system.progress import Step


def steps_of(measurement: Measurement) -> dict[Step, int]:
    """The steps of tasks without a result, and the number of units that each has to do.

    Args:
        measurement: A measurement that has not begun.
    """
    steps: dict[Step, int] = {}
    metrics = make_metrics(measurement.settings.metric_names(), len(measurement.protocol.seeds))
    of_model = [metric for metric in metrics if isinstance(metric, ModelMetric)]
    for task in measurement.tasks:
        if measurement.run.read_task(task.name) is not None:
            continue
        if not task.generates:
            options = measurement.option_measuring
            steps[Step(task.name, options.doing)] = options.missing(task)
            continue
        sampling = measurement.sampling
        steps[Step(task.name, sampling.doing)] = sampling.missing(task)
        referenced = sum(bool(document.references) for document in task.documents)
        for metric in of_model:
            count = referenced if isinstance(metric, ForwardMetric) else len(task.documents)
            steps[Step(task.name, doing_forward(measurement.run, metric))] = count
    return steps
