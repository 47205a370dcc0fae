"""Signatures of webhooks: those that Argo's webhook clients bear, and one of our own with a time.

The clients of a namespace stand in its Secret `argo-workflows-webhook-clients`: for each service account a YAML text
with `type` and `secret` (Argo, docs/webhooks.md). Sources of the schemes: docs.github.com "Validating webhook
deliveries"; docs.gitlab.com "Webhooks", secret token; Bitbucket's X-Hook-UUID and, of its server, X-Hub-Signature.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tiphys.errors import SpecError
from tiphys.ports.events import SignatureError
from tiphys.spec.yaml import load

_log = logging.getLogger("tiphys.server.events")

#: The Secret that lists a namespace's webhook clients.
CLIENTS = "argo-workflows-webhook-clients"
#: Our own signature: `t=<epoch seconds>,v1=<HMAC-SHA256 of "<t>.<body>" in hexadecimal digits>`.
HEADER = "x-tiphys-signature"
#: Seconds that a signature may be old, or ahead.
WINDOW = 300
#: Headers that prove who sent an event; they are kept from expressions and from the database.
PROOFS = frozenset({HEADER, "x-hub-signature", "x-hub-signature-256", "x-gitlab-token", "x-hook-uuid"})

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WebhookClient:
    """Someone who signs what it sends."""

    #: Its service account.
    name: str
    type: str
    secret: str


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that holds."""

    #: The client's service account.
    client: str
    #: What is good for one delivery only; empty where the same signature may come again.
    once: str = ""


def webhook_clients(secret: Mapping[str, bytes]) -> list[WebhookClient]:
    """The clients that a Secret lists; those that cannot be understood are logged and left out."""
    found = []
    for name, data in sorted(secret.items()):
        try:
            given = load(data, source=f"{CLIENTS}/{name}")
        except SpecError as error:
            _log.warning("the webhook client %s is not understood: %s", name, error.message)
            continue
        kind, key = (given.get("type"), given.get("secret")) if isinstance(given, dict) else (None, None)
        if kind not in _SCHEMES or not isinstance(key, str) or not key:
            _log.warning("the webhook client %s needs a secret, and a type of: %s", name, ", ".join(_SCHEMES))
            continue
        found.append(WebhookClient(name, str(kind), key))
    return found


def verify(clients: list[WebhookClient], headers: Headers, body: bytes, *, now: float) -> Verified:
    """Which client sent a request.

    Args:
        clients: Those it may be.
        headers: By lower-case name.
        body: As it came.
        now: Epoch seconds.

    Raises:
        SignatureError: none of them.
    """
    for client in clients:
        found = _SCHEMES[client.type](client.secret, headers, body, now)
        if found is not None:
            return Verified(client.name, f"{client.name}:{found}" if found else "")
    # Nothing that would help an attacker.
    raise SignatureError("The webhook's signature is not accepted.")


def sign(secret: str, body: bytes, *, now: float) -> str:
    """The value of our own header."""
    moment = str(int(now))
    return f"t={moment},v1={_digest(secret, moment.encode() + b'.' + body)}"


def _github(secret: str, headers: Headers, body: bytes, _now: float) -> str | None:
    # The older X-Hub-Signature is SHA-1, and not taken.
    return _hmac(headers.get("x-hub-signature-256", ""), secret, body)


def _gitlab(secret: str, headers: Headers, _body: bytes, _now: float) -> str | None:
    return "" if _equal(headers.get("x-gitlab-token", ""), secret) else None


def _bitbucket(secret: str, headers: Headers, _body: bytes, _now: float) -> str | None:
    return "" if _equal(headers.get("x-hook-uuid", ""), secret) else None


def _bitbucket_server(secret: str, headers: Headers, body: bytes, _now: float) -> str | None:
    return _hmac(headers.get("x-hub-signature", ""), secret, body)


def _generic(secret: str, headers: Headers, body: bytes, now: float) -> str | None:
    pairs = [part.strip().partition("=") for part in headers.get(HEADER, "").split(",")]
    moments = [value for name, _, value in pairs if name == "t"]
    if len(moments) != 1 or not (moments[0].isascii() and moments[0].isdigit()) or len(moments[0]) > 15:
        return None
    if abs(now - int(moments[0])) > WINDOW:
        return None
    expected = _digest(secret, moments[0].encode() + b"." + body)
    given = [value for name, _, value in pairs if name == "v1"]
    # There may be several while a key is changed.
    return expected if any(_equal(one, expected) for one in given) else None


def _hmac(given: str, secret: str, body: bytes) -> str | None:
    return "" if _equal(given, f"sha256={_digest(secret, body)}") else None


def _digest(secret: str, content: bytes) -> str:
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogateescape"), expected.encode())


#: Gives None for a signature that does not hold, and else what is good for one delivery only (or "").
_SCHEMES: dict[str, Callable[[str, Headers, bytes, float], str | None]] = {
    "github": _github,
    "gitlab": _gitlab,
    "bitbucket": _bitbucket,
    "bitbucketserver": _bitbucket_server,
    "hmac": _generic,
}
