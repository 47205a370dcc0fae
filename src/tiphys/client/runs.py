"""Runs whose workflows a server holds, and whose steps this process carries out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from tiphys._util.ids import new_id
from tiphys.client.artifact_store import ServerArtifactStore
from tiphys.client.place import Place, segment
from tiphys.client.run_records import RunReader
from tiphys.client.sessions import dead_sessions, forget_sessions
from tiphys.client.steps import StepWork, Workshop
from tiphys.errors import ConflictError, ServiceError
from tiphys.ports.backend import Observer, RunRequest
from tiphys.records.runs import Run
from tiphys.sdk.compiled import step_bodies
from tiphys.sdk.shipped_code import pack_code

#: Seconds between looks at a run whose steps somebody else carries out.
_PAUSE = 0.5


class ClientRuns(RunReader):
    """Runs of a server.

    Args:
        place: The workspace.
        workshop: Where steps are carried out on this machine.
        store: Gives the artifact store by which code is sent.
    """

    def __init__(self, place: Place, workshop: Workshop, store: Callable[[], ServerArtifactStore]) -> None:
        super().__init__(place)
        self._workshop = workshop
        self._store = store

    def submit(self, request: RunRequest) -> Run:
        """Create a run, or take up an interrupted one of the same definition; its steps wait for `wait`.

        A remote one is the server's to carry out, with the code of this project.
        """
        if request.remote:
            request = replace(request, code=self._send_code(request))
        self._bury_the_dead()
        # A request that names its run may be made twice.
        return self._place.post(Run, "/runs", replace(request, id=request.id or new_id()))

    def wait(self, run_id: str, observer: Observer | None = None) -> Run:
        """Carry the steps of a run out, and return when it has ended; or wait for whoever does."""
        run = self.get(run_id)
        if run.status.is_finished:
            if observer is not None:
                observer(run, self.nodes(run.id))
            return run
        try:
            StepWork(self._place, run, self._workshop, observer=observer).carry_out()
        except ConflictError:
            self._look_on(run, observer)
        return self.get(run.id)

    def interrupt(self, run: Run) -> None:
        """End a run, unless the server is away: who presses Ctrl-C does not wait for it, and is told how it stands."""
        connection = self._place.connection
        try:
            with connection.impatient():
                super().interrupt(run)
        except ServiceError as error:
            connection.tell(
                f"{error.message} So the run {run.name} was not stopped there. What this process carried out ends now, "
                f"and goes on when the pipeline is started again; what the server carries out goes on. "
                f"To end it later: tiphys runs stop {run.name}"
            )

    def resume(self, name_or_id: str) -> Run:
        """Take up a run whose process died; `wait` carries it on.

        Raises:
            ConflictError: it has ended, or somebody carries it out.
        """
        run = self.get(name_or_id)
        self._bury_the_dead()
        return self._place.post(Run, f"/runs/{segment(run.id)}/resume", None)

    def _bury_the_dead(self) -> None:
        """Tell the server whom of this machine it need not wait for."""
        dead = dead_sessions(self._workshop.home)
        if dead:
            self._place.write("/sessions/dead", {"sessions": dead})
            forget_sessions(self._workshop.home, dead)

    def _send_code(self, request: RunRequest) -> dict[str, str]:
        """Have the server know the project's code."""
        store = self._store()
        with store.staging() as folder:
            commit = pack_code(step_bodies(request.workflow), folder, by_git=request.code_by_git)
            found = {"store": store.name, "digest": store.commit(folder).digest}
        return found if commit is None else {**found, "repository": commit.url, "commit": commit.commit}

    def _look_on(self, run: Run, observer: Observer | None) -> None:
        while not run.status.is_finished:
            time.sleep(_PAUSE)
            run = self.get(run.id)
            if observer is not None:
                observer(run, self.nodes(run.id))
