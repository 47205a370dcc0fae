"""Which signatures of webhooks hold."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from tiphys.ports.events import SignatureError
from tiphys.services.events.signatures import HEADER, Verified, WebhookClient, sign, verify, webhook_clients

NOW = 1_750_000_000.0
# The example of GitHub's documentation, "Validating webhook deliveries".
GITHUB_SECRET, GITHUB_BODY = "It's a Secret to Everybody", b"Hello, World!"
GITHUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def client(kind: str, secret: str = "shh") -> list[WebhookClient]:
    return [WebhookClient("bot", kind, secret)]


def test_githubs_own_example_holds():
    headers = {"x-hub-signature-256": GITHUB_SIGNATURE}
    assert verify(client("github", GITHUB_SECRET), headers, GITHUB_BODY, now=NOW) == Verified("bot")


def test_githubs_older_signature_alone_is_not_taken():
    digest = hmac.new(b"shh", b"body", hashlib.sha1).hexdigest()
    with pytest.raises(SignatureError):
        verify(client("github"), {"x-hub-signature": f"sha1={digest}"}, b"body", now=NOW)


@pytest.mark.parametrize(
    ("kind", "header", "value"),
    [
        ("gitlab", "x-gitlab-token", "shh"),
        ("bitbucket", "x-hook-uuid", "shh"),
        ("bitbucketserver", "x-hub-signature", "sha256=" + hmac.new(b"shh", b"body", hashlib.sha256).hexdigest()),
        ("github", "x-hub-signature-256", "sha256=" + hmac.new(b"shh", b"body", hashlib.sha256).hexdigest()),
    ],
)
def test_each_kind_has_its_header(kind, header, value):
    assert verify(client(kind), {header: value}, b"body", now=NOW).client == "bot"
    for wrong in (value[:-1], value + "0", "", "é", "\udcff", value.upper()):
        with pytest.raises(SignatureError):
            verify(client(kind), {header: wrong}, b"body", now=NOW)
    with pytest.raises(SignatureError):
        verify(client(kind), {}, b"body", now=NOW)


def test_a_signature_over_another_body_does_not_hold():
    headers = {"x-hub-signature-256": GITHUB_SIGNATURE}
    with pytest.raises(SignatureError):
        verify(client("github", GITHUB_SECRET), headers, GITHUB_BODY + b" ", now=NOW)


@pytest.mark.parametrize(("age", "holds"), [(0, True), (299, True), (301, False), (-299, True), (-301, False)])
def test_our_own_signature_holds_for_five_minutes(age, holds):
    headers = {HEADER: sign("shh", b"body", now=NOW - age)}
    if holds:
        found = verify(client("hmac"), headers, b"body", now=NOW)
        assert found.client == "bot"
        assert found.once
    else:
        with pytest.raises(SignatureError):
            verify(client("hmac"), headers, b"body", now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("t=", "t=1"),
        lambda text: text + ",t=1",
        lambda text: text.replace("v1=", "v0="),
        lambda text: "t=" + "9" * 5000 + ",v1=00",
        lambda text: "t=-1,v1=00",
        lambda text: "",
    ],
)
def test_our_own_signature_changed(change):
    with pytest.raises(SignatureError):
        verify(client("hmac"), {HEADER: change(sign("shh", b"body", now=NOW))}, b"body", now=NOW)


def test_one_of_several_signatures_is_enough_while_a_key_is_changed():
    old, new = sign("old-key", b"body", now=NOW), sign("shh", b"body", now=NOW)
    assert verify(client("hmac"), {HEADER: f"{old},{new.partition(',')[2]}"}, b"body", now=NOW).client == "bot"


def test_the_client_that_signed_is_told_from_the_others():
    clients = [WebhookClient("a", "hmac", "first"), WebhookClient("b", "hmac", "second")]
    assert verify(clients, {HEADER: sign("second", b"", now=NOW)}, b"", now=NOW).client == "b"


def test_clients_are_read_as_argo_writes_them_and_bad_ones_left_out(caplog):
    found = webhook_clients(
        {
            "github.com": b'type: github\nsecret: "shh!"\n',
            "empty": b"type: github\nsecret: ''\n",
            "unknown": b"type: gitea\nsecret: shh\n",
            "number": b"type: github\nsecret: 1\n",
            "broken": b"{",
            "text": b"github",
        }
    )
    assert found == [WebhookClient("github.com", "github", "shh!")]
    assert sorted(record.args[0] for record in caplog.records) == ["broken", "empty", "number", "text", "unknown"]
