"""What all answers say to browsers: not to guess, not to show them in another page, not to keep them."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: Of pages: their own scripts and styles, and nothing from elsewhere. Diagrams set styles of elements.
_PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
#: Of all else: nothing in it is to be carried out.
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_TRANSPORT = "max-age=31536000"


class SecurityHeaders:
    """Adds headers that an answer does not have of its own.

    Args:
        app: What answers.
        strict_transport: Whether browsers are to come by TLS alone: not on loopback, where other programs may use the
            same name without it.
    """

    def __init__(self, app: ASGIApp, *, strict_transport: bool) -> None:
        self._app = app
        self._headers = {**_ALWAYS, **({"Strict-Transport-Security": _TRANSPORT} if strict_transport else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                is_page = headers.get("content-type", "").startswith("text/html")
                headers.setdefault("Content-Security-Policy", _PAGE_POLICY if is_page else _DATA_POLICY)
            await send(message)

        await self._app(scope, receive, send_with_headers)
