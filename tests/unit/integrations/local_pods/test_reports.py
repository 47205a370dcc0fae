"""What a pod's end means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.integrations.local_pods.planning import planned, task

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase, Reason, Values
from tiphys.integrations.local.pods.orders import ContainerEnd, PodResult
from tiphys.integrations.local.pods.reports import PodDetails, report_from_text, report_problem, report_to_text, verdict
from tiphys.integrations.local.pods.runner import read_progress
from tiphys.integrations.local.pods.view import View

SH = {"image": "busybox", "command": ["sh"]}


def end(name: str, role: str, code: int | None, error: str | None = None) -> ContainerEnd:
    return {"name": name, "role": role, "code": code, "error": error}


def result(*ends: ContainerEnd) -> PodResult:
    return {
        "started": 1.0,
        "finished": 2.0,
        "containers": list(ends),
        "result": None,
        "cancelled": False,
        "ready": False,
    }


MAIN = end("main", "main", 0)


# As in argo-workflows, workflow/controller/operator_test.go: TestInferFailedReason and its neighbours.
@pytest.mark.parametrize(
    ("ends", "phase", "message"),
    [
        ([MAIN], Phase.SUCCEEDED, ""),
        ([end("main", "main", 1)], Phase.FAILED, "main: Error (exit code 1)"),
        ([end("main", "main", 137)], Phase.FAILED, "main: Error (exit code 137)"),
        ([MAIN, end("s", "sidecar", 137)], Phase.SUCCEEDED, ""),
        ([MAIN, end("s", "sidecar", 143)], Phase.SUCCEEDED, ""),
        ([MAIN, end("s", "sidecar", 1)], Phase.FAILED, "s: Error (exit code 1)"),
        ([end("main", "main", 2), end("s", "sidecar", 1)], Phase.FAILED, "main: Error (exit code 2)"),
        ([end("i", "init", 3), end("main", "main", None)], Phase.FAILED, "i: Error (exit code 3)"),
        ([end("main", "main", 64, "x: no")], Phase.FAILED, "main: Error (exit code 64): x: no"),
        ([end("main", "main", None)], Phase.FAILED, "the main container did not run"),
    ],
)
def test_verdicts(tmp_path: Path, ends: list[ContainerEnd], phase: Phase, message: str) -> None:
    plan = planned("process", tmp_path, {"container": SH})
    assert verdict(plan, result(*ends)) == (phase, message)


def test_a_daemon_must_not_end(tmp_path: Path) -> None:
    plan = planned("process", tmp_path, {"container": SH, "daemon": True})
    phase, message = verdict(plan, result(MAIN))
    assert (phase, "daemon" in message) == (Phase.FAILED, True)


def test_a_report_comes_back() -> None:
    details = PodDetails(started_at=1.0, finished_at=2.0, containers=(MAIN,), logs={"main": "/x"})
    values = Values(parameters={"p": "1"}, artifacts={"a": {"digest": "sha256:0"}}, result="r", exit_code=0)
    report = TaskFinished("u/n/0", Phase.SUCCEEDED, "m", outputs=values, reason=Reason.NONE, details=details)
    read = report_from_text(report_to_text(report).encode())
    assert read == report
    assert read.details == details


def test_a_problem_is_a_report_too() -> None:
    report = report_problem(task({"container": SH}), Phase.ERROR, "no", at=3.0)
    assert (report.task_id, report.phase, report.message, report.retryable) == ("u/wf-1/0", Phase.ERROR, "no", True)
    assert report_from_text(report_to_text(report).encode()) == report


# As argo-workflows, pkg/apis/workflow/v1alpha1/progress.go: IsValid.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1/2", "1/2"),
        ("1/10\n2/10\n", "2/10"),
        ("0/1", "0/1"),
        ("01/2", "1/2"),
        ("3/2", None),
        ("0/0", None),
        ("-1/2", None),
        ("a/b", None),
        ("", None),
        (None, None),
    ],
)
def test_progress(tmp_path: Path, text: str | None, expected: str | None) -> None:
    plan = planned("process", tmp_path, {"container": SH})
    plan = replace(plan, views={"main": View(None, str(tmp_path))})
    if text is not None:
        (tmp_path / "progress").write_text(text)
    assert read_progress(plan) == expected
