"""What stands around the application, from the outside in, and what those ask for who watch over it."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.routing import Route

from tiphys.server.access import Access
from tiphys.server.bounds import BodyLimit, Limits
from tiphys.server.headers import SecurityHeaders
from tiphys.server.health import healthz, readyz
from tiphys.server.metrics import Metrics, metrics


def around(measured: Metrics, limits: Limits, *, strict_transport: bool) -> list[Middleware]:
    """Middlewares before all others: even what is refused has an id, a line in the log and its headers."""
    return [
        Middleware(Access, metrics=measured),
        Middleware(SecurityHeaders, strict_transport=strict_transport),
        Middleware(BodyLimit, limit=limits.body),
    ]


def routes() -> list[Route]:
    """Those of operations."""
    return [
        Route("/metrics", metrics, methods=["GET"]),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
    ]
