"""Lists of workflows in Argo's words."""

from __future__ import annotations

from datetime import UTC, datetime

from tiphys.client.connection import error_of
from tiphys.client.summaries import list_query, summary_of
from tiphys.errors import ArtifactError, NotFoundError
from tiphys.ports.workflows import WorkflowFilter
from tiphys.server.answers import error_body


def test_a_filter_is_a_query_of_argos() -> None:
    wanted = WorkflowFilter(prefix="a-", phases=("Failed", "Error"), completed=True, labels="x=y", resubmitted=True)
    assert list_query(wanted, limit=5, after="c") == {
        "listOptions.labelSelector": "x=y,workflows.argoproj.io/phase in (Failed,Error),"
        "workflows.argoproj.io/completed=true,workflows.argoproj.io/resubmitted-from-workflow",
        "listOptions.fieldSelector": "metadata.name=a-",
        "nameFilter": "Prefix",
        "listOptions.limit": "5",
        "listOptions.continue": "c",
    }
    # The selector's own name has the one place that a query has for names.
    named = list_query(WorkflowFilter(prefix="a-", fields="metadata.name=a-b"))
    assert named == {"listOptions.fieldSelector": "metadata.name=a-b"}


def test_what_lists_show_of_a_manifest() -> None:
    found = summary_of(
        {
            "metadata": {
                "name": "w",
                "namespace": "n",
                "uid": "u",
                "creationTimestamp": "2026-01-31T12:00:00Z",
                "labels": {"a": "b", "workflows.argoproj.io/phase": "Failed"},
            },
            "spec": {"priority": 3, "suspend": True},
            "status": {"phase": "Failed", "message": "no", "finishedAt": "2026-01-31T12:01:00Z"},
        }
    )
    assert (found.id, found.name, found.workspace, found.labels, found.priority) == ("u", "w", "n", {"a": "b"}, 3)
    assert (found.phase, found.message, found.suspended, found.started_at) == ("Failed", "no", True, None)
    assert found.finished_at == datetime(2026, 1, 31, 12, 1, tzinfo=UTC)


def test_errors_of_argos_api_are_raised_as_the_services_raised_them() -> None:
    for error in (ArtifactError("It is kept.", hint="Use --force."), NotFoundError("There is none.")):
        raised = error_of(error_body(error), status=500)
        assert (type(raised), raised.message, raised.hint) == (type(error), error.message, error.hint)
    assert isinstance(error_of({"code": 5, "message": "not found"}, status=404), NotFoundError)
