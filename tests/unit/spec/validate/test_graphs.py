"""Graphs against their plain definitions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tiphys.spec.validate.graphs import order, unreached

NAMES = [f"n{number}" for number in range(8)]
ANY = st.fixed_dictionaries({name: st.lists(st.sampled_from(NAMES), max_size=3) for name in NAMES})
#: Every name waits only for names before it.
ACYCLIC = st.fixed_dictionaries(
    {
        name: st.lists(st.sampled_from(NAMES[:number]), max_size=3) if number else st.just([])
        for number, name in enumerate(NAMES)
    }
)


def ancestors(graph: dict[str, list[str]], name: str) -> set[str]:
    found: set[str] = set()
    waiting = list(graph[name])
    while waiting:
        if (other := waiting.pop()) not in found:
            found.add(other)
            waiting += graph[other]
    return found


@given(ANY)
def test_there_is_an_order_or_a_cycle(graph: dict[str, list[str]]) -> None:
    ordered, cycle = order(graph)

    assert bool(cycle) == any(name in ancestors(graph, name) for name in NAMES)
    assert all(following in graph[name] for name, following in zip(cycle, [*cycle[1:], *cycle[:1]], strict=True))
    assert all(set(graph[name]) <= set(ordered[:number]) for number, name in enumerate(ordered))
    assert set(ordered) == {
        name for name in NAMES if not any(a in ancestors(graph, a) for a in {name} | ancestors(graph, name))
    }


@given(ACYCLIC, st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))))
def test_ancestors_are_reached_and_nothing_else(graph: dict[str, list[str]], pairs: set[tuple[str, str]]) -> None:
    ordered, _ = order(graph)

    missing = unreached(graph, ordered, pairs)

    assert missing == {(name, target) for name, target in pairs if target not in ancestors(graph, name)}


def test_many_targets_take_several_sweeps() -> None:
    chain = {str(number): [str(number - 1)] if number else [] for number in range(5000)}
    ordered, _ = order(chain)

    assert unreached(chain, ordered, [(str(n), str(n // 2)) for n in range(1, 5000)]) == set()
    assert unreached(chain, ordered, [("10", str(n)) for n in range(5000)]) == {("10", str(n)) for n in range(10, 5000)}
