"""A bandit over tasks: which task the next step learns, by a policy that learns from rewards.

Every step of the student is an action, all of its rows are of one task, and its reward is measured
after the step, so that it depends on the action. After an episode of some steps the policy moves
by REINFORCE (Williams 1992) with the discounted sums of the rewards that followed each action.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.training.schedule import Schedule, StepSignals
from kdbench.training.sharding import refuse_sharded
from kdbench.training.source import Draw
from kdbench.training.sources.domains import FromDomains
from kdbench.views.rollout import Example, Rollout

if TYPE_CHECKING:
    from kdbench.training.context import Context

_POLICY = "policy/"  # before a task's name in the values of the schedule
_MEMORY = 0.9  # of the mean reward that is subtracted
Reward = Callable[["Context", Sequence[Example]], float]


def returns_to_go(rewards: Sequence[float], discount: float) -> list[float]:
    """Of each action, the sum of its reward and of those after it, the k-th times discount^k."""
    total, found = 0.0, []
    for reward in reversed(rewards):
        total = reward + discount * total
        found.append(total)
    return found[::-1]


def probabilities(logits: Sequence[float]) -> list[float]:
    """The softmax of logits."""
    largest = max(logits)
    powers = [math.exp(logit - largest) for logit in logits]
    return [power / math.fsum(powers) for power in powers]


def reinforce(
    logits: Sequence[float], actions: Sequence[int], returns: Sequence[float]
) -> tuple[float, list[float]]:
    """The mean of -log π(a) G over the actions, and its gradient by the logits."""
    policy, steps = probabilities(logits), len(actions)
    loss = -math.fsum(
        math.log(policy[action]) * value for action, value in zip(actions, returns, strict=True)
    )
    gradient = [
        math.fsum(
            value * (share - (action == task))
            for action, value in zip(actions, returns, strict=True)
        )
        / steps
        for task, share in enumerate(policy)
    ]
    return loss / steps, gradient


@dataclass
class FromTask(FromDomains):
    """Rows of one task in each step, drawn with the schedule's values `policy/NAME`.

    Attributes:
        action: The task of the last step that was drawn.
    """

    action: str = field(default="", init=False)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The responses to as many examples of one task as a step has on this process."""
        policy = {
            name.removeprefix(_POLICY): share
            for name, share in draw.schedule.items()
            if name.startswith(_POLICY)
        }
        place = draw.uniform("task") * math.fsum(policy.values())
        for task, share in policy.items():
            self.action, place = task, place - share
            if place < 0:
                break
        self.weights = {task: float(task == self.action) for task in policy}
        return super().rollouts(draw)

    def __str__(self) -> str:
        return f"{self.source} of a task by {self.name}"


