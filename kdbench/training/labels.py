"""Label words: classes as single tokens of responses, for methods that need few classes.

The field `label` of the rows says the class. Its word is a token of the response: the first one by
which responses of different labels differ, at the same position in all rows. So the words are known
from the encoded rows alone, before any model is loaded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.training.schedule import Schedule, ValidationSignals
from kdbench.training.sharding import refuse_sharded
from kdbench.training.source import FromDataset
from kdbench.views.rollout import Batch, Example, of_dataset

if TYPE_CHECKING:
    import torch

    from kdbench.training.chunk import Plan
    from kdbench.training.context import Context

# Class scores, (n, C) by name, from the words, and states (n, H), logits (n, V) and parts.
Scores = Callable[
    ["LabelWords", "torch.Tensor", "torch.Tensor", Mapping[str, Any]], Mapping[str, "torch.Tensor"]
]


@dataclass(frozen=True)
class LabelWords:
    """The words of the labels.

    Attributes:
        labels: The labels, sorted as texts.
        tokens: The word of each label.
        before: The tokens before it, with which every response begins.
    """

    labels: tuple[str, ...]
    tokens: tuple[int, ...]
    before: tuple[int, ...] = ()

    @property
    def position(self) -> int:
        """Its place in the response, from 0."""
        return len(self.before)

    def label_of(self, example: Example, name: str) -> int:
        """The number of an example's label, whose word must be in its response.

        Raises:
            InputError: It is none of the labels, or the response has another word.
        """
        label = str(example.field(name))
        tokens = example.response_ids[: self.position + 1]
        if label not in self.labels:
            raise InputError(
                f"row '{example.id}': {name}={label}: the training rows have {_some(self.labels)}"
            )
        number = self.labels.index(label)
        if tokens != (*self.before, self.tokens[number]):
            raise InputError(
                f"row '{example.id}': its response does not begin as those of the other rows with "
                f"{name}={label}, whose word is token {self.position + 1}"
            )
        return number

    def of(self, log_probs: "torch.Tensor") -> "torch.Tensor":
        """The log-probabilities of the words among themselves, (n, V) to (n, C)."""
        import torch

        words = torch.tensor(self.tokens, device=log_probs.device)
        return log_probs.index_select(-1, words).log_softmax(-1)


def is_labelled(example: Example, flag: str) -> bool:
    """Whether a row's label may be learned, by a field that is 1 or 0.

    Raises:
        InputError: It is something else.
    """
    value = example.field(flag)
    if value not in (0, 1):
        raise InputError(f"row '{example.id}': {flag}={value!r}: must be 1 or 0")
    return bool(value)


def label_words(examples: Sequence[Example], name: str, flag: str | None = None) -> LabelWords:
    """Find the words of the labels.

    Args:
        examples: Encoded rows.
        name: The field of the label.
        flag: The field that is 1 in the rows whose labels are known; None takes all rows.

    Raises:
        InputError: There is one label or none, two have the same word, or one has two words.
    """
    rows = [example for example in examples if flag is None or is_labelled(example, flag)]
    if len(labels := sorted({str(row.field(name)) for row in rows})) < 2:
        raise InputError(
            f"the field '{name}' has {'one value' if labels else 'no value'} in the training rows; "
            "label words need two labels at least"
        )
    columns = zip(*(row.response_ids for row in rows), strict=False)
    position = len(list(takewhile(lambda column: len(set(column)) == 1, columns)))
    words: dict[str, Example] = {}
    for row in rows:
        if len(row.response_ids) <= position:
            raise InputError(f"row '{row.id}': its response ends before the word of its label")
        first = words.setdefault(str(row.field(name)), row)
        if first.response_ids[position] != row.response_ids[position]:
            raise InputError(
                f"rows '{first.id}' and '{row.id}': {name}={row.field(name)} has two words; begin "
                "all responses to a label with the same one"
            )
    owners: dict[int, str] = {}
    for label in labels:
        token = words[label].response_ids[position]
        if token in owners:
            raise InputError(
                f"the labels '{owners[token]}' and '{label}' of the field '{name}' begin with the "
                f"same token in the responses (rows '{words[owners[token]].id}' and "
                f"'{words[label].id}'); choose words that differ in their first token"
            )
        owners[token] = label
    return LabelWords(tuple(labels), tuple(owners), rows[0].response_ids[:position])


def at_label(plan: "Plan", position: int) -> "torch.Tensor":
    """A factor of each token, (rows, L), by which a mean over tokens is the value at the label.

    It is the number of tokens of the response at the label's place and 0 elsewhere, for terms
    `per="sequence"`.
    """
    import torch

    place = torch.arange(plan.mask.shape[1], device=plan.mask.device) == position
    return (plan.mask & place) * plan.mask.sum(-1, keepdim=True).float()


@dataclass
class FromLabelled(FromDataset):
    """The dataset's responses, with a label word in each.

    Attributes:
        name: The field of the label.
        classes: The number of labels.
        least: The number of rows that each label must have.
    """

    name: str = "label"
    classes: int = 2
    least: int = 1

    @property
    def fields(self) -> tuple[str, ...]:  # type: ignore[override]
        """The label."""
        return (self.name,)

    def check(self, train: Sequence[Example]) -> None:
        """Check the labels of the training set.

        Raises:
            InputError: There are more or fewer, or one of them has too few rows.
        """
        words = label_words(train, self.name)
        if len(words.labels) != self.classes:
            raise InputError(
                f"classes={self.classes}: the field '{self.name}' of the training rows has "
                f"{len(words.labels)} values ({_some(words.labels)}); pass "
                f"classes={len(words.labels)}"
            )
        numbers = [words.label_of(example, self.name) for example in train]
        for number, label in enumerate(words.labels):
            if (count := numbers.count(number)) < self.least:
                raise InputError(
                    f"{self.name}={label} has {count} training rows, and the method needs "
                    f"{self.least} for each label"
                )

    def __str__(self) -> str:
        return f"dataset with words of {self.name}"


@dataclass
class LabelReport(Schedule):
    """Logs, at each validation, how often the student's label word is right.

    Attributes:
        name: The field of the label.
        group: A field of hidden groups, which a linear probe reads off the student's states; None
            measures none.
        flag: The field that is 1 in the training rows whose labels are known; None takes all.
        scores: Returns further class scores by name; None gives none.
    """

    name: str = "label"
    group: str | None = None
    flag: str | None = None
    scores: Scores | None = None
    words: LabelWords | None = field(default=None, init=False, repr=False)
    _context: "Context | None" = field(default=None, init=False, repr=False)

    def check(self, train: Sequence[Example], valid: Sequence[Example]) -> None:
        """Check the words of both sets.

        Raises:
            InputError: A validation row has no such label.
        """
        words = label_words(train, self.name, self.flag)
        for example in valid:
            words.label_of(example, self.name)
            if self.group is not None:
                example.field(self.group)

    def begin(self, context: "Context") -> None:
        """Find the words.

        Raises:
            InputError: Processes share the student's weights.
        """
        refuse_sharded(context.student, "label words need")
        self._context = context
        self.words = label_words(context.train, self.name, self.flag)

    def after_validation(self, signals: ValidationSignals) -> None:  # noqa: ARG002
        """Log the accuracies."""
        import torch

        context, words = self._context, self.words
        assert context is not None  # noqa: S101 - it has begun
        assert words is not None  # noqa: S101
        states, logits = _at_labels(context, words.position)
        labels = torch.tensor([words.label_of(row, self.name) for row in context.valid])
        found = {"accuracy": words.of(logits)}
        if self.scores is not None:
            found |= self.scores(words, states, logits, context.parts)
        for name, scores in found.items():
            right = scores.argmax(-1).cpu() == labels
            context.note(f"labels/{name}", float(right.float().mean()))
        if self.group is not None:
            groups = [str(row.field(self.group)) for row in context.valid]
            context.note("labels/probe", probe_accuracy(states, groups))

    def __str__(self) -> str:
        return "constant"


def _at_labels(context: "Context", position: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """The student's states and logits at the labels of all validation rows, (n, H) and (n, V)."""
    import torch

    view, found = context.gradients.student, []
    with torch.no_grad():
        for start in range(0, len(context.valid), context.micro_batch_size):
            rows = context.valid[start : start + context.micro_batch_size]
            batch = Batch([of_dataset(row) for row in rows], context.device)
            places = torch.zeros_like(batch.mask)
            places[:, position] = True
            states = view.states(batch)[places[batch.mask]]
            found.append((states.float(), view.logits(states)))
    states, logits = (torch.cat(tensors) for tensors in zip(*found, strict=True))
    return states, logits


def probe_accuracy(states: "torch.Tensor", groups: Sequence[str], ridge: float = 1.0) -> float:
    """How often a linear probe of the other rows finds the group of a row.

    Ridge regression to one-hot targets on centred states; the prediction of a row without it is
    (ŷ - h y) / (1 - h) with its leverage h.

    Args:
        states: (n, H).
        groups: The group of each row.
        ridge: Penalty, as a multiple of the mean squared state.
    """
    import torch

    names = sorted(set(groups))
    numbers = torch.tensor([names.index(group) for group in groups])
    x = states.double().cpu()
    x = torch.cat([x - x.mean(0), torch.ones(len(x), 1, dtype=x.dtype)], 1)
    y = torch.nn.functional.one_hot(numbers, len(names)).double()
    penalty = ridge * float(x.square().mean()) + 1e-9
    hat = x @ torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype), x.T)
    leverage = hat.diagonal()[:, None]
    left_out = (hat @ y - leverage * y) / (1 - leverage).clamp(min=1e-9)
    return float((left_out.argmax(-1) == numbers).double().mean())


def _some(labels: Sequence[Any]) -> str:
    return ", ".join(map(str, labels[:8])) + (", …" if len(labels) > 8 else "")
