"""Lines of logs over streams that break off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tiphys.client import log_lines
from tiphys.client.connection import Connection
from tiphys.client.streams import StreamLostError
from tiphys.ports.workflows import LogQuery

LOST = object()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The lines that a client tells of what one stream after another sends."""

    def call(query: LogQuery, *streams: list[Any]) -> list[str]:
        left = iter(streams)

        def frames(_connection: Connection, _path: str, _query: Mapping[str, str]) -> Iterator[Any]:
            for number, one in enumerate(next(left)):
                if one is LOST:
                    raise StreamLostError("gone")
                pod, _, content = one.partition(": ")
                yield {"podName": pod, "content": f"2026-01-31T12:00:{number:02d}Z {content}"}

        monkeypatch.setattr(log_lines, "frames", frames)
        monkeypatch.setattr(log_lines, "await_server", lambda _: None)
        with_server = Connection("http://127.0.0.1:1")
        found = [
            f"{one.pod}: {one.content}" for batch in log_lines.log_batches(with_server, "", query) for one in batch
        ]
        with_server.close()
        assert next(left, None) is None
        return found

    return call


def test_lines_are_told_once_in_whatever_order_pods_come(told: Any) -> None:
    first, second = ["a: x", "a: x", "b: y", LOST], ["b: y", "b: z", "a: x", "a: x", "a: x"]
    assert told(LogQuery(follow=True), first, second) == ["a: x", "a: x", "b: y", "b: z", "a: x"]


def test_a_log_that_was_begun_anew_is_told_from_where_it_differs(told: Any) -> None:
    first, second = ["a: begin", "a: 1", "a: 2", LOST], ["a: begin", "a: 7", "a: 2", "a: 9"]
    assert told(LogQuery(follow=True), first, second) == ["a: begin", "a: 1", "a: 2", "a: 7", "a: 2", "a: 9"]


def test_the_end_of_a_log_is_chosen_before_it_is_followed(told: Any) -> None:
    so_far, followed = ["a: 1", "a: 2", "b: 3"], ["b: 3", "a: 1", "a: 2", "a: 4"]
    assert told(LogQuery(follow=True, tail=1), so_far, followed) == ["a: 2", "b: 3", "a: 4"]
    since = datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC)
    assert told(LogQuery(follow=True, since=since), so_far, followed) == ["a: 2", "b: 3", "a: 4"]


def test_what_is_not_followed_is_asked_for_again_as_a_whole(told: Any) -> None:
    assert told(LogQuery(tail=2), ["a: 1", LOST], ["a: 1", "a: 2"]) == ["a: 1", "a: 2"]
