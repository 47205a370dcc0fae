"""The first words with a server: whether it is one, can be trusted, and knows us."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tiphys.client.connection import Connection
from tiphys.client.login import Login
from tiphys.client.place import Place
from tiphys.errors import NotFoundError, ServiceError, TiphysError
from tiphys.ports.wire import API, read
from tiphys.records.runs import Run


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server says of itself."""

    version: str
    #: Major version of its API.
    api: int
    #: The workspace of clients that name none.
    workspace: str
    #: Whether it must be told who asks.
    authentication: bool


def meet(login: Login, *, local_authority: Path) -> ServerInfo:
    """Ask a server what it is.

    Args:
        login: Where it is, and what is trusted; the key is not needed.
        local_authority: Certificate that a server of this machine would have made.

    Raises:
        ServiceError: it is no server of ours, cannot be reached or is not trusted.
        UpgradeError: it does not understand this version.
    """
    try:
        return _info(login)
    except NotFoundError as error:
        raise ServiceError(
            f"{login.url} is no Tiphys server, or one of a version that has no API of ours.",
            hint="Argo's API of a server is for Hera and argo, which need no login.",
        ) from error
    except ServiceError as error:
        if login.authority or not local_authority.exists() or not _is_met(login, local_authority):
            raise
        raise ServiceError(
            f"The certificate of {login.url} is signed by the authority of this machine's server, which you have not "
            "said to trust.",
            hint=f"tiphys login {login.url} --ca {local_authority}",
        ) from error


def check_access(login: Login) -> None:
    """See that the server lets us into the workspace.

    Raises:
        TiphysError: it does not.
    """
    connection = _connection(login)
    try:
        place = Place(connection, login.workspace)
        connection.ask("GET", f"{place.path_of(Run)}/count")
    finally:
        connection.close()


def _info(login: Login) -> ServerInfo:
    connection = _connection(login)
    try:
        return read(ServerInfo, connection.ask("GET", f"{API}/info"))
    finally:
        connection.close()


def _is_met(login: Login, authority: Path) -> bool:
    try:
        _info(replace(login, authority=str(authority)))
    except TiphysError:
        return False
    return True


def _connection(login: Login) -> Connection:
    return Connection(login.url, api_key=login.api_key, authority=login.authority)
