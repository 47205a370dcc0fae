"""Argo's API about the server itself."""

from __future__ import annotations

import platform
from typing import Any

from tiphys._version import __version__
from tiphys.ports.access import PrincipalKind
from tiphys.server.call import Call
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
