"""Identifiers: time-ordered ids for rows, and names that Kubernetes would accept."""

from __future__ import annotations

import os
import re
import time

#: Bytes asked of the system at once: a step makes half a dozen ids, and each request would be a system call.
_BLOCK = 4096
_last = 0
#: Random parts of ids to come. Taken by `pop`, which gives no two threads the same one.
_tails: list[str] = []
if hasattr(os, "register_at_fork"):
    # A child would give out the same ones as its parent.
    os.register_at_fork(after_in_child=_tails.clear)


def next_tick() -> int:
    """The present in 4096ths of a millisecond; a repeated or backward reading is moved one tick past the last."""
    global _last
    ticks = time.time_ns() * 4096 // 1_000_000
    if ticks <= _last:
        ticks = _last + 1
    _last = ticks
    return ticks


def new_id() -> str:
    """A fresh UUID of version 7 (RFC 9562) as text: 36 characters that sort by the time of their creation.

    Ids made by one process ascend strictly: the 12 bits after the millisecond hold a finer clock (`next_tick`).
    """
    ticks = next_tick()
    tail = _next_tail()
    head = f"{ticks >> 12:012x}"
    variant = "89ab"[int(tail[0], 16) & 3]
    return f"{head[:8]}-{head[8:]}-7{ticks & 0xFFF:03x}-{variant}{tail[1:4]}-{tail[4:16]}"


def _next_tail() -> str:
    while True:
        try:
            return _tails.pop()
        except IndexError:
            block = os.urandom(_BLOCK).hex()
            _tails.extend([block[start : start + 16] for start in range(0, len(block), 16)])


def dns_name(text: str, limit: int = 63) -> str:
    """`text` as a Kubernetes object name: lower case letters, digits and '-', at most `limit` characters."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:limit].rstrip("-")
    return name or "x"
