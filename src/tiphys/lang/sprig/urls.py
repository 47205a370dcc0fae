"""URLs taken apart and put together, as Go's package net/url."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from tiphys.errors import ExpressionError
from tiphys.lang.goformat import go_quote
from tiphys.lang.sprig.reflection import kind_of
from tiphys.lang.sprig.signature import Table

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_PERCENT = re.compile(r"%(?![0-9a-fA-F]{2})(.{0,2})", re.DOTALL)
_USERINFO = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
#: What each part holds without escapes.
_PATH = frozenset(_UNRESERVED + "$&+,/:;=@")
_HOST = frozenset(_UNRESERVED + "!$&'()*+,;=:[]<>\"")
_USER = frozenset(_UNRESERVED + "$&+,;=")
_FRAGMENT = frozenset(_UNRESERVED + "$&+,/:;=?@!()*")


def _parse(text: str) -> dict[str, Any]:
    if any(char < " " or char == "\x7f" for char in text):
        _fail(text, "net/url: invalid control character in URL")
    rest, _, fragment = text.partition("#")
    scheme_match = _SCHEME.match(rest)
    scheme = scheme_match[1].lower() if scheme_match else ""
    rest = rest[scheme_match.end() :] if scheme_match else rest
    if rest.startswith(":"):
        _fail(text, "missing protocol scheme")
    rest, _, query = rest.partition("?")
    host = userinfo = opaque = ""
    if not rest.startswith("/"):
        if scheme:
            opaque, rest = rest, ""
        elif ":" in rest.partition("/")[0]:
            _fail(text, "first path segment in URL cannot contain colon")
    elif rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        rest = slash + path
        userinfo, _, host = authority.rpartition("@")
        userinfo, host = _userinfo(text, userinfo), _host(text, host)
    return {
        "scheme": scheme,
        "host": host,
        "hostname": _hostname(host),
        "path": _unescaped(text, rest),
        "query": query,
        "opaque": opaque,
        "fragment": _unescaped(text, fragment),
        "userinfo": userinfo,
    }


def _fail(text: str, why: str) -> NoReturn:
    raise ExpressionError(f"unable to parse url: parse {go_quote(text)}: {why}")


def _unescaped(text: str, part: str) -> str:
    bad = _PERCENT.search(part)
    if bad:
        _fail(text, f"invalid URL escape {go_quote(bad[0])}")
    return re.sub("(?:%[0-9a-fA-F]{2})+", lambda m: bytes.fromhex(m[0].replace("%", "")).decode(errors="replace"), part)


def _userinfo(text: str, userinfo: str) -> str:
    if not _USERINFO.fullmatch(userinfo):
        _fail(text, "net/url: invalid userinfo")
    name, colon, password = userinfo.partition(":")
    return _escaped(_unescaped(text, name), _USER) + colon + _escaped(_unescaped(text, password), _USER)


def _host(text: str, host: str) -> str:
    if host.startswith("["):
        if "]" not in host:
            _fail(text, "missing ']' in host")
        port = host.rpartition("]")[2]
    else:
        port = "".join(host.rpartition(":")[1:]) if ":" in host else ""
    if port and not re.fullmatch(":[0-9]*", port):
        _fail(text, f"invalid port {go_quote(port)} after host")
    host = _unescaped(text, host)
    bad = next((char for char in host if char.isascii() and char not in _HOST), None)
    if bad is not None:
        _fail(text, f"invalid character {go_quote(bad)} in host name")
    return host


def _hostname(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _escaped(part: str, plain: frozenset[str]) -> str:
    return "".join(
        char if char in plain else "".join(f"%{octet:02X}" for octet in char.encode("utf-8", "replace"))
        for char in part
    )


def _join(parts: dict[str, Any]) -> str:
    scheme, host, path, opaque = (_part(parts, name) for name in ("scheme", "host", "path", "opaque"))
    userinfo = _part(parts, "userinfo")
    if userinfo:
        userinfo = _parse(f"proto://{userinfo}@host")["userinfo"]
    result = f"{scheme}:" if scheme else ""
    if opaque:
        result += opaque
    else:
        if host or userinfo or (scheme and path):
            result += "//" + (f"{userinfo}@" if userinfo else "") + _escaped(host, _HOST)
        escaped = path if path == "*" else _escaped(path, _PATH)
        if escaped and not escaped.startswith("/") and host:
            result += "/"
        if not result and ":" in escaped.partition("/")[0]:
            result = "./"
        result += escaped
    query, fragment = _part(parts, "query"), _part(parts, "fragment")
    return result + (f"?{query}" if query else "") + (f"#{_escaped(fragment, _FRAGMENT)}" if fragment else "")


def _part(parts: dict[str, Any], name: str) -> str:
    value = parts.get(name, "")
    if not isinstance(value, str):
        raise ExpressionError(f"unable to parse {name} key, must be of type string, but {kind_of(value)} found")
    return value


FUNCTIONS: Table = {"urlParse": ("s", _parse), "urlJoin": ("d", _join)}
