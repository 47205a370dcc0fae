"""Where news may be posted."""

from __future__ import annotations

import ipaddress

import pytest

from tiphys.errors import UsageError
from tiphys.services.events.targets import Target, addresses_of, is_public, read_target


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
    ],
)
def test_addresses_that_are_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_addresses_that_are(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host",
        "file:///etc/passwd",
        "gopher://host/",
        "http://",
        "http://user:pw@host/",
        "http://host:99999/",
        "http://[::1/",
        "http://host/a b",
        "http://host/\r\nX: 1",
        "http://hòst/",
    ],
)
def test_what_is_no_target(url):
    with pytest.raises(UsageError):
        read_target(url)


def test_a_target_is_taken_apart():
    assert read_target("https://h.example/p?q=1#f") == Target(True, "h.example", 443, "/p?q=1")
    assert read_target("http://[::1]:8080") == Target(False, "::1", 8080, "/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]"])
def test_this_machine_is_refused_by_any_of_its_names(host):
    with pytest.raises(UsageError, match="private network"):
        addresses_of(read_target(f"http://{host}/"), private=False)


def test_this_machine_can_be_allowed():
    assert addresses_of(read_target("http://127.0.0.1/"), private=True) == ["127.0.0.1"]
