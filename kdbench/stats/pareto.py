"""Which of several choices no other one beats in both cost and quality: the Pareto front."""

from collections.abc import Sequence


def pareto_front(costs: Sequence[float], qualities: Sequence[float]) -> list[int]:
    """The places of the choices on the front, the cheapest first.

    A choice is on it unless another one costs no more and is no worse, and is better in one of the
    two. Of choices that are equal in both, all are on it.

    Args:
        costs: Cost of each choice; lower is better.
        qualities: Quality of each choice; higher is better.
    """
    front: list[int] = []
    best = float("-inf")
    # Of equal costs only the best qualities can be on the front, and come first.
    for place in sorted(range(len(costs)), key=lambda place: (costs[place], -qualities[place])):
        cost, quality = costs[place], qualities[place]
        ties = bool(front) and (cost, quality) == (costs[front[-1]], qualities[front[-1]])
        if quality > best or ties:
            front.append(place)
            best = quality
    return front


def times_on_front(
    costs: Sequence[float], qualities_by_draw: Sequence[Sequence[float]]
) -> list[int]:
    """In how many draws of the qualities, such as training seeds, each choice is on the front.

    Args:
        costs: Cost of each choice.
        qualities_by_draw: Quality of each choice, by draw.
    """
    counts = [0] * len(costs)
    for qualities in qualities_by_draw:
        for place in pareto_front(costs, qualities):
            counts[place] += 1
    return counts
