"""The engine of a run, put together from its plan."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdbench.generate.prompts import end_tokens
from kdbench.protocol import Protocol
from kdbench.training.rollouts import EngineStart, RolloutEngine, RolloutPlan, engines
from kdbench.training.rollouts.export import StudentExport
from kdbench.training.rollouts.running import EngineRollouts
from kdbench.training.rollouts.served import ServedRollouts
from kdbench.views.view import bare_model


def engine_rollouts(
    plan: RolloutPlan,
    student: Any,
    tokenizer: Any,
    protocol: Protocol,
    longest_prompt: int,
    rows: int | None,
) -> EngineRollouts:
    """Make the engine of a run; it starts at `begin` or when it is first asked.

    Args:
        plan: Which engine, and how it is run.
        student: The student's model, with an adapter if there is one.
        tokenizer: Its tokenizer.
        protocol: Length limits and decoding of the responses.
        longest_prompt: Number of tokens of the longest prompt, for which the engine makes room.
        rows: Rows that decode at once; None lets the engine choose.
    """
    rests = plan.lag == 0 and plan.server is None

    def start(folder: Path) -> EngineStart:
        return EngineStart(
            folder,
            # Prompts come as tokens, in whatever form they were asked.
            replace(
                protocol,
                prompt="task",
                chat_template=None,
                system=None,
                max_prompt_tokens=longest_prompt,
            ),
            tuple(sorted(end_tokens(bare_model(student), tokenizer))),
            plan.dtype,
            plan.options,
            rows,
            shares_device=rests,
            trust_remote_code=plan.trust_remote_code,
        )

    return EngineRollouts(_maker(plan), StudentExport(student, tokenizer, plan.dtype), start, rests)


def _maker(plan: RolloutPlan) -> Callable[[EngineStart], RolloutEngine]:
    if plan.server is None:
        return engines.get(plan.backend)
    server = plan.server
    return lambda start: ServedRollouts(start, server, plan.backend)
