"""Which server is asked: from the environment, or as `tiphys login` noted it in the home.

Nothing here speaks HTTP, so that a process without a server loads nothing for one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tiphys.errors import UsageError
from tiphys.records.base import DEFAULT_WORKSPACE

_FILE = "server.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A server, and as whom and in which workspace it is asked.

    Attributes:
        url: `https://host:port`.
        api_key: Empty for a server that asks nobody.
        workspace: Where names are looked up.
        authority: File with the certificates that are trusted; empty for the system's.
    """

    url: str
    api_key: str = field(default="", repr=False)
    workspace: str = DEFAULT_WORKSPACE
    authority: str = ""


def login_in(environment: Mapping[str, str]) -> Login | None:
    """What TIPHYS_URL, TIPHYS_API_KEY, TIPHYS_WORKSPACE and TIPHYS_CA say."""
    url = environment.get("TIPHYS_URL")
    if not url:
        return None
    return Login(
        url=url,
        api_key=environment.get("TIPHYS_API_KEY", ""),
        workspace=environment.get("TIPHYS_WORKSPACE") or DEFAULT_WORKSPACE,
        authority=environment.get("TIPHYS_CA", ""),
    )


def read_login(home: Path) -> Login | None:
    """What `write_login` noted in a home."""
    path = home / _FILE
    try:
        found = json.loads(path.read_text("utf-8"))
        return Login(**found)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{path} does not say which server to ask: {error}.", hint="Make it anew (tiphys login) or tiphys logout."
        ) from error


def write_login(home: Path, login: Login) -> Path:
    """Note a server in a home, for its owner's eyes alone."""
    home.mkdir(parents=True, exist_ok=True)
    path, fresh = home / _FILE, home / f"{_FILE}.{os.getpid()}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(login), file)
    fresh.replace(path)
    return path


def delete_login(home: Path) -> bool:
    """Forget the server of a home; whether there was one."""
    try:
        (home / _FILE).unlink()
    except FileNotFoundError:
        return False
    return True
