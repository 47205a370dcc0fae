"""Where news may be posted: not to this machine nor to its network, unless that is allowed.

A name that resolves to a public address now may resolve to another one later, so the addresses are looked at when a
subscription is made and again each time a connection is.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from tiphys.errors import ServiceError, UsageError

_PORTS = {"http": 80, "https": 443}
#: Prefixes of IPv6 that lead to the IPv4 address in their last 32 bits (RFC 6052, RFC 4291).
_CARRIERS = tuple(ipaddress.IPv6Network(prefix) for prefix in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96"))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """A URL, taken apart."""

    secure: bool
    host: str
    port: int
    #: Path and query.
    path: str


def read_target(url: str) -> Target:
    """Take a URL apart.

    Raises:
        UsageError: it is none that can be posted to.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"'{url}' is not a URL: {error}.") from error
    if parts.scheme not in _PORTS or not host:
        raise UsageError(f"'{url}' is not a URL that can be posted to.", hint="Write https://host/path.")
    if parts.username is not None or parts.password is not None:
        raise UsageError("A subscription's URL may hold no user and password.", hint="Posts are signed instead.")
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise UsageError(f"{url!r} holds characters that a URL cannot have.")
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    return Target(parts.scheme == "https", host, port or _PORTS[parts.scheme], path)


def addresses_of(target: Target, *, private: bool) -> list[str]:
    """Addresses of a target's host.

    Raises:
        ServiceError: the name has none.
        UsageError: one of them may not be posted to.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServiceError(f"The host '{target.host}' is not known: {error}.") from error
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    for address in addresses:
        if not private and not is_public(ipaddress.ip_address(address.partition("%")[0])):
            raise UsageError(
                f"'{target.host}' is {address}, an address of this machine or of a private network.",
                hint="News are posted there if the subscription is made with --private and the server is started with "
                "--private-targets.",
            )
    return addresses


def is_public(address: Address) -> bool:
    """Whether an address is one of the public network, and leads nowhere else."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _carried(address)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _carried(address: ipaddress.IPv6Address) -> Address | None:
    """The IPv4 address that an IPv6 address leads to."""
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    if inner is None and any(address in network for network in _CARRIERS) and int(address) > 1:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner
