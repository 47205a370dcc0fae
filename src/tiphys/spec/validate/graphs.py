"""Directed graphs of names: order, cycles, and who comes before whom, in time linear in their edges."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

#: How many targets one sweep of `unreached` follows at once.
_BATCH = 2048

#: Name → names of what it waits for; all of them are keys.
Graph = Mapping[str, Collection[str]]


def order(graph: Graph) -> tuple[list[str], list[str]]:
    """What can be done in an order, dependencies first, and a cycle.

    Returns:
        The names in order, without those that wait for a cycle; and the names of one cycle, each waiting for the next
        and the last for the first, empty if there is none.
    """
    waiting = {name: len(set(dependencies)) for name, dependencies in graph.items()}
    dependents: dict[str, list[str]] = {name: [] for name in graph}
    for name, dependencies in graph.items():
        for dependency in set(dependencies):
            dependents[dependency].append(name)
    done = [name for name, count in waiting.items() if not count]
    for name in done:
        for dependent in dependents[name]:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                done.append(dependent)
    left = graph.keys() - set(done)
    if not left:
        return done, []
    name = next(name for name in graph if name in left)
    path: dict[str, int] = {}
    while name not in path:
        path[name] = len(path)
        name = next(dependency for dependency in graph[name] if dependency in left)
    return done, list(path)[path[name] :]


def unreached(graph: Graph, ordered: Sequence[str], pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those pairs (name, target) in which `name` does not wait for `target`, not even through others.

    Args:
        graph: The graph.
        ordered: Its names, dependencies first.
        pairs: What is asked; both names are in `ordered`.
    """
    asked: dict[str, list[str]] = {}
    for name, target in pairs:
        asked.setdefault(target, []).append(name)
    missing: set[tuple[str, str]] = set()
    targets = list(asked)
    for start in range(0, len(targets), _BATCH):
        batch = {target: 1 << number for number, target in enumerate(targets[start : start + _BATCH])}
        reached: dict[str, int] = {}
        for name in ordered:
            bits = 0
            for dependency in graph[name]:
                bits |= reached.get(dependency, 0) | batch.get(dependency, 0)
            reached[name] = bits
        for target, bit in batch.items():
            missing |= {(name, target) for name in asked[target] if not reached[name] & bit}
    return missing
