"""Runs git without a person: credentials come from an artifact, and nothing is asked for at a terminal."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tiphys.errors import ArtifactError

#: Seconds to wait before what failed by the network is tried again.
_WAITS = (1.0, 4.0)
#: What git says then.
_TRANSIENT = re.compile(
    r"Could not resolve host|Temporary failure in name resolution|Connection (timed out|reset|refused)|timed out|"
    r"early EOF|unexpected disconnect|hung up unexpectedly|The requested URL returned error: (429|5\d\d)|"
    r"RPC failed|GnuTLS recv error",
)
#: User names and passwords in URLs.
_USER = re.compile(r"(?<=://)[^/@\s']+@")
#: Answers git's questions, of one server only: those of a submodule elsewhere get nothing.
_ASKPASS = """#!/bin/sh
case "$1" in
  "Username for '$TIPHYS_GIT_SERVER': ") printf '%s\\n' "$TIPHYS_GIT_USERNAME" ;;
  "Password for '"*"@$TIPHYS_GIT_HOST': ") printf '%s\\n' "$TIPHYS_GIT_PASSWORD" ;;
  "Password for '$TIPHYS_GIT_SERVER': ") printf '%s\\n' "$TIPHYS_GIT_PASSWORD" ;;
  *) exit 1 ;;
esac
"""


class Git:
    """Git with an environment.

    Args:
        environment: Beside that of this process.
        options: Settings (`-c`) of each command.
    """

    def __init__(self, environment: dict[str, str], options: list[str]) -> None:
        self._environment = {**os.environ, **environment}
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_SSH", "GIT_TRACE"):
            self._environment.pop(name, None)
        self._options = [part for option in options for part in ("-c", option)]

    def run(self, *arguments: str, folder: Path, tries: int = len(_WAITS) + 1) -> str:
        """The output of a command, which is tried again where the network failed.

        Raises:
            ArtifactError: it failed, or git is not installed.
        """
        for waiting in (*_WAITS[: tries - 1], None):
            done = self._run(arguments, folder)
            if done.returncode == 0:
                return done.stdout.strip()
            told = _USER.sub("…@", " ".join(done.stderr.split())) or f"exit status {done.returncode}"
            if waiting is None or not _TRANSIENT.search(told):
                break
            time.sleep(waiting)
        raise ArtifactError(f"'git {arguments[0]}' failed: {told}")

    def succeeds(self, *arguments: str, folder: Path) -> bool:
        """Whether a command ends with status 0."""
        return self._run(arguments, folder).returncode == 0

    def _run(self, arguments: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603  # no shell; the arguments are checked by the driver
                ["git", *self._options, *arguments],  # noqa: S607  # wherever it is
                cwd=folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except FileNotFoundError as error:
            raise ArtifactError("Git is not installed.", hint="Install git (Debian: apt-get install git).") from error


@contextmanager
def git_for(
    repository: str,
    *,
    login: tuple[str, str] | None = None,
    ssh_key: str | None = None,
    any_host_key: bool = False,
    any_certificate: bool = False,
) -> Iterator[Git]:
    """Git for one repository.

    Args:
        repository: Its address.
        login: User name and password, for its server alone.
        ssh_key: A private key.
        any_host_key: Whether SSH trusts a server that it does not know.
        any_certificate: Whether TLS does.
    """
    # Messages and questions are read here, so they are to be English.
    environment = {"LC_ALL": "C", "LANGUAGE": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "SSH_ASKPASS": ""}
    # No hook of this machine is run, and a server that falls silent is given up.
    options = [
        f"core.hooksPath={os.devnull}",
        "http.lowSpeedLimit=1",
        "http.lowSpeedTime=60",
        "advice.detachedHead=false",
    ]
    ssh = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=60"]
    if any_host_key:
        ssh += ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={os.devnull}", "-o", "LogLevel=ERROR"]
    if any_certificate:
        environment["GIT_SSL_NO_VERIFY"] = "true"
    with tempfile.TemporaryDirectory(prefix="tiphys-git-") as folder:
        if ssh_key is not None:
            key = Path(folder, "key")
            key.touch(0o600)
            key.write_text(ssh_key.strip() + "\n")  # without its last line feed it is not read
            ssh += ["-i", str(key), "-o", "IdentitiesOnly=yes"]
        if login is not None:
            ask = Path(folder, "ask")
            ask.touch(0o700)
            ask.write_text(_ASKPASS)
            options.append("credential.helper=")  # those of this machine are not asked
            environment |= {"GIT_ASKPASS": str(ask), **_answers(repository, login)}
        yield Git({**environment, "GIT_SSH_COMMAND": shlex.join(ssh)}, options)


def _answers(repository: str, login: tuple[str, str]) -> dict[str, str]:
    parts = urlsplit(repository)
    host = parts.netloc.rpartition("@")[2]
    return {
        "TIPHYS_GIT_SERVER": f"{parts.scheme}://{host}",
        "TIPHYS_GIT_HOST": host,
        "TIPHYS_GIT_USERNAME": login[0],
        "TIPHYS_GIT_PASSWORD": login[1],
    }
