"""Digests, passwords, AES and random values; values of sprig's crypto_test.go and of FIPS 197, SP 800-38A."""

from __future__ import annotations

import base64
import string
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang.sprig.aes import decrypt_cbc, encrypt_cbc
from tiphys.lang.sprig.functions import function_map
from tiphys.lang.sprig.randomness import Stream

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FUNCTIONS = function_map(NOW, b"seed")

GIVES: list[tuple[str, tuple[Any, ...], str]] = [
    ("sha1sum", ("abc",), "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ("sha256sum", ("abc",), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
        "sha512sum",
        ("abc",),
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
    ("adler32sum", ("abc",), "38600999"),
    ("derivePassword", (1, "long", "password", "user", "example.com"), "ZedaFaxcZaso9*"),
    ("derivePassword", (1, "maximum", "password", "user", "example.com"), "pf4zS1LjCg&LjhsZ7T2~"),
    ("derivePassword", (1, "none", "", "", ""), "cannot find password template none"),
    ("htpasswd", ("me", "abc", "sha"), "me:{SHA}qZk+NkcGgWq6PiVxeFDCbJzQ2J0="),
    ("htpasswd", ("m:e", "abc", "sha"), "invalid username: m:e"),
    ("encryptAES", ("key", ""), ""),
    ("decryptAES", ("key", ""), ""),
    ("decryptAES", ("secretkey", "30tEfhuJSVRhpG97XCuWgz2okj7L8vQ1s6V9zVUPeDQ="), "plaintext"),
]


@pytest.mark.parametrize(("name", "args", "expected"), GIVES)
def test_gives(name: str, args: tuple[Any, ...], expected: str) -> None:
    assert FUNCTIONS[name](*args) == expected


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("bcrypt", ("abc",), "sprig.bcrypt is not available"),
        ("htpasswd", ("me", "abc", "bcrypt"), "htpasswd with bcrypt is not available"),
        ("genPrivateKey", ("rsa",), "sprig.genPrivateKey is not available"),
        ("genCA", ("name", 365), "sprig.genCA is not available"),
        ("decryptAES", ("key", "$"), "not base64"),
        ("decryptAES", ("key", "YWJj"), "not a start vector and whole blocks"),
        ("decryptAES", ("key", base64.b64encode(bytes(32)).decode()), "password is wrong"),
        ("encryptAES", ("key", "a" * 100_001), "at most 100000 characters"),
        ("randInt", (5, 5), "5 is not greater than 5"),
        ("randBytes", (-1,), "out of range"),
    ],
)
def test_refused(name: str, args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        FUNCTIONS[name](*args)


def test_aes_gives_the_values_of_the_standard() -> None:
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    start = bytes(range(16))
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    secret = bytes.fromhex("f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d")
    assert encrypt_cbc(key, start, plain) == secret
    assert decrypt_cbc(key, start, secret) == plain


@given(st.text(max_size=40), st.text(min_size=1, max_size=60))
def test_what_is_encrypted_can_be_decrypted(password: str, text: str) -> None:
    assert FUNCTIONS["decryptAES"](password, FUNCTIONS["encryptAES"](password, text)) == text


DRAWS: list[tuple[str, tuple[Any, ...]]] = [
    ("randAlphaNum", (20,)),
    ("randAlpha", (20,)),
    ("randAscii", (20,)),
    ("randNumeric", (20,)),
    ("randBytes", (20,)),
    ("randInt", (0, 10**9)),
    ("uuidv4", ()),
    ("shuffle", ("Hello World",)),
    ("encryptAES", ("key", "text")),
]


def test_the_seed_determines_what_is_drawn() -> None:
    def drawn(seed: bytes) -> list[Any]:
        functions = function_map(NOW, seed)
        return [functions[name](*args) for name, args in DRAWS + DRAWS]

    assert drawn(b"one") == drawn(b"one")
    assert all(first != other for first, other in zip(drawn(b"one"), drawn(b"two"), strict=True))
    half = len(DRAWS)
    assert all(first != again for first, again in zip(drawn(b"one")[:half], drawn(b"one")[half:], strict=True))


def test_what_is_drawn_has_the_form_asked_for() -> None:
    assert set(FUNCTIONS["randNumeric"](500)) == set(string.digits)
    assert set(FUNCTIONS["randAlpha"](2000)) == set(string.ascii_letters)
    assert set(FUNCTIONS["randAlphaNum"](2000)) == set(string.ascii_letters + string.digits)
    assert set(FUNCTIONS["randAscii"](5000)) == {chr(code) for code in range(32, 127)}
    assert FUNCTIONS["randAlpha"](0) == FUNCTIONS["randAlpha"](-1) == ""
    assert len(base64.b64decode(FUNCTIONS["randBytes"](12))) == 12
    assert {FUNCTIONS["randInt"](10, 13) for _ in range(100)} == {10, 11, 12}
    assert FUNCTIONS["uuidv4"]()[14] == "4"
    assert sorted(FUNCTIONS["shuffle"]("Hello World")) == sorted("Hello World")


def test_numbers_are_drawn_evenly() -> None:
    stream = Stream(b"seed")
    counts = Counter(stream.below(5) for _ in range(5000))
    assert sorted(counts) == list(range(5))
    assert all(900 < count < 1100 for count in counts.values())


@given(st.lists(st.integers(0, 100), max_size=8))
def test_pieces_of_the_stream_make_the_whole(sizes: list[int]) -> None:
    stream = Stream(b"seed")
    assert b"".join(stream.draw(size) for size in sizes) == Stream(b"seed").draw(sum(sizes))
