"""Backups that are taken while a server works, and what becomes of them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from tests.contract.conftest import empty_postgres_url, postgres
from tests.integration.server_desk import PATIENCE, RunningServer, running_server, workflow
from tests.needs import lacking

from tiphys.testing.postgres import PostgresServer

__all__ = ["empty_postgres_url", "postgres"]
#: Steps see the files of this machine, and the gate among them.
PLAIN = ("--insecure", "--runner", "process")
API = "/api/v1/workflows/argo"


@pytest.fixture(params=["sqlite", "postgresql"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Databases of two homes."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/first/tiphys.db", f"sqlite:///{tmp_path}/second/tiphys.db"
    if not shutil.which("pg_dump"):
        lacking("pg_dump is not installed (scripts/ensure_packages.sh).")
    server: PostgresServer = request.getfixturevalue("postgres")
    first: str = request.getfixturevalue("empty_postgres_url")
    return first, server.create_database(f"second_{os.getpid()}")


def of(home: Path, db_url: str) -> dict[str, str]:
    return {**os.environ, "TIPHYS_HOME": str(home), "TIPHYS_DB_URL": db_url}


def tiphys(home: Path, db_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tiphys", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=of(home, db_url))


def gated(gate: Path) -> dict[str, Any]:
    """A workflow whose first step waits for a file, and whose second writes an artifact."""
    made = workflow("sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.1; done")
    made["spec"]["templates"][0]["name"] = "wait"
    path = "kept"
    container = {"image": "busybox", "command": ["sh", "-c", f"echo kept > {path}"]}
    write = {"name": "write", "container": container, "outputs": {"artifacts": [{"name": "out", "path": path}]}}
    groups = [[{"name": name, "template": name}] for name in ("wait", "write")]
    made["spec"]["templates"] += [write, {"name": "main", "steps": groups}]
    return made


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "gate"
    yield path
    path.touch()


def phases(client: httpx2.Client) -> dict[str, str]:
    query = {"fields": "items.metadata.name,items.status.phase"}
    answer = client.get(API, params=query).json()
    return {one["metadata"]["name"]: one["status"].get("phase", "Pending") for one in answer["items"]}


def submit(client: httpx2.Client, manifest: dict[str, Any]) -> str:
    answer = client.post(API, json={"workflow": manifest})
    assert answer.status_code == 200, answer.text
    name: str = answer.json()["metadata"]["name"]
    return name


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def asked(server: RunningServer) -> httpx2.Client:
    return httpx2.Client(base_url=server.url, timeout=PATIENCE)


def test_a_backup_under_load_is_a_whole_server_elsewhere(tmp_path: Path, urls: tuple[str, str], gate: Path) -> None:
    first, second, file = tmp_path / "first", tmp_path / "second", tmp_path / "backup.tar"
    with running_server(first, *PLAIN, TIPHYS_DB_URL=urls[0]) as server, asked(server) as client:
        going = submit(client, gated(gate))
        submitted: list[str] = []
        enough = threading.Event()

        def load() -> None:
            with asked(server) as own:
                while not enough.is_set():
                    submitted.append(submit(own, workflow("true")))

        loading = threading.Thread(target=load)
        loading.start()
        until(lambda: len(submitted) >= 20 and phases(client)[going] == "Running")
        before = list(submitted)
        done = tiphys(first, urls[0], "backup", "--artifacts", str(file))
        during = len(submitted) - len(before)
        enough.set()
        loading.join()
        assert done.returncode == 0, done.stderr
        assert during > 0
        refused = tiphys(first, urls[0], "restore", "--force", str(file))
        assert (refused.returncode, "in use" in refused.stderr) == (2, True)
        assert phases(client)[going] == "Running"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shown = tiphys(second, urls[1], "restore", "--dry-run", str(file))
    assert "verified, nothing was restored" in shown.stdout, shown.stderr
    assert not list(second.glob("*.db"))
    done = tiphys(second, urls[1], "restore", str(file))
    assert done.returncode == 0, done.stderr
    gate.touch()
    with running_server(second, *PLAIN, TIPHYS_DB_URL=urls[1]) as server, asked(server) as client:
        until(lambda: set(phases(client).values()) == {"Succeeded"})
        assert {going, *before} <= set(phases(client))
        nodes = client.get(f"{API}/{going}").json()["status"]["nodes"]
        (wrote,) = [node["id"] for node in nodes.values() if node["displayName"] == "write"]
        assert client.get(f"/artifacts/argo/{going}/{wrote}/out").text == "kept\n"
    refused = tiphys(second, urls[1], "restore", str(file))
    assert (refused.returncode, "is not empty" in refused.stderr) == (2, True)
    assert tiphys(second, urls[1], "restore", "--force", str(file)).returncode == 0


def test_connections_that_are_just_ending_do_not_hinder_a_restore(tmp_path: Path, empty_postgres_url: str) -> None:
    if not shutil.which("pg_dump"):
        lacking("pg_dump is not installed (scripts/ensure_packages.sh).")
    home, file = tmp_path / "home", tmp_path / "backup.tar"
    for arguments in (("tag", "list"), ("backup", str(file))):
        done = tiphys(home, empty_postgres_url, *arguments)
        assert done.returncode == 0, done.stderr
    restore = ("restore", "--force", str(file))
    with psycopg.connect(empty_postgres_url, autocommit=True) as other:
        refused = tiphys(home, empty_postgres_url, *restore)
        assert (refused.returncode, "in use" in refused.stderr) == (2, True)
        environment = of(home, empty_postgres_url)
        restoring = subprocess.Popen([sys.executable, "-m", "tiphys", *restore], env=environment)
        looks = "SELECT 1 FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%pg_stat_activity%'"
        until(lambda: other.execute(looks).fetchone() is not None or restoring.poll() is not None)
    assert restoring.wait(PATIENCE) == 0


def test_artifacts_and_logs_come_back(tmp_path: Path, gate: Path) -> None:
    gate.touch()
    first, second, file = tmp_path / "first", tmp_path / "second", tmp_path / "backup.tar"
    url = f"sqlite:///{first}/tiphys.db"
    with running_server(first, *PLAIN) as server, asked(server) as client:
        name = submit(client, gated(gate))
        until(lambda: phases(client)[name] == "Succeeded")
    assert tiphys(first, url, "backup", "--artifacts", str(file)).returncode == 0
    refused = tiphys(first, url, "backup", str(file))
    assert (refused.returncode, "exists already" in refused.stderr) == (2, True)
    assert tiphys(second, f"sqlite:///{second}/tiphys.db", "restore", str(file)).returncode == 0
    for folder in ("artifacts", "workflow-logs"):
        kept = {path.relative_to(first): path.read_bytes() for path in (first / folder).rglob("*") if path.is_file()}
        found = {path.relative_to(second): path.read_bytes() for path in (second / folder).rglob("*") if path.is_file()}
        assert kept == found
        assert kept


@pytest.fixture
def written(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    environment = {**os.environ, "TIPHYS_HOME": str(home)}
    subprocess.run([sys.executable, "-m", "tiphys", "tag", "list"], env=environment, check=True, capture_output=True)
    (home / "artifacts").mkdir(exist_ok=True)
    (home / "artifacts" / "a").write_text("data")
    file = tmp_path / "backup.tar"
    assert tiphys(home, f"sqlite:///{home}/tiphys.db", "backup", "--artifacts", str(file)).returncode == 0
    return file


def changed(file: Path, name: str, content: bytes | None, *, call_it: str = "") -> None:
    """Replace a member's content, leave it out, or give it another name, in the manifest too."""
    folder = file.parent / "unpacked"
    with tarfile.open(file) as archive:
        archive.extractall(folder, filter="data")
        names = archive.getnames()
    with tarfile.open(file, "w") as archive:
        for one in names:
            path = folder / one
            if one == name and content is not None:
                path.write_bytes(content)
            if one == "manifest.json" and call_it:
                path.write_text(path.read_text().replace(f'"{name}"', f'"{call_it}"'))
            if one != name or content is not None or call_it:
                archive.add(path, arcname=call_it if one == name and call_it else one)


