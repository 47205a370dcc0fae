"""Refuses what a web page might have its reader's browser send to a server that the browser can reach.

A page of any origin can have a browser send requests to loopback: plain ones, or under a host name of its own that
resolves to 127.0.0.1. The first kind names its origin, the second another host than ours.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tiphys.server.answers import DENIED, refusal


class Guard:
    """Lets requests through that are addressed to this server, and that no other origin's page sends.

    Args:
        app: What answers them.
        hosts: Names and addresses under which the server may be asked, in lower case.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        wrong = self._wrong(Headers(scope=scope), scope.get("server")) if scope["type"] == "http" else ""
        if wrong:
            await refusal(DENIED, wrong)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _wrong(self, headers: Headers, reached: Sequence[Any] | None) -> str:
        host, origin = headers.get("host", ""), headers.get("origin", "")
        name = _name_in(host)
        # The address that the connection came to is no name that somebody else could have resolve to it.
        if name not in self._hosts and (reached is None or name != reached[0]):
            return f"This server is not '{host}'."
        if origin and origin.partition("://")[2] != host:
            return f"Pages of '{origin}' may not use this server."
        return ""


def _name_in(host: str) -> str | None:
    """The name or address of a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
