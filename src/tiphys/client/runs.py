"""Runs of a server."""

from __future__ import annotations

from tiphys.client.run_records import RunReader
from tiphys.errors import UnimplementedError
from tiphys.ports.backend import Observer, RunRequest
from tiphys.records.runs import Run

_HINT = "Run it on a database: on the server's machine, or after `tiphys logout`."


class ClientRuns(RunReader):
    """Runs of a server, which it does not carry out for its clients yet."""

    def submit(self, request: RunRequest) -> Run:
        """Refused."""
        raise UnimplementedError(f"The pipeline '{request.pipeline_name}' cannot be run on a server.", hint=_HINT)

    def wait(self, run_id: str, observer: Observer | None = None) -> Run:  # noqa: ARG002  # the port's signature
        """Refused."""
        raise UnimplementedError(f"The run {run_id} cannot be waited for on a server.", hint=_HINT)

    def resume(self, name_or_id: str) -> Run:
        """Refused."""
        raise UnimplementedError(f"The run {name_or_id} cannot be taken up on a server.", hint=_HINT)
