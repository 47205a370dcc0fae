"""Tokens by which a run's tasks are known to the server: they hold for that run's workspace, until it has ended."""

from __future__ import annotations

from datetime import timedelta

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import GuestProtocol, OctKey

from tiphys._util.times import to_epoch, utc_now
from tiphys.errors import UnauthenticatedError, UsageError
from tiphys.ports.access import Access, Principal

#: Whom tokens are for, so that nothing else that is signed with the same key is one.
_AUDIENCE = "tiphys-run"
_ALGORITHM = "HS256"
#: Keys verify no longer.
LONGEST = timedelta(days=30)
_CLAIMS = jwt.JWTClaimsRegistry(
    aud={"essential": True, "value": _AUDIENCE},
    exp={"essential": True},
    run={"essential": True},
    workspace={"essential": True},
)


def issue(access: Access, run: str, workspace: str, *, lifetime: timedelta = LONGEST) -> str:
    """A token for the tasks of a run.

    Args:
        access: Keeps the key that signs.
        run: The workflow's uid.
        workspace: Where it runs.
        lifetime: How long the token holds if the run does not end before.

    Raises:
        UsageError: it is to live longer than keys do.
    """
    if lifetime > LONGEST:
        raise UsageError(f"A run's token holds {LONGEST.days} days at most.")
    key = access.signing_key()
    claims = {"aud": _AUDIENCE, "run": run, "workspace": workspace, "exp": int(to_epoch(utc_now() + lifetime))}
    return jwt.encode({"alg": _ALGORITHM, "kid": key.id}, claims, OctKey.import_key(bytes.fromhex(key.secret)))


def verify(access: Access, token: str) -> Principal:
    """Who has this token.

    Raises:
        UnauthenticatedError: it is forged, malformed or past its time, or its run has ended.
    """

    def key_of(given: GuestProtocol) -> OctKey:
        named = given.headers().get("kid")
        found = access.verifying_key(named) if isinstance(named, str) else None
        if found is None:
            raise UnauthenticatedError("The run's token was signed with a key that is not known.")
        return OctKey.import_key(bytes.fromhex(found.secret))

    try:
        claims = jwt.decode(token, key_of, algorithms=[_ALGORITHM]).claims
        _CLAIMS.validate(claims)
    except (JoseError, ValueError) as error:
        raise UnauthenticatedError("The run's token is forged, malformed or past its time.") from error
    run, workspace = claims["run"], claims["workspace"]
    if not isinstance(run, str) or not isinstance(workspace, str):
        raise UnauthenticatedError("The run's token is malformed.")
    return access.by_run(run, workspace)