@dataclass
class TaskBandit(Schedule):
    """The policy over tasks, after a first share of the steps in which all tasks are alike.

    Its values are `policy/NAME`, and `first` and `then`, which weigh the terms of the two parts.

    Attributes:
        source: What draws the tasks.
        main: The task on whose validation rows rewards are measured.
        reward: Returns the reward of the student as it is.
        first_share: The share of the steps before the policy acts.
        episode: Steps of an episode.
        discount: γ, of later rewards.
        rate: The learning rate of the policy's logits; 0 leaves all tasks alike.
        rows: The largest number of validation rows of a reward.
        logits: The policy, by task.
        actions: The tasks of the episode so far.
        rewards: Their rewards, less the mean of earlier ones.
        mean: That mean; None before the first reward.
    """

    source: FromTask = field(repr=False)
    main: str
    reward: Reward = field(repr=False)
    first_share: float = 0.3
    episode: int = 5
    discount: float = 0.99
    rate: float = 0.1
    rows: int = 32
    logits: dict[str, float] = field(default_factory=dict, init=False)
    actions: list[str] = field(default_factory=list, init=False)
    rewards: list[float] = field(default_factory=list, init=False)
    mean: float | None = field(default=None, init=False)
    _context: "Context | None" = field(default=None, init=False, repr=False)
    _valid: list[Example] = field(default_factory=list, init=False, repr=False)

    def check(self, train: Sequence[Example], valid: Sequence[Example]) -> None:
        """Find the tasks.

        Raises:
            InputError: The main task has no training or no validation row, or there is one task.
        """
        name = self.source.name
        tasks = sorted({str(example.field(name)) for example in train})
        if len(tasks) < 2:
            raise InputError(f"{name}: all training rows are of the task {tasks[0]}; give two")
        if self.main not in tasks:
            raise InputError(
                f"the main task {self.main}: no training row has {name}={self.main}; there are "
                f"{', '.join(tasks)}"
            )
        if not self._of_main(valid):
            raise InputError(
                f"the main task {self.main}: no validation row has {name}={self.main}, and the "
                "reward is measured there; add one, or raise validation_limit="
            )

    def _of_main(self, examples: Sequence[Example]) -> list[Example]:
        name = self.source.name
        return [row for row in examples if str(row.fields.get(name)) == self.main][: self.rows]

    def begin(self, context: "Context") -> None:
        """Begin with equal chances, and find the rows of the reward.

        Raises:
            InputError: Processes share the student's weights.
        """
        refuse_sharded(context.student, "a bandit needs")
        self._context, self._valid = context, self._of_main(context.valid)
        tasks = {str(example.field(self.source.name)) for example in context.train}
        self.logits = dict.fromkeys(sorted(tasks), 0.0)

    def values(self, progress: float) -> Mapping[str, float]:
        """The chance of each task, and the weights of the two parts."""
        acts = progress >= self.first_share
        policy = probabilities(list(self.logits.values())) if self.logits else []
        shares = {f"{_POLICY}{task}": p for task, p in zip(self.logits, policy, strict=True)}
        return {"first": float(not acts), "then": float(acts), **shares}

    def after_step(self, signals: StepSignals) -> None:
        """Measure the reward of the action; after an episode, move the policy."""
        if not self._acted(signals):
            return
        reward = self._measured()
        self.actions.append(self.source.action)
        before = reward if self.mean is None else self.mean
        self.rewards.append(reward - before)
        self.mean = _MEMORY * before + (1 - _MEMORY) * reward
        if len(self.actions) == self.episode:
            self.learn()

    def _acted(self, signals: StepSignals) -> bool:
        """Whether the step just done was of the second part."""
        steps = round(signals.number / signals.progress)
        return (signals.number - 1) / steps >= self.first_share

    def learn(self) -> None:
        """Move the policy by the episode, and begin a new one."""
        tasks = list(self.logits)
        numbers = [tasks.index(action) for action in self.actions]
        returns = returns_to_go(self.rewards, self.discount)
        _, gradient = reinforce(list(self.logits.values()), numbers, returns)
        for task, slope in zip(tasks, gradient, strict=True):
            self.logits[task] -= self.rate * slope
        self.actions, self.rewards = [], []

    def _measured(self) -> float:
        """The reward, the same on all processes."""
        import torch

        context = self._context
        assert context is not None  # noqa: S101 - it has begun
        own = torch.tensor([self.reward(context, self._valid), 1.0], device=context.device)
        total, processes = context.sum_over_processes(own).tolist()
        context.note("bandit/reward", total / processes)
        return float(total / processes)

    def state(self) -> dict[str, Any]:
        """The policy and the episode so far."""
        kept = {"logits": self.logits, "actions": self.actions, "rewards": self.rewards}
        return {**kept, "mean": self.mean}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.logits, self.actions = dict(state["logits"]), list(state["actions"])
        self.rewards, self.mean = list(state["rewards"]), state["mean"]

    def __str__(self) -> str:
        return f"task_bandit(main={self.main}, episode={self.episode}, discount={self.discount:g})"
