"""The final answer that scored options give, as metrics of closed answers take it."""

import math

from kdbench.measuring.likelihood.answers import OptionAnswer
from kdbench.metrics import Answer
from kdbench.task import Task


def final_answer(task: Task, answer: OptionAnswer) -> Answer:
    """Return the answer of a document.

    In `multiple_choice` it is the likeliest option, as lm-eval's `acc` chooses it, named by its
    index. In `loglikelihood` it is the continuation if each of its tokens is the likeliest one;
    else the model's own is unknown, and agrees with nothing. A rolling text has none.

    Args:
        task: Task of the document.
        answer: What a model says about the document's options.
    """
    if task.output_type == "multiple_choice":
        chosen = answer.chosen()["acc"]
        return Answer(
            text="",
            references=tuple(answer.options[index].text or "" for index in answer.gold),
            final=str(chosen),
            right=chosen in answer.gold if answer.gold else None,
            options=_normalised([option.log_p for option in answer.options]),
        )
    option = answer.options[0]
    references = (option.text or "",)
    final = option.text if option.greedy else None
    return Answer(text="", references=references, final=final, right=option.greedy)


def _normalised(log_p: list[float]) -> tuple[float, ...]:
    """Log-softmax, in double precision."""
    highest = max(log_p)
    total = highest + math.log(sum(math.exp(value - highest) for value in log_p))
    return tuple(value - total for value in log_p)