@pytest.mark.parametrize(
    ("name", "content", "call_it", "told"),
    [
        ("artifacts/a", b"date", "", "is not what was written"),
        ("database", b"", "", "is not what was written"),
        ("artifacts/a", None, "", "is missing"),
        ("artifacts/a", None, "artifacts/../../escaped", "no place of a home"),
        ("artifacts/a", None, "tls/server.key", "no place of a home"),
        ("manifest.json", b"{}", "", "has the form None"),
        ("manifest.json", None, "", "is no backup"),
    ],
)
def test_a_backup_that_was_changed_is_refused(
    written: Path, tmp_path: Path, name: str, content: bytes | None, call_it: str, told: str
) -> None:
    changed(written, name, content, call_it=call_it)
    target = tmp_path / "target"
    for options in (("--dry-run",), ()):
        done = tiphys(target, f"sqlite:///{target}/tiphys.db", "restore", *options, str(written))
        assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    assert not [path for path in target.rglob("*") if path.is_file()]
    assert not (tmp_path / "escaped").exists()


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("nothing")
    done = tiphys(tmp_path / "home", f"sqlite:///{tmp_path}/home/tiphys.db", "restore", str(tmp_path / "file"))
    assert (done.returncode, "is no backup" in done.stderr) == (2, True)
