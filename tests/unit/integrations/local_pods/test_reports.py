"""Reports about pods of this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.integrations.local_pods.planning import planned

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase
from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
from tiphys.integrations.local.pods.orders import PodResult
from tiphys.integrations.local.pods.plan import Flavour
from tiphys.integrations.local.pods.reports import report_of
from tiphys.integrations.local.pods.runner import progress_of
from tiphys.integrations.local.pods.view import View
from tiphys.sdk.pods.containers import ContainerEnd

SH = {"image": "busybox", "command": ["sh"]}


class NoDrivers:
    def fetch(self, artifact: Any, into: Path) -> None:
        raise AssertionError

    def save(self, path: Path, artifact: Any) -> Any:
        raise AssertionError


def reported(folder: Path, flavour: Flavour, body: dict[str, Any], *ends: ContainerEnd, log: str = "") -> TaskFinished:
    (folder / "log").write_text(log)
    plan = planned(flavour, folder, body, log=str(folder / "log"))
    plan = replace(plan, views={plan.main: View(None, str(folder))})
    result: PodResult = {
        "started": 1.0,
        "finished": 2.0,
        "containers": list(ends),
        "result": "r",
        "cancelled": False,
        "ready": False,
    }
    store = LocalArtifactStore(name="s", config=LocalArtifactStoreConfig(path=str(folder / "artifacts")))
    return report_of(plan, result, store, NoDrivers())


def main(code: int | None, error: str | None = None, *, name: str = "main") -> ContainerEnd:
    return {"name": name, "role": "main", "code": code, "error": error}


def test_outputs_are_taken_from_the_main_containers_files(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("1\n")
    parameters = [
        {"name": "p", "valueFrom": {"path": "p"}},
        {"name": "d", "valueFrom": {"path": "none", "default": "2"}},
    ]
    artifacts = [{"name": "a", "path": "p"}, {"name": "o", "path": "none", "optional": True}]
    outputs = {"parameters": parameters, "artifacts": artifacts}
    found = reported(tmp_path, "process", {"container": SH, "outputs": outputs}, main(0), log="said")
    assert found.outputs is not None
    assert (found.phase, found.outputs.result, found.outputs.exit_code) == (Phase.SUCCEEDED, "r", 0)
    assert found.outputs.parameters == {"p": "1", "d": "2"}
    assert set(found.outputs.artifacts) == {"a"}
    assert (found.details.started_at, found.details.logs) == (1.0, {"main": str(tmp_path / "log")})


@pytest.mark.parametrize("archived", [False, True])
def test_logs_become_artifacts_if_they_are_asked_for(tmp_path: Path, archived: bool) -> None:
    body = {"container": SH, "archiveLocation": {"archiveLogs": archived}}
    found = reported(tmp_path, "process", body, main(0), log="said")
    assert found.outputs is not None
    assert set(found.outputs.artifacts) == ({"main-logs"} if archived else set())


def test_missing_outputs_are_errors(tmp_path: Path) -> None:
    outputs = {
        "parameters": [{"name": "p", "valueFrom": {"path": "none"}}],
        "artifacts": [{"name": "a", "path": "none"}],
    }
    found = reported(tmp_path, "process", {"container": SH, "outputs": outputs}, main(0))
    assert found.phase is Phase.ERROR
    assert found.message == (
        "main: the output parameter 'p' cannot be read from 'none': No such file or directory; "
        "the output artifact 'a' is not there: there is no 'none' in the container"
    )


def test_each_container_of_a_set_has_an_end(tmp_path: Path) -> None:
    body = {"containerSet": {"containers": [{"name": "a", **SH}, {"name": "b", **SH}]}}
    found = reported(tmp_path, "process", body, main(0, name="a"), main(3, name="b"))
    assert found.containers == {"a": (Phase.SUCCEEDED, "", 0), "b": (Phase.FAILED, "b: Error (exit code 3)", 3)}


@pytest.mark.parametrize(
    ("flavour", "log", "message"),
    [
        ("sandbox", "bwrap: execvp x: No such file\n", "main: Error (exit code 1): bwrap: execvp x: No such file"),
        ("sandbox", "something else\n", "main: Error (exit code 1)"),
        ("process", "bwrap: execvp x: No such file\n", "main: Error (exit code 1)"),
    ],
)
def test_what_bubblewrap_said_is_the_reason(tmp_path: Path, flavour: Flavour, log: str, message: str) -> None:
    found = reported(tmp_path, flavour, {"container": SH}, main(1), log=log)
    assert (found.phase, found.message) == (Phase.FAILED, message)


def test_progress_is_read_from_the_working_directory(tmp_path: Path) -> None:
    plan = planned("process", tmp_path, {"container": SH})
    plan = replace(plan, views={"main": View(None, str(tmp_path))})
    assert progress_of(plan) is None
    (tmp_path / "progress").write_text("1/2\n")
    assert progress_of(plan) == "1/2"
