"""Which backend the SDK talks to: the default one of this process, unless a block of code says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from tiphys.plugins.loading import load

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend

_chosen: ContextVar[Backend | None] = ContextVar("tiphys_backend", default=None)


def current_backend() -> Backend:
    """The backend in use."""
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    default: Backend = load("tiphys.bootstrap:default_backend")()
    return default


@contextmanager
def use_backend(backend: Backend) -> Iterator[Backend]:
    """Use `backend` inside of the block."""
    token = _chosen.set(backend)
    try:
        yield backend
    finally:
        _chosen.reset(token)
