"""Node ids."""

from __future__ import annotations

from tiphys.engine.ids import fnv32, fnv64, node_id
from tiphys.engine.model import Node, NodeType, Phase


def test_the_hashes_are_fnv_1a() -> None:
    assert fnv32("foobar") == 0xBF9CF968
    assert fnv64("foobar") == 0x85944171F73967E8


def test_a_hash_can_be_continued() -> None:
    assert fnv32("bar", fnv32("foo")) == fnv32("foobar")


def test_a_collision_gets_the_wider_hash() -> None:
    first = Node("wf-7", "wf.a", "a", NodeType.POD, Phase.RUNNING, "t")

    assert node_id("wf", "wf.a", 7, {"wf-7": first}) == "wf-7"
    assert node_id("wf", "wf.b", 7, {"wf-7": first}) == f"wf-{fnv64('wf.b')}"
