"""The server that the variables of Argo's own command line name (cmd/argo/commands/client/conn.go)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tiphys.client.connection import Connection
from tiphys.errors import UsageError

#: Seconds that an unreachable server is waited for.
_PATIENCE = 60.0
#: Variables that name the certificates that are trusted; that of OpenSSL is heeded without being named here.
_AUTHORITIES = ("TIPHYS_CA", "REQUESTS_CA_BUNDLE")


def connection_from(environment: Mapping[str, str], tell: Callable[[str], None]) -> Connection:
    """A connection to that server.

    Args:
        environment: ARGO_SERVER, ARGO_TOKEN (the whole `Authorization` header), ARGO_SECURE, ARGO_BASE_HREF,
            ARGO_INSECURE_SKIP_VERIFY.
        tell: Called with a line when the server is away, and when it is back.

    Raises:
        UsageError: ARGO_SERVER is no `host:port`.
    """
    server = environment["ARGO_SERVER"]
    if "://" in server or ":" not in server or "/" in server:
        raise UsageError(
            f"ARGO_SERVER is '{server}', and must be host:port.",
            hint="A path goes into ARGO_BASE_HREF; http is asked for with ARGO_SECURE=false.",
        )
    scheme = "http" if environment.get("ARGO_SECURE") == "false" else "https"
    path = environment.get("ARGO_BASE_HREF", "").strip("/")
    return Connection(
        f"{scheme}://{server}/{path}",
        authorization=environment.get("ARGO_TOKEN", ""),
        authority=next(filter(None, (environment.get(name) for name in _AUTHORITIES)), ""),
        verified=environment.get("ARGO_INSECURE_SKIP_VERIFY") != "true",
        patience=_PATIENCE,
        tell=tell,
    )
