"""JSON, base64, paths, URLs, patterns; values of sprig's own tests, Go's net/url and path tests, encoding/json."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang.sprig.functions import function_map

FUNCTIONS = function_map(datetime(2026, 1, 2, tzinfo=UTC), b"seed")
MAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}"

GIVES: list[tuple[str, tuple[Any, ...], Any]] = [
    ("fromJson", ('{"foo": 55}',), {"foo": 55.0}),
    ("fromJson", ("{",), None),
    ("fromJson", ("NaN",), None),
    ("mustFromJson", ('[1, "a", null, true]',), [1.0, "a", None, True]),
    ("toJson", ({"string": "test", "bool": True, "number": 42},), '{"bool":true,"number":42,"string":"test"}'),
    ("toJson", (["<a&b>", "é\u2028"],), r'["\u003ca\u0026b\u003e","é\u2028"]'),
    (
        "toJson",
        ([1.0, -0.0, 0.00001, 1.5e-6, 1e-7, 1e20, 1e21, -2.5],),
        "[1,-0,0.00001,0.0000015,1e-7,100000000000000000000,1e+21,-2.5]",
    ),
    ("toJson", ([datetime(2020, 1, 2, 3, 4, 5, 600, tzinfo=UTC)],), '["2020-01-02T03:04:05.0006Z"]'),
    ("toJson", (timedelta(seconds=1),), "1000000000"),
    ("toJson", (math.nan,), ""),
    ("toPrettyJson", ({"b": [1], "a": {}},), '{\n  "a": {},\n  "b": [\n    1\n  ]\n}'),
    ("toRawJson", ({"html": "<HEAD>"},), '{"html":"<HEAD>"}'),
    ("b64enc", ("coffee",), "Y29mZmVl"),
    ("b64dec", ("Y29mZmVl",), "coffee"),
    ("b64dec", ("Y29\nmZmVl",), "coffee"),
    ("b64dec", ("Y29$",), "illegal base64 data at input byte 3"),
    ("b32enc", ("coffee",), "MNXWMZTFMU======"),
    ("b32dec", ("MNXWMZTFMU======",), "coffee"),
    ("b32dec", ("MNXW1",), "illegal base32 data at input byte 4"),
    ("base", ("foo/bar",), "bar"),
    ("base", ("",), "."),
    ("base", ("//",), "/"),
    ("base", ("a/b/",), "b"),
    ("dir", ("foo/bar/baz",), "foo/bar"),
    ("dir", ("/foo",), "/"),
    ("dir", ("foo",), "."),
    ("dir", ("a/b/",), "a/b"),
    ("clean", ("/foo/../foo/../bar",), "/bar"),
    ("clean", ("",), "."),
    ("clean", ("//a//./b/..",), "/a"),
    ("clean", ("/..",), "/"),
    ("clean", ("../../a/../b",), "../../b"),
    ("clean", ("a/..",), "."),
    ("ext", ("/foo/bar/baz.txt",), ".txt"),
    ("ext", ("a.b/c",), ""),
    ("ext", (".bashrc",), ".bashrc"),
    ("isAbs", ("/foo",), True),
    ("osIsAbs", ("foo",), False),
    ("regexMatch", (MAIL, "test@acme.com"), True),
    ("regexMatch", (MAIL, "test@acme"), False),
    ("regexMatch", ("(", "test"), False),
    ("regexFind", ("fo.?", "foe foo"), "foe"),
    ("regexFind", ("fo.?", "none"), ""),
    ("regexFindAll", ("a{2}", "aaaaaaaa", 1), ["aa"]),
    ("regexFindAll", ("a{2}", "aaaa", -1), ["aa", "aa"]),
    ("regexFindAll", ("a{2}", "none", -1), []),
    ("regexReplaceAll", ("a(x*)b", "-ab-axxb-", "${1}W"), "-W-xxW-"),
    ("regexReplaceAllLiteral", ("a(x*)b", "-ab-axxb-", "$1"), "-$1-$1-"),
    ("regexSplit", ("a", "banana", 2), ["b", "nana"]),
    ("regexSplit", ("z+", "pizza", -1), ["pi", "a"]),
    ("regexQuoteMeta", ("1.2.3",), r"1\.2\.3"),
    ("semverCompare", ("^1.2.0", "1.2.3"), True),
    ("semverCompare", ("^1.2.0", "2.2.3"), False),
    (
        "semver",
        ("v1.2.3-beta.1+c0ff33",),
        {
            "Major": 1,
            "Minor": 2,
            "Patch": 3,
            "Prerelease": "beta.1",
            "Metadata": "c0ff33",
            "Original": "v1.2.3-beta.1+c0ff33",
            "String": "1.2.3-beta.1+c0ff33",
        },
    ),
]


@pytest.mark.parametrize(("name", "args", "expected"), GIVES)
def test_gives(name: str, args: tuple[Any, ...], expected: Any) -> None:
    result = FUNCTIONS[name](*args)
    assert result == expected
    assert repr(result) == repr(expected)


def url(**parts: str) -> dict[str, str]:
    names = ("scheme", "host", "hostname", "path", "query", "opaque", "fragment", "userinfo")
    return dict.fromkeys(names, "") | parts


URLS = {
    "proto://auth@host:80/path?query#fragment": url(
        scheme="proto",
        host="host:80",
        hostname="host",
        path="/path",
        query="query",
        fragment="fragment",
        userinfo="auth",
    ),
    "proto://host:80/path": url(scheme="proto", host="host:80", hostname="host", path="/path"),
    "something": url(path="something"),
    "proto://user:passwor%20d@host:80/path": url(
        scheme="proto", host="host:80", hostname="host", path="/path", userinfo="user:passwor%20d"
    ),
    "proto://host:80/pa%20th?key=val%20ue": url(
        scheme="proto", host="host:80", hostname="host", path="/pa th", query="key=val%20ue"
    ),
    "mailto:joe@example.com": url(scheme="mailto", opaque="joe@example.com"),
    "http://[::1]:8080/": url(scheme="http", host="[::1]:8080", hostname="::1", path="/"),
    "/a/b?c#d": url(path="/a/b", query="c", fragment="d"),
    "http://h/%C3%BC": url(scheme="http", host="h", hostname="h", path="/ü"),
}


@pytest.mark.parametrize("text", URLS)
def test_urls_are_parsed_and_joined(text: str) -> None:
    assert FUNCTIONS["urlParse"](text) == URLS[text]
    assert FUNCTIONS["urlJoin"](URLS[text]) == text


def test_urls_are_joined_of_what_is_given() -> None:
    assert FUNCTIONS["urlJoin"]({"host": "h", "path": "a b", "scheme": "s"}) == "s://h/a%20b"
    assert FUNCTIONS["urlJoin"]({"path": "a:b"}) == "./a:b"
    assert FUNCTIONS["urlParse"]("HTTP://h")["scheme"] == "http"


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("mustFromJson", ("{",), "This is not JSON"),
        ("mustFromJson", ("[" * 100_000,), "This is not JSON"),
        ("mustToJson", (math.inf,), "unsupported value"),
        ("regexFind", ("(", "a"), "missing closing"),
        ("mustRegexMatch", ("(", "a"), "missing closing"),
        ("semver", ("x",), "invalid semantic version"),
        ("semverCompare", ("bad", "1.2.3"), "improper constraint"),
        ("urlParse", (":a",), "missing protocol scheme"),
        ("urlParse", ("http://h:x/",), 'invalid port ":x" after host'),
        ("urlParse", ("http://h/%zz",), 'invalid URL escape "%zz"'),
        ("urlParse", ("http://a b/",), 'invalid character " " in host name'),
        ("urlParse", ("a:\n",), "invalid control character"),
        ("urlParse", ("1a:b",), "first path segment"),
        ("urlParse", ("http://[::1/",), "missing ']' in host"),
        ("urlParse", ("http://a<b@h/",), "invalid userinfo"),
        ("urlJoin", ({"host": 1},), "unable to parse host key, must be of type string, but int found"),
    ],
)
def test_refused(name: str, args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        FUNCTIONS[name](*args)
    assert message in caught.value.message


documents = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(documents)
def test_json_can_be_read_again(document: Any) -> None:
    for name in ("toJson", "toPrettyJson", "toRawJson"):
        text = FUNCTIONS[name](document)
        assert FUNCTIONS["fromJson"](text) == document
        assert json.loads(text, parse_int=float) == document
