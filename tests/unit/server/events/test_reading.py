"""What is read from a request that brings an event."""

from __future__ import annotations

import base64
import json

import pytest

from tiphys.errors import UsageError
from tiphys.server.events.reading import read_event

CLOUD = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
HEADERS = [(f"ce-{name}", value) for name, value in CLOUD.items()]


def structured(**given):
    return read_event(
        "", [("content-type", "application/cloudevents+json; charset=utf-8")], json.dumps(CLOUD | given).encode()
    )


def test_headers_that_begin_with_x_are_metadata_and_proofs_are_not():
    headers = [
        ("x-github-event", "push"),
        ("x-many", "1"),
        ("x-many", "2"),
        ("authorization", "Bearer secret"),
        ("x-gitlab-token", "secret"),
        ("x-hub-signature-256", "sha256=00"),
        ("x-hook-uuid", "secret"),
        ("x-tiphys-signature", "t=1,v1=00"),
    ]
    assert read_event("d", headers, b"{}").metadata == {"x-github-event": ["push"], "x-many": ["1", "2"]}


def test_a_body_is_any_json_or_nothing():
    for body, payload in ((b"", None), (b" ", None), (b"[1, 2.5]", [1, 2.5]), (b'"text"', "text")):
        assert read_event("", [], body).payload == payload


@pytest.mark.parametrize("body", [b"{", b"Infinity", b"[1e999]", b"[" * 200_000, b"1" * 5000, b"\xff"])
def test_what_is_no_json_is_refused(body):
    with pytest.raises(UsageError, match="not JSON"):
        read_event("", [], body)


@pytest.mark.parametrize(
    ("headers", "delivery"),
    [
        ([], ""),
        ([("x-github-delivery", "g")], "x-github-delivery:g"),
        ([("idempotency-key", "k"), ("x-github-delivery", "g")], "idempotency-key:k"),
        (HEADERS, 'cloudevent:["/s", "1"]'),
        ([*HEADERS, ("idempotency-key", "k")], "idempotency-key:k"),
    ],
)
def test_what_a_delivery_is_called(headers, delivery):
    assert read_event("", headers, b"{}").delivery == delivery


def test_long_and_strange_names_of_deliveries_are_kept_short_and_apart():
    names = {read_event("", [("idempotency-key", key)], b"").delivery for key in ("x" * 300, "x" * 301, "é", "\udcff")}
    assert len(names) == 4
    assert all(len(name) <= 80 and name.isascii() for name in names)


def test_cloud_events_in_binary_mode():
    headers = [*HEADERS, ("ce-subject", "a%20%22b%22"), ("ce-myext", "e"), ("content-type", "application/json")]
    found = read_event("", headers, b'{"a": 1}')
    assert found.payload == {"a": 1}
    assert found.metadata["ce-subject"] == ['a "b"']
    assert found.metadata["ce-myext"] == ["e"]
    assert found.metadata["ce-datacontenttype"] == ["application/json"]


def test_cloud_events_in_binary_mode_may_hold_text():
    assert read_event("", [*HEADERS, ("content-type", "text/plain")], b"{no json").payload == "{no json"


def test_cloud_events_in_structured_mode():
    found = structured(data={"a": 1}, myext=True, other=None)
    assert found.payload == {"a": 1}
    assert found.metadata == {f"ce-{name}": [value] for name, value in CLOUD.items()} | {"ce-myext": ["true"]}


def test_cloud_events_in_structured_mode_may_hold_base64():
    content = base64.b64encode(b'{"a": 1}').decode()
    assert structured(data_base64=content).payload == {"a": 1}
    assert structured(data_base64=content, datacontenttype="text/plain").payload == '{"a": 1}'


@pytest.mark.parametrize(
    "given",
    [
        {"id": ""},
        {"source": None},
        {"specversion": "0.3"},
        {"type": "a\nb"},
        {"type": {"a": 1}},
        {"Subject": "s"},
        {"data_base64": "?"},
        {"data": 1, "data_base64": "MQ=="},
        {"data_base64": base64.b64encode(b"\xff").decode(), "datacontenttype": "image/png"},
    ],
)
def test_cloud_events_that_are_none(given):
    with pytest.raises(UsageError, match="CloudEvent"):
        structured(**given)


def test_an_attribute_cannot_bring_in_a_line():
    with pytest.raises(UsageError, match="one line"):
        read_event("", [*HEADERS, ("ce-subject", "a%0d%0ax-evil: 1")], b"")


def test_batches_are_refused():
    with pytest.raises(UsageError, match="batches"):
        read_event("", [("content-type", "application/cloudevents-batch+json")], b"[]")
