"""How well a critic tells right statements from wrong ones, by threshold."""

from collections.abc import Sequence

from kdbench.builders.critic.logistic import fit

FOLDS = 5
_THRESHOLDS = tuple(place / 10 for place in range(10))


def unseen_probabilities(
    rows: Sequence[Sequence[float]], right: Sequence[bool], folds: int = FOLDS
) -> list[float]:
    """The probability of each row by a critic that was trained on the others.

    Args:
        rows: The features of the judged rows, in an order that says nothing of them.
        right: Whether each is right.
        folds: Number of parts; a row's critic has not seen its part. A part whose rest is all
            right or all wrong gets that as its probability.
    """
    found = [0.0] * len(rows)
    for fold in range(min(folds, len(rows))):
        known = [place for place in range(len(rows)) if place % folds != fold]
        unseen = range(fold, len(rows), folds)
        labels = [right[place] for place in known]
        if len(set(labels)) < 2:
            values = [float(labels[0])] * len(unseen)
        else:
            critic = fit([rows[place] for place in known], labels)
            values = critic.probabilities([rows[place] for place in unseen]).tolist()
        for place, value in zip(unseen, values, strict=True):
            found[place] = value
    return found


def curve(probabilities: Sequence[float], right: Sequence[bool]) -> list[dict[str, float | None]]:
    """Precision and recall of what reaches a threshold, for thresholds of 0 to 0.9.

    Args:
        probabilities: The critic's, of each row.
        right: Whether each is right.

    Returns:
        For each threshold the share of rows that reach it (`kept`), the share of right ones among
        these (`precision`; None if there are none), and the share of all right ones that are among
        them (`recall`).
    """
    points: list[dict[str, float | None]] = []
    for threshold in _THRESHOLDS:
        kept = [label for p, label in zip(probabilities, right, strict=True) if p >= threshold]
        points.append(
            {
                "threshold": threshold,
                "kept": len(kept) / len(right),
                "precision": sum(kept) / len(kept) if kept else None,
                "recall": sum(kept) / sum(right) if any(right) else None,
            }
        )
    return points
