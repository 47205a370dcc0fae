"""What a pod's end means."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.sdk.pods.planning import task

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase, Values
from tiphys.sdk.pods.containers import ContainerEnd
from tiphys.sdk.pods.ends import (
    PodDetails,
    ends_of_mains,
    exit_code,
    report_from_text,
    report_problem,
    report_to_text,
    verdict,
)


def end(name: str, role: str, code: int | None, error: str | None = None) -> ContainerEnd:
    return {"name": name, "role": role, "code": code, "error": error}


# As in argo-workflows, workflow/controller/operator_test.go: TestInferFailedReason and its neighbours.
@pytest.mark.parametrize(
    ("ends", "daemon", "expected"),
    [
        ([end("main", "main", 0)], False, (Phase.SUCCEEDED, "")),
        ([end("main", "main", 3)], False, (Phase.FAILED, "main: Error (exit code 3)")),
        ([end("main", "main", 64, "why")], False, (Phase.FAILED, "main: Error (exit code 64): why")),
        ([end("s", "sidecar", 5), end("main", "main", 3)], False, (Phase.FAILED, "main: Error (exit code 3)")),
        ([end("i", "init", 2), end("main", "main", None)], False, (Phase.FAILED, "i: Error (exit code 2)")),
        ([end("main", "main", 0), end("s", "sidecar", 5)], False, (Phase.FAILED, "s: Error (exit code 5)")),
        ([end("main", "main", 0), end("s", "sidecar", 137)], False, (Phase.SUCCEEDED, "")),
        ([end("main", "main", 0), end("s", "sidecar", 143)], False, (Phase.SUCCEEDED, "")),
        ([end("main", "main", 137)], False, (Phase.FAILED, "main: Error (exit code 137)")),
        ([end("main", "main", None)], False, (Phase.FAILED, "the main container did not run")),
    ],
)
def test_verdicts(ends: list[ContainerEnd], daemon: bool, expected: Any) -> None:
    assert verdict(ends, daemon=daemon) == expected


def test_a_daemon_should_run() -> None:
    assert verdict([end("main", "main", 0)], daemon=True)[0] is Phase.FAILED


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ([end("a", "main", 0), end("b", "main", 0)], 0),
        ([end("a", "main", 0), end("b", "main", 4)], 4),
        ([end("s", "sidecar", 4), end("a", "main", 0)], 0),
        ([end("a", "main", None)], None),
    ],
)
def test_exit_codes(ends: list[ContainerEnd], code: int | None) -> None:
    assert exit_code(ends, "a") == code


def test_ends_of_a_set() -> None:
    ends = [end("i", "init", 0), end("a", "main", 0), end("b", "main", 2), end("c", "main", None)]
    assert ends_of_mains(ends) == {
        "a": (Phase.SUCCEEDED, "", 0),
        "b": (Phase.FAILED, "b: Error (exit code 2)", 2),
        "c": (Phase.OMITTED, "", None),
    }


def test_reports_can_be_written_down() -> None:
    details = PodDetails(started_at=1.0, finished_at=2.0, containers=(end("main", "main", 1),), logs={"main": "/log"})
    finished = TaskFinished(
        "u/n/0",
        Phase.FAILED,
        "m",
        outputs=Values(parameters={"p": "1"}, artifacts={"a": {"digest": "d"}}, result="r", exit_code=1),
        containers={"main": (Phase.FAILED, "m", 1)},
        details=details,
    )
    read = report_from_text(report_to_text(finished).encode())
    assert (read, read.details) == (finished, details)


def test_a_problem_has_no_outputs() -> None:
    found = report_problem(task({}), Phase.ERROR, "why", at=3.0)
    assert (found.phase, found.message, found.outputs, found.retryable) == (Phase.ERROR, "why", Values(), True)
    assert report_from_text(report_to_text(found).encode()) == found
