"""Tokens of runs' tasks."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tiphys._util.times import to_epoch, utc_now
from tiphys.errors import UnauthenticatedError, UsageError
from tiphys.ports.access import Access, PrincipalKind
from tiphys.records.access import Role
from tiphys.records.workflows import WorkflowRow
from tiphys.server.auth.run_tokens import LONGEST, issue, verify
from tiphys.services.backend import LocalBackend

RUN = "run-1"


@pytest.fixture
def access(backend: LocalBackend) -> Access:
    row = WorkflowRow(id=RUN, name="one", workspace="team", manifest="{}", created_at=utc_now())
    with backend.store.transaction() as transaction:
        transaction.add(row)
    return backend.access


def claims(**changes: Any) -> dict[str, Any]:
    later = int(to_epoch(utc_now() + timedelta(hours=1)))
    return {"aud": "tiphys-run", "run": RUN, "workspace": "team", "exp": later, **changes}


def signed(access: Access, claims: dict[str, Any], *, secret: bytes | None = None, **header: Any) -> str:
    key = access.signing_key()
    given = {"alg": "HS256", "kid": key.id, **header}
    return jwt.encode(given, claims, OctKey.import_key(secret or bytes.fromhex(key.secret)), algorithms=[given["alg"]])


def test_a_token_makes_its_tasks_editors_of_its_workspace(access: Access) -> None:
    found = verify(access, issue(access, RUN, "team"))
    assert (found.name, found.kind, found.roles) == (f"run:{RUN}", PrincipalKind.RUN, {"team": Role.EDITOR})
    assert verify(access, signed(access, claims())) == found


def test_it_ends_with_the_run(access: Access, backend: LocalBackend) -> None:
    token = issue(access, RUN, "team")
    with backend.store.transaction() as transaction:
        transaction.update(WorkflowRow, RUN, finished_at=utc_now())
    with pytest.raises(UnauthenticatedError, match="has ended"):
        verify(access, token)


def test_it_ends_in_time(access: Access) -> None:
    with pytest.raises(UnauthenticatedError, match="past its time"):
        verify(access, issue(access, RUN, "team", lifetime=timedelta(seconds=-1)))
    with pytest.raises(UsageError):
        issue(access, RUN, "team", lifetime=LONGEST + timedelta(seconds=1))


@pytest.mark.parametrize(
    "changes",
    [
        {"workspace": "other"},
        {"run": "run-2"},
        {"run": 1},
        {"run": None},
        {"workspace": ["team"]},
        {"aud": "other"},
        {"exp": None},
        {"exp": "never"},
    ],
)
def test_claims_that_are_not_its_own_are_refused_though_they_are_signed(
    access: Access, changes: dict[str, Any]
) -> None:
    with pytest.raises(UnauthenticatedError):
        verify(access, signed(access, {k: v for k, v in claims(**changes).items() if v is not None}))


def test_other_keys_and_algorithms_are_refused(access: Access) -> None:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    kid = access.signing_key().id
    good = issue(access, RUN, "team")
    head, body, signature = good.split(".")
    forged = [
        signed(access, claims(), secret=b"x" * 32),
        signed(access, claims(), alg="HS512"),
        signed(access, claims(), kid="unknown"),
        f"{part({'alg': 'none', 'kid': kid})}.{part(claims())}.",
        f"{part({'alg': 'none', 'kid': kid})}.{part(claims())}.{signature}",
        f"{part({'alg': 'HS256'})}.{body}.{signature}",
        f"{part({'alg': 'HS256', 'kid': [kid]})}.{body}.{signature}",
        f"{head}.{part(claims(workspace='*'))}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-2]}",
        "..",
        "a.b.c",
        "\u00e9.\u00e9.\u00e9",
        good + "x" * 10_000,
    ]
    for token in forged:
        with pytest.raises(UnauthenticatedError):
            verify(access, token)
    verify(access, good)
