from __future__ import annotations

from dataclasses import dataclass, field

from tiphys.controller.keeper import share
from tiphys.controller.leases import Lapses
from tiphys.testing.store_samples import a_workflow


@dataclass
class Looking:
    """Looks each second."""

    lapses: Lapses = field(default_factory=lambda: Lapses(patience=6, gap=3))
    now: float = 100.0

    def look(self, **beats: int) -> set[str]:
        self.now += 1
        return self.lapses.look(beats, self.now)


def test_who_does_not_renew_for_long_enough_has_lapsed() -> None:
    looking = Looking()
    found = [looking.look(a=1, b=number) for number in range(8)]
    assert found == [set()] * 6 + [{"a"}] * 2
    assert looking.look(a=2, b=8) == set()


def test_who_has_no_lease_lapses_too() -> None:
    looking = Looking()
    assert [looking.look(a=-1) for _ in range(7)][-1] == {"a"}


def test_an_outage_begins_the_count_anew() -> None:
    looking = Looking()
    for _ in range(5):
        looking.look(a=1)
    looking.lapses.forget()
    assert [looking.look(a=1) for _ in range(7)] == [set()] * 6 + [{"a"}]


def test_so_does_a_pause_of_the_one_who_looks() -> None:
    looking = Looking()
    for _ in range(5):
        looking.look(a=1)
    looking.now += 60
    assert looking.look(a=1) == set()


def test_each_takes_a_share_and_anybody_what_is_left_over() -> None:
    rows = [a_workflow(str(number), owner="dead") for number in range(5)]
    shares = [[row.id for row in share(rows, ["a", "b"], owner)] for owner in ("a", "b")]
    assert shares == [["0", "2", "4"], ["1", "3"]]
    assert share(rows, ["a", "b"], "b", left_over={"dead"}) == rows
