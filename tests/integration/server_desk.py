"""A server as people start it: a process of its own, on a free port, with the certificate that it makes itself."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx2
from hera.workflows import WorkflowsService

from tiphys.integrations.local.pods.runner import usable

#: Seconds; nothing here takes nearly as long.
PATIENCE = 60.0
#: What carries pods out here.
RUNNER = "process" if usable("sandbox") else "sandbox"


class Output:
    """What a process prints, read while it runs: one that nobody reads from ends up waiting for a reader."""

    def __init__(self, source: IO[str]) -> None:
        self.lines: list[str] = []
        self._source = source
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._source:
            self.lines.extend(self._source)

    def find(self, pattern: str, process: subprocess.Popen[str]) -> re.Match[str]:
        """Wait until this is printed."""
        while True:
            ended = process.poll() is not None
            found = re.search(pattern, self.whole() if ended else "".join(self.lines))
            if found is not None:
                return found
            assert not ended, "".join(self.lines)
            time.sleep(0.01)

    def whole(self) -> str:
        """All of it, when the process has ended."""
        self._reader.join(PATIENCE)
        assert not self._reader.is_alive(), "".join(self.lines)
        return "".join(self.lines)


@dataclass(frozen=True)
class RunningServer:
    url: str
    home: Path
    process: subprocess.Popen[str]
    output: Output
    #: What it printed up to its address.
    said: str

    @property
    def authority(self) -> str:
        return str(self.home / "tls" / "authority.pem")

    def hera(self, namespace: str = "argo", token: str | None = None) -> WorkflowsService:
        return WorkflowsService(host=self.url, verify_ssl=self.authority, namespace=namespace, token=token)

    def client(self, **given: Any) -> httpx2.Client:
        trusted = ssl.create_default_context(cafile=self.authority)
        return httpx2.Client(base_url=self.url, verify=trusted, timeout=PATIENCE, **given)

    def end(self, sign: int = signal.SIGTERM) -> str:
        """End it; returns what it printed after its address."""
        self.process.send_signal(sign)
        self.process.wait(PATIENCE)
        return self.output.whole().removeprefix(self.said)


def free_port() -> str:
    """A port for a server that is to be found again when it was started anew."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


@contextmanager
def running_server(home: Path, *options: str, **environment: str) -> Iterator[RunningServer]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tiphys", "server", "--port", "0", "--runner", RUNNER, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TIPHYS_HOME": str(home), **environment},
        start_new_session=True,
    )
    assert process.stdout is not None
    output = Output(process.stdout)
    try:
        found = output.find(r"(https?://[\d.]+:\d+)\b.*\n", process)
        said = found.string[: found.end()]
        yield RunningServer(found[1].replace("0.0.0.0", "127.0.0.1"), home, process, output, said)
    finally:
        process.kill()
        process.wait()
        output.whole()


def workflow(*command: str, **spec: Any) -> dict[str, Any]:
    """A workflow of one container."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "one-"},
        "spec": {
            "entrypoint": "main",
            "templates": [{"name": "main", "container": {"image": "busybox", "command": list(command)}}],
            **spec,
        },
    }
