"""Runs whose workflows a server holds and whose steps this process carries out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tiphys._util.ids import new_id
from tiphys.client.artifact_store import ServerArtifactStore
from tiphys.client.connection import Connection
from tiphys.client.run_records import RunReader
from tiphys.client.steps import Lender, StepWork
from tiphys.errors import ConflictError
from tiphys.ports.backend import Observer, RunRequest
from tiphys.ports.runner import Runner
from tiphys.records.runs import Run
from tiphys.sdk.compiled import step_bodies
from tiphys.sdk.shipped_code import pack_code

#: Seconds between looks at a run whose steps somebody else carries out.
_PAUSE = 0.5


class RunClient(RunReader):
    """As `RunReader`, and the runs of this process.

    Args:
        connection: The server.
        workspace: Where names are looked up.
        home: Folder of live logs and kept data on this machine.
        store: Gives the artifact store by which code is sent.
        runners: Gives the runner of a name: "inline" or "process".
        lender: The runner that uses the waiting thread.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        workspace: str,
        home: Path,
        store: Callable[[], ServerArtifactStore],
        runners: Callable[[str], Runner],
        lender: Lender,
    ) -> None:
        super().__init__(connection, workspace=workspace)
        self._home = home
        self._store = store
        self._runners = runners
        self._lender = lender

    def submit(self, request: RunRequest) -> Run:
        """Create a run, or take up an interrupted one of the same definition; its steps wait for `wait`."""
        if request.remote:
            request = replace(request, code=self._send_code(request))
        return self._run(self._connection.ask("POST", self._path, body=_as_json(request)))

    def _send_code(self, request: RunRequest) -> dict[str, str]:
        """Have the server know the project's code."""
        store = self._store()
        with store.staging() as folder:
            pack_code(step_bodies(request.workflow), folder)
            return {"store": store.name, "digest": store.commit(folder).digest}

    def wait(self, run_id: str, observer: Observer | None = None) -> Run:
        """Carry the steps of a run out, and return when it has ended; or wait for whoever does."""
        run = self.get(run_id)
        if not run.status.is_finished:
            try:
                StepWork(
                    self._connection,
                    run,
                    runners=self._runners,
                    lender=self._lender,
                    home=self._home,
                    observer=observer,
                ).carry_out()
            except ConflictError:
                self._look_on(run, observer)
        return self.get(run.id)

    def resume(self, name_or_id: str) -> Run:
        """Take up a run whose process died; `wait` carries it on.

        Raises:
            ConflictError: it has ended, or somebody carries it out.
        """
        run = self.get(name_or_id)
        return self._run(self._connection.ask("POST", f"{self._path}/{run.id}/resume"))

    def _look_on(self, run: Run, observer: Observer | None) -> None:
        while not run.status.is_finished:
            time.sleep(_PAUSE)
            run = self.get(run.id)
            if observer is not None:
                observer(run, self.nodes(run.id))


def _as_json(request: RunRequest) -> dict[str, Any]:
    """A request that names its run, so that it may be made twice."""
    named = replace(request, id=request.id or new_id(), by_client=True)
    return {**asdict(replace(named, workflow=None)), "workflow": request.workflow.to_json()}  # type: ignore[arg-type]  # put in after
