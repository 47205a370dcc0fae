"""What is asked of a backend, and how a failed run is told."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tiphys import Tag, pipeline, step
from tiphys.records.runs import ExecutionStatus, Run, StepRun
from tiphys.sdk.compiler.run import _git, failure, request_of


@step
def s(x: int = 1) -> int:
    return x


NOW = datetime(2030, 1, 1, tzinfo=UTC)
RUN = Run(
    id="r1",
    name="my-run",
    workflow_uid="u",
    pipeline_name="p",
    status=ExecutionStatus.FAILED,
    message="",
    created_at=NOW,
)
STEP = StepRun(
    id="s1",
    run_id="r1",
    name="train",
    node_id="n",
    version=2,
    status=ExecutionStatus.FAILED,
    finished_at=NOW,
    exception={"type": "ValueError", "message": "bad", "traceback": "Traceback …\n  File x\nValueError: bad\n"},
)


def test_the_request() -> None:
    @pipeline(tags=[Tag("t", color="red")], extra={"a": 1}, substitutions={"k": "v"})
    def p(n: int) -> None:
        """Does it."""
        s(n)

    request = request_of(p.with_options(run_name="r-{k}", runner="process").compile(3))
    assert (request.pipeline_name, request.pipeline_description, request.run_name) == ("p", "Does it.", "r-v")
    assert (request.parameters, request.substitutions, request.runner) == ({"n": 3}, {"k": "v"}, "process")
    assert [(tag.name, tag.color) for tag in request.tags] == [("t", "red")]
    assert request.config["extra"] == {"a": 1}
    assert {"code", "python", "platform"} <= set(request.config)
    assert (request.resume, request.listed, request.stack) == (True, True, None)


def test_a_failed_step() -> None:
    later = dataclasses.replace(STEP, id="s2", name="later", finished_at=NOW + timedelta(seconds=1))
    earlier = dataclasses.replace(STEP, id="s0", name="fine", status=ExecutionStatus.COMPLETED)
    error = failure(RUN, [later, earlier, STEP])
    assert (error.run_id, error.step) == ("r1", "train")
    text = str(error)
    assert "The run 'my-run' failed in step 'train' (attempt 2): ValueError: bad" in text
    assert "1 more failed: later." in text
    assert "File x" in text
    assert text.endswith("tiphys runs logs my-run --step train")


@pytest.mark.parametrize(
    ("status", "message", "text"),
    [
        (ExecutionStatus.FAILED, "deadline", "The run 'my-run' failed: deadline"),
        (ExecutionStatus.STOPPED, "", "The run 'my-run' ended as stopped."),
    ],
)
def test_a_run_without_failed_steps(status: ExecutionStatus, message: str, text: str) -> None:
    error = failure(dataclasses.replace(RUN, status=status, message=message), [])
    assert str(error).startswith(text)
    assert error.step is None


def test_the_commit_is_read_without_git(tmp_path: Path) -> None:
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (git / "packed-refs").write_text("# pack-refs\nabc123 refs/heads/main\n")
    assert _git(inner) == {"git_commit": "abc123", "git_branch": "main"}
    (git / "refs" / "heads" / "main").write_text("def456\n")
    assert _git(inner) == {"git_commit": "def456", "git_branch": "main"}
    (git / "HEAD").write_text("fff\n")
    assert _git(inner) == {"git_commit": "fff"}
    worktree = tmp_path / "w"
    worktree.mkdir()
    (worktree / ".git").write_text(f"gitdir: {git / 'worktrees' / 'w'}\n")
    assert _git(worktree) == {}
