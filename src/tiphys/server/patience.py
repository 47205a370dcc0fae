"""How long, and for how much of a request's head, a client is waited for."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

#: Seconds that the head of a request may take to arrive.
_HEAD = 20.0
#: Bytes of it.
HEAD_SIZE = 64 * 1024


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that ends a connection on which a request's head does not come to its end.

    Without it a client could hold any number of connections by sending a letter now and then.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take in what a client sent."""
        if self._head_timer is None and not self._is_answering():
            self._wait_for_head()
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(_HEAD, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> Any:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()
