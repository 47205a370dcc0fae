"""Pauses of the garbage collector, where many lasting objects are made at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections(*, lasting: bool = False) -> Iterator[None]:
    """Keep the collector from looking through all objects of the process meanwhile, again and again.

    Beside a loaded pandas or scikit-learn each such look takes 50 ms and finds nothing. It usually counts what is made,
    and looks once a quarter has come to what it knows; a compiled pipeline of 10,000 steps is more than that.

    Args:
        lasting: What is made will last as long as the process, as modules do: it is put to the old objects at the end,
            uncounted, so that it brings no such look nearer (`gc.freeze` and back, which move lists, not objects).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if lasting and not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()
        if enabled:
            gc.enable()
