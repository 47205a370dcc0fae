"""A real PostgreSQL server for tests, started from the installed binaries and gone with them.

It listens on the loopback interface only, keeps its data in a temporary folder and never waits for the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql

_START_ATTEMPTS = 5
#: Seconds a server may take to answer, or to end.
_PATIENCE = 60.0
#: Debian and its like keep the binaries off the search path.
_BINARY_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


#: Servers that this process started, by the number of their first process.
_started: dict[int, subprocess.Popen[bytes]] = {}


class PostgresUnavailableError(RuntimeError):
    """PostgreSQL is not installed, or does not start; the message says why."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server that runs."""

    port: int
    #: Of the server's first process.
    pid: int
    #: Holds the data, the socket and the log.
    folder: str

    def url(self, database: str) -> str:
        """URL of a database of this server."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, *, template: str = "template0") -> str:
        """Create a database as a copy of another one; returns its URL."""
        self._administer(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def end_connections(self, name: str) -> None:
        """Cut all connections to a database, as a restart of the server would."""
        self._administer(
            sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(
                sql.Literal(name)
            )
        )

    def kill(self) -> None:
        """End the server's first process at once, as a crash would; the others end when they notice."""
        process = _started.pop(self.pid)
        process.kill()
        process.wait()

    def restart(self) -> PostgresServer:
        """Start the server again that was killed, with its data and at its port.

        Raises:
            PostgresUnavailableError: it does not start.
        """
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            process = _launch(_binary("postgres"), Path(self.folder), self.port, _unprivileged_user())
            if _answers(process, self.port):
                _started[process.pid] = process
                return PostgresServer(self.port, process.pid, self.folder)
            # The processes of the killed one have not all ended yet.
            time.sleep(0.05)
        raise PostgresUnavailableError(f"PostgreSQL did not start again; {self.folder}/log tells why.")

    def stop(self) -> None:
        """End the server and remove its folder."""
        process = _started.pop(self.pid, None)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGINT)
            until = time.monotonic() + _PATIENCE
            while _runs(self.pid) if process is None else process.poll() is None:
                if time.monotonic() > until:
                    os.kill(self.pid, signal.SIGQUIT)
                    break
                time.sleep(0.01)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _administer(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


def start_postgres() -> PostgresServer:
    """Start a server with an empty cluster; the caller stops it.

    Raises:
        PostgresUnavailableError: the binaries are missing or do not work.
    """
    initdb, postgres = _binary("initdb"), _binary("postgres")
    user = _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="tiphys-pg-"))
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data = folder / "data"
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        _checked([initdb, f"--pgdata={data}", *options], folder, user)
        for attempt in range(1, _START_ATTEMPTS + 1):
            port = _free_port()
            process = _launch(postgres, folder, port, user)
            if _answers(process, port):
                _started[process.pid] = process
                return PostgresServer(port, process.pid, str(folder))
            if attempt == _START_ATTEMPTS:
                raise PostgresUnavailableError(f"PostgreSQL did not start:\n{(folder / 'log').read_text()[-2000:]}")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    raise AssertionError("unreachable")


@contextlib.contextmanager
def shared_postgres_server(folder: Path) -> Iterator[PostgresServer]:
    """One server for all processes that name the same folder (the workers of one test session).

    The first one starts it, the last one stops it; users that were killed do not count.
    """
    with _register(folder) as state:
        server = PostgresServer(**state["server"]) if state.get("server") else start_postgres()
        state["server"] = asdict(server)
        state["users"] = [*_alive(state), os.getpid()]
    try:
        yield server
    finally:
        with _register(folder) as state:
            state["users"] = [user for user in _alive(state) if user != os.getpid()]
            if not state["users"]:
                state["server"] = None
                server.stop()


@contextlib.contextmanager
def _register(folder: Path) -> Iterator[dict[str, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "postgres.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        state = _read(file)
        try:
            yield state
        finally:
            file.seek(0)
            file.truncate()
            json.dump(state, file)


def _read(file: IO[str]) -> dict[str, Any]:
    file.seek(0)
    text = file.read()
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def _alive(state: dict[str, Any]) -> list[int]:
    return [user for user in state.get("users", []) if _runs(user)]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # An ended process that nobody has waited for yet still has its number.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def _binary(name: str) -> str:
    found = shutil.which(name)
    if found:
        return found
    for pattern in _BINARY_FOLDERS:
        for folder in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
            if (folder / name).exists():
                return str(folder / name)
    raise PostgresUnavailableError(f"PostgreSQL is not installed: there is no '{name}' (scripts/ensure_packages.sh).")


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Whom to run the server as: it refuses to run as root. None for the present user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresUnavailableError("PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody'.")


def _as_user(user: pwd.struct_passwd | None, folder: Path) -> dict[str, Any]:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LC_ALL": "C"}
    if user is None:
        return {"env": environment, "cwd": folder}
    return {"env": environment, "cwd": folder, "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _settings(port: int, folder: Path) -> list[str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": folder,
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_connections": 200,
        "shared_buffers": "32MB",
    }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _checked(arguments: list[str], folder: Path, user: pwd.struct_passwd | None) -> None:
    done = subprocess.run(  # noqa: S603 (the arguments are ours)
        arguments, **_as_user(user, folder), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise PostgresUnavailableError(f"'{arguments[0]}' failed: {done.stderr.strip() or done.stdout.strip()}")


def _launch(postgres: str, folder: Path, port: int, user: pwd.struct_passwd | None) -> subprocess.Popen[bytes]:
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 (the arguments are ours)
            [postgres, "-D", str(folder / "data"), *_settings(port, folder)],
            **_as_user(user, folder),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    until = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < until:
        try:
            psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.02)
        else:
            return process.poll() is None
    return False
