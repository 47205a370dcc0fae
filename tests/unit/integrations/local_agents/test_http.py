"""HTTP templates without a server: what is refused, and what is told."""

from __future__ import annotations

import sys

import pytest
from tests.unit.integrations.local_agents.agency import Agency

from tiphys.engine.model import Phase


@pytest.mark.parametrize(
    ("http", "message"),
    [
        ({}, "http.url is missing"),
        ({"url": "http://x", "bodyFrom": {"bytes": "%"}}, "bodyFrom.bytes is not base64"),
        ({"url": "http://x", "headers": [{"name": "a b", "value": "c"}]}, "'a b' cannot be the name of a header"),
        (
            {"url": "http://x", "headers": [{"name": "a", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
            "takes the key 'k' of the Secret 's', and there is no such key or Secret in the namespace argo",
        ),
        ({"url": "ftp://user:secret@x/y?token=secret"}, "GET ftp://x/y: "),
        ({"url": "http://127.0.0.1:1/y"}, "GET http://127.0.0.1:1/y: "),
    ],
)
def test_what_cannot_be_carried_out_is_an_error(agency: Agency, http, message) -> None:
    finished = agency.run({"http": http})
    assert finished.phase is Phase.ERROR
    assert message in finished.message
    assert "secret@" not in finished.message
    assert "token" not in finished.message


def test_a_missing_client_is_told(agency: Agency, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    finished = agency.run({"http": {"url": "http://x"}})
    assert finished.phase is Phase.ERROR
    assert "pip install 'tiphys[http]'" in finished.message
