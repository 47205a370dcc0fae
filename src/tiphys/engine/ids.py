"""Node ids as Argo makes them: the FNV-1a hash of the node's name, with a wider hash where two names collide."""

from __future__ import annotations

from collections.abc import Mapping

from tiphys.engine.model import Node

_OFFSET_32, _PRIME_32 = 0x811C9DC5, 0x01000193
_OFFSET_64, _PRIME_64 = 0xCBF29CE484222325, 0x00000100000001B3


def fnv32(text: str, state: int = _OFFSET_32) -> int:
    """FNV-1a, 32 bits; `state` is the hash of what stands before `text`."""
    for byte in text.encode():
        state = ((state ^ byte) * _PRIME_32) & 0xFFFFFFFF
    return state


def fnv64(text: str) -> int:
    """FNV-1a, 64 bits."""
    state = _OFFSET_64
    for byte in text.encode():
        state = ((state ^ byte) * _PRIME_64) & 0xFFFFFFFFFFFFFFFF
    return state


def node_id(workflow: str, name: str, hashed: int, nodes: Mapping[str, Node]) -> str:
    """Id of the node `name`, whose 32-bit hash is `hashed`.

    With 100,000 nodes two names collide almost surely; the later one then gets its 64-bit hash, so that no node hides
    another.
    """
    found = f"{workflow}-{hashed}"
    other = nodes.get(found)
    if other is not None and other.name != name:
        return f"{workflow}-{fnv64(name)}"
    return found
