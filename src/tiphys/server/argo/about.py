"""Argo's API about the server itself."""

from __future__ import annotations

import platform
from itertools import repeat
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tiphys._version import __version__
from tiphys.ports.access import PrincipalKind
from tiphys.server.auth.permissions import Permission
from tiphys.server.call import Call, call_of
from tiphys.server.streams import stream
from tiphys.spec.release import ARGO


def info(_call: Call) -> dict[str, Any]:
    """GET /info: no links, columns or windows were configured."""
    return {"links": [], "columns": [], "modals": {}, "navColor": ""}


def user(call: Call) -> dict[str, Any]:
    """GET /userinfo: who asks; nothing of them if the server asks nobody."""
    who = call.principal
    if who.kind is PrincipalKind.ANYONE:
        return {}
    found: dict[str, Any] = {"issuer": "tiphys", "subject": who.name, "name": who.name}
    # Where one may do what: Argo's clients show groups as they are.
    found["groups"] = [f"{workspace}:{role}" for workspace, role in sorted(who.roles.items())]
    if who.kind is PrincipalKind.SERVICE:
        found["serviceAccountName"] = who.name
    return found


def track(_call: Call) -> dict[str, Any]:
    """POST /tracking/event: nothing is collected."""
    return {}


def nothing(_call: Call) -> dict[str, Any]:
    """GET of a list of Argo Events' objects: there are none, as nothing here carries them out."""
    return {"metadata": {}, "items": []}


async def nothing_happens(request: Request, needs: Permission) -> Response:
    """GET of a stream of what happens to such objects."""
    await call_of(request, needs)
    return await stream(request, lambda: repeat([]), lambda one: one)


async def nothing_is_logged(request: Request, needs: Permission) -> Response:
    """GET of a stream of such objects' logs: there is none, so it ends."""
    await call_of(request, needs)
    return await stream(request, lambda: iter(()), lambda one: one)


def version(_call: Call) -> dict[str, Any]:
    """GET /version: the release of Argo whose behaviour is followed, and ours as its build."""
    return {
        "version": f"{ARGO}+tiphys-{__version__}",
        "buildDate": "",
        "gitCommit": "",
        "gitTag": ARGO,
        "gitTreeState": "",
        "goVersion": "",
        "compiler": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }
