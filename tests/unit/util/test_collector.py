"""Pauses of the garbage collector."""

from __future__ import annotations

import gc

import pytest

from tiphys._util.collector import no_collections


class Thing:
    """One that the collector tracks."""


def is_old(thing: Thing) -> bool:
    return any(thing is item for item in gc.get_objects(generation=2))


@pytest.fixture(autouse=True)
def _enabled():
    gc.enable()
    gc.collect()
    yield
    gc.enable()


def test_nothing_is_collected_meanwhile():
    with no_collections():
        things = [Thing() for _ in range(10_000)]
        assert gc.get_count()[0] > 10_000
        assert not is_old(things[0])
    assert gc.isenabled()


def test_what_lasts_is_old_at_the_end_and_brings_no_look_nearer():
    with no_collections(lasting=True):
        things = [Thing() for _ in range(10_000)]
    assert is_old(things[0])
    assert gc.get_count()[0] < 700
    assert gc.get_freeze_count() == 0


def test_a_switched_off_collector_stays_so():
    gc.disable()
    with no_collections(lasting=True):
        Thing()
    assert not gc.isenabled()
