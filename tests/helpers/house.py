"""Count the floors, uphill imports and circles of the package: `python tests/helpers/house.py`.

A room is a folder of `kdbench/`, or a loose module there. Every import counts: also those inside
functions, and those for the type checker alone. Rooms in a circle have no order, so their uphill
imports are counted in an order that has few of them; the search is greedy and deterministic. The
face `kdbench` is above all rooms but the command line: an import of it is uphill, and is left out
of the search for circles.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

PACKAGE = "kdbench"

Graph = Mapping[str, set[str]]
"""The modules or rooms that each module or room imports."""


def modules(root: Path) -> dict[str, Path]:
    """The files of the package by the name of their module; `kdbench` is the face."""
    files = sorted((root / PACKAGE).rglob("*.py"))
    names = [file.relative_to(root).with_suffix("").parts for file in files]
    return {
        ".".join(parts[:-1] if parts[-1] == "__init__" else parts): file
        for parts, file in zip(names, files, strict=True)
    }


def imports(root: Path) -> dict[str, set[str]]:
    """The modules of the package that each of its modules imports."""
    files = modules(root)
    return {
        name: {module for module in _imported(name, file, set(files)) if module != name}
        for name, file in files.items()
    }


def without_face(graph: Graph) -> dict[str, set[str]]:
    """The modules below the face, and what they import of each other."""
    return {name: imported - {PACKAGE} for name, imported in graph.items() if name != PACKAGE}


def rooms(graph: Graph) -> dict[str, set[str]]:
    """The rooms that each room imports."""
    between: dict[str, set[str]] = {room_of(module): set() for module in graph}
    for importer, imported in arrows(graph):
        between[importer].add(imported)
    return between


def room_of(module: str) -> str:
    """The room of a module: the folder or loose module at the top of the package."""
    return module.split(".")[1] if "." in module else "__init__"


def arrows(graph: Graph) -> Counter[tuple[str, str]]:
    """The number of imports from a room to a different one."""
    pairs = ((room_of(a), room_of(b)) for a, imported in graph.items() for b in imported)
    return Counter(pair for pair in pairs if pair[0] != pair[1])


def circles(graph: Graph) -> list[list[str]]:
    """The groups of nodes of which each imports every other one, perhaps through others."""
    reachable = {node: _reachable(graph, node) for node in graph}
    groups = {
        tuple(sorted(other for other in reachable[node] if node in reachable[other]))
        for node in graph
    }
    return sorted(list(group) for group in groups if len(group) > 1)


def floors(graph: Graph) -> list[list[str]]:
    """The rooms by floor, from the ground up, without regard to uphill imports."""
    against = uphill(graph)
    below = {
        room: {other for other in imported if (room, other) not in against}
        for room, imported in rooms(graph).items()
    }
    height: dict[str, int] = {}

    def climb(room: str) -> int:
        if room not in height:
            height[room] = max((climb(lower) + 1 for lower in below[room]), default=0)
        return height[room]

    levels: list[list[str]] = [[] for _ in range(1 + max(map(climb, below)))]
    for room, level in height.items():
        levels[level].append(room)
    return [sorted(level) for level in levels]


def uphill(graph: Graph) -> dict[tuple[str, str], int]:
    """The imports between rooms that would have to go for the rooms to have an order."""
    weights = arrows(graph)
    against = {pair: count for pair, count in weights.items() if pair[1] == room_of(PACKAGE)}
    weights -= against
    for group in circles(rooms(without_face(graph))):
        place = {room: number for number, room in enumerate(_best_order(group, weights))}
        against |= {
            (a, b): count
            for (a, b), count in weights.items()
            if a in place and b in place and place[a] > place[b]
        }
    return against


def face_importers(graph: Graph) -> list[str]:
    """The modules that import the package's own face."""
    return sorted(module for module, imported in graph.items() if PACKAGE in imported)


def report(root: Path) -> str:
    """The counts, as text."""
    graph = imports(root)
    between = rooms(graph)
    loose = list((root / PACKAGE).glob("*.py"))
    levels, against, inner = floors(graph), uphill(graph), without_face(graph)
    of_files, of_rooms = circles(inner), circles(rooms(inner))
    lines = [
        f"loose modules      {len(loose)}",
        f"folders            {len(between) - len(loose)}",
        f"arrows             {sum(map(len, between.values()))}",
        f"floors             {len(levels)}",
        f"uphill imports     {sum(against.values())}",
        f"circles of files   {len(of_files)}",
        f"circles of rooms   {len(of_rooms)}",
    ]
    lines += [f"  uphill: {a} -> {b} ({count})" for (a, b), count in sorted(against.items())]
    lines += [f"  circle: {', '.join(group)}" for group in [*of_files, *of_rooms]]
    for number, level in reversed(list(enumerate(levels, start=1))):
        lines.append(f"  floor {number}: {', '.join(level)}")
    return "\n".join(lines)


def _imported(name: str, file: Path, known: set[str]) -> Iterator[str]:
    """The modules of the package that a file imports."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module in known:
            # `from kdbench.room import module` imports the module; other names are the room's.
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module


def _reachable(graph: Graph, start: str) -> set[str]:
    seen, waiting = {start}, [start]
    while waiting:
        for node in graph[waiting.pop()] - seen:
            seen.add(node)
            waiting.append(node)
    return seen


def _best_order(group: Iterable[str], weights: Mapping[tuple[str, str], int]) -> list[str]:
    """An order, importers first, in which moving any one room makes no fewer uphill imports."""
    order = sorted(group)
    while True:
        best = min(_moved(order), key=lambda candidate: _against(candidate, weights))
        if _against(best, weights) >= _against(order, weights):
            return order
        order = best


def _moved(order: list[str]) -> Iterator[list[str]]:
    """The orders with one room moved to a different place."""
    for room in order:
        rest = [other for other in order if other != room]
        for place in range(len(order)):
            yield [*rest[:place], room, *rest[place:]]


def _against(order: list[str], weights: Mapping[tuple[str, str], int]) -> int:
    place = {room: number for number, room in enumerate(order)}
    return sum(
        count
        for (a, b), count in weights.items()
        if a in place and b in place and place[a] > place[b]
    )


if __name__ == "__main__":
    here = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[2]
    sys.stdout.write(f"{report(here)}\n")
