"""What query strings mean."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tiphys.errors import ExpressionError, UsageError
from tiphys.ports.workflows import LogQuery, WorkflowFilter
from tiphys.server.argo.queries import log_query, mask_of, moment_of, version_of, workflow_filter
from tiphys.server.parameters import Parameters

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "truth"), [("True", True), ("true", True), ("1", True), ("FALSE", False), ("0", False), ("", False)]
)
def test_booleans_may_be_written_in_any_case(text: str, truth: bool) -> None:
    assert Parameters({"force": text}).truth("force") is truth


def test_what_cannot_be_read_is_named() -> None:
    given = Parameters({"force": "maybe", "limit": "-1", "many": "²", "at": "yesterday"})
    with pytest.raises(UsageError, match="'maybe' is not a boolean for force"):
        given.truth("force")
    for name in ("limit", "many"):
        with pytest.raises(UsageError, match=f"is not a number for {name}"):
            given.number(name)
    with pytest.raises(UsageError, match="'yesterday' is not a time"):
        given.moment("at")


def test_a_list_is_filtered() -> None:
    given = {
        "listOptions.labelSelector": "a=1",
        "listOptions.fieldSelector": "metadata.name=x,status.phase!=Failed",
        "createdAfter": "2026-01-31T12:00:00Z",
    }
    assert workflow_filter(Parameters(given), "ns") == WorkflowFilter(
        names=("x",), labels="a=1", fields="status.phase!=Failed", created_after=NOW
    )
    assert workflow_filter(Parameters(given | {"nameFilter": "Prefix"}), "ns").prefix == "x"
    contains = workflow_filter(Parameters(given | {"nameFilter": "Contains"}), "", archive=True)
    assert (contains.contains, contains.all_namespaces, contains.archive) == ("x", True, True)
    with pytest.raises(UsageError, match="not a nameFilter"):
        workflow_filter(Parameters({"nameFilter": "Regex"}), "")
    with pytest.raises(ExpressionError):
        workflow_filter(Parameters({"listOptions.fieldSelector": "metadata.name"}), "")


def test_lines_of_logs_are_asked_for() -> None:
    assert log_query(Parameters({}), "", NOW) == LogQuery()
    given = Parameters(
        {
            "logOptions.container": "wait",
            "logOptions.follow": "True",
            "logOptions.tailLines": "5",
            "logOptions.sinceTime.seconds": str(int(NOW.timestamp())),
            "grep": "x",
            "selector": "a=1",
        }
    )
    assert log_query(given, "pod", NOW) == LogQuery(
        pod="pod", container="wait", grep="x", labels="a=1", since=NOW, tail=5, follow=True
    )
    since = log_query(Parameters({"logOptions.sinceSeconds": "3600"}), "", NOW).since
    assert since == datetime(2026, 1, 31, 11, tzinfo=UTC)


def test_a_watcher_goes_on_where_a_list_ended() -> None:
    assert moment_of(Parameters({"listOptions.resourceVersion": version_of(NOW)})) == NOW
    assert moment_of(Parameters({"listOptions.resourceVersion": "0"})) is None
    assert moment_of(Parameters({})) is None


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ("", {"a": {"b": 1, "c": 2}, "items": [{"x": 1, "y": {"z": 2}}]}),
        ("a", {"a": {"b": 1, "c": 2}}),
        ("a.b,items.y.z", {"a": {"b": 1}, "items": [{"y": {"z": 2}}]}),
        ("none", {}),
        ("-a.b,items.x", {"a": {"c": 2}, "items": [{"y": {"z": 2}}]}),
    ],
)
def test_fields_are_kept_or_left_out(fields: str, left: object) -> None:
    assert mask_of(fields)({"a": {"b": 1, "c": 2}, "items": [{"x": 1, "y": {"z": 2}}]}) == left
