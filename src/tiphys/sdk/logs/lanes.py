"""A buffer through which a thread writes to a stream for as long as it writes without pause.

`print` calls the stream's `write` twice a line; a method in Python makes a loop that prints several times slower than
one that writes to a file. So while text comes fast, the thread finds the `write` of an `io.TextIOWrapper` in the
stream's place, as a file has one, which gathers 32 KB before anybody looks at it.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Bytes that are gathered: many prints, and few enough that what is made of them stays below the 128 KB that the C
#: library gives back to the system at once: twice as many cost three times as much.
CHUNK = 32 * 1024
_NAME = "write"


class Lane(io.RawIOBase):
    """The way of one thread to one stream; the raw end of its own buffer.

    Args:
        attributes: Where the thread finds the stream's attributes, before those of its class.
        keep: Takes what was gathered, in order; called from the owning thread, or from that which empties the lane.
        write_on: The `write` that stands there while the lane is closed.
    """

    def __init__(
        self, attributes: MutableMapping[str, Any], keep: Callable[[str], object], write_on: Callable[[str], int]
    ) -> None:
        super().__init__()
        self._attributes = attributes
        self._keep: Callable[[str], object] | None = keep
        self._write_on = write_on
        self.owner = threading.get_ident()
        self._thread = threading.current_thread()
        self.is_open = False
        self._used = False
        self._is_keeping = False
        # Reentrant: a signal handler may print while text is being kept.
        self._lock = threading.RLock()
        below: Any = self  # a buffer in between would hold back what is flushed
        buffer: Any = io.TextIOWrapper(below, "utf-8", "surrogatepass", newline="\n")
        buffer._CHUNK_SIZE = CHUNK  # noqa: SLF001 (no other way: the size is that of no buffer below)
        self._buffer: io.TextIOWrapper = buffer

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes."""
        return not self.is_open and not self._thread.is_alive()

    def open(self) -> None:
        """The owner's texts are gathered from now on; called by the owner."""
        self._buffer.reconfigure(write_through=False)
        self.is_open = self._used = True
        self._attributes[_NAME] = self._buffer.write

    def close_lane(self) -> None:
        """What was gathered is kept, and so is at once what somebody writes who still holds the buffer's `write`.

        Not by a signal handler that prints while its thread keeps a chunk: the buffer holds a text back meanwhile.
        """
        if self._is_keeping and threading.get_ident() == self.owner:
            return
        with self._lock:
            self.is_open = False
            self._attributes[_NAME] = self._write_on
            self._buffer.reconfigure(write_through=True)
            self._buffer.flush()  # what came between the last flush and the change

    def empty(self) -> None:
        """Keep what was gathered, and close if that was nothing since the last time."""
        with self._lock:
            self._buffer.flush()
            is_used, self._used = self._used, False
        if self.is_open and not is_used:
            self.close_lane()

    def forget(self) -> None:
        """In a forked child: what was gathered is the parent's."""
        self._lock, self._keep = threading.RLock(), None
        self.is_open = False
        self._attributes[_NAME] = self._write_on

    def writable(self) -> bool:
        """As the buffer wants to know."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Keep a chunk. What is printed meanwhile by the same thread (a signal handler) does not enter the buffer."""
        text = str(data, "utf-8", "surrogatepass")
        is_owner = threading.get_ident() == self.owner
        if is_owner:
            self._is_keeping = True
            self._attributes[_NAME] = self._write_on
        try:
            with self._lock:
                self._used = True
                if self._keep is not None:
                    self._keep(text)
        finally:
            if is_owner:
                self._is_keeping = False
                # Where the lane was closed meanwhile, the buffer is yet to take the text that was too much for it.
                self._attributes[_NAME] = self._buffer.write if self.is_open else self._write_last
        return len(text)

    def _write_last(self, text: str) -> int:
        self._attributes[_NAME] = self._write_on
        with self._lock:
            self._buffer.flush()
        return self._write_on(text)
