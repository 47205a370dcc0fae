"""How the process runner and its forkserver talk: JSON objects, each with a length before it and bytes behind it."""

from __future__ import annotations

import json
import os
import select
import struct
from collections.abc import Iterator
from typing import Any

_HEAD = struct.Struct(">II")
#: Stream and length of what follows.
_ECHO = struct.Struct(">BH")
#: A write to a pipe up to this size is never mixed with another's.
_ATOMIC = getattr(select, "PIPE_BUF", 512)
_STREAM_NUMBERS = {"stdout": 1, "stderr": 2}
_STREAM_NAMES = {number: name for name, number in _STREAM_NUMBERS.items()}


def pack(message: dict[str, Any], payload: bytes = b"") -> bytes:
    """A message as bytes."""
    text = json.dumps(message).encode()
    return _HEAD.pack(len(text), len(payload)) + text + payload


class Unpacker:
    """Makes messages of bytes as they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
        """The messages that `data` completes."""
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            size, extra = _HEAD.unpack_from(self._buffer)
            end = _HEAD.size + size
            if len(self._buffer) < end + extra:
                return
            message = json.loads(self._buffer[_HEAD.size : end])
            payload = bytes(self._buffer[end : end + extra])
            del self._buffer[: end + extra]
            yield message, payload


def write_echo(pipe: int, stream: str, text: str) -> None:
    """Send text that is to be shown; nobody need be listening."""
    data = text.encode("utf-8", "backslashreplace")
    number = _STREAM_NUMBERS[stream]
    room = _ATOMIC - _ECHO.size
    while data:
        cut = len(data) if len(data) <= room else _character_end(data, room)
        os.write(pipe, _ECHO.pack(number, cut) + data[:cut])
        data = data[cut:]


def _character_end(data: bytes, most: int) -> int:
    """The largest size up to `most` that does not cut a UTF-8 character."""
    while data[most] & 0xC0 == 0x80:
        most -= 1
    return most


class EchoReader:
    """Makes texts of what `write_echo` sent."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[str, str]]:
        """(stream, text) of what `data` completes."""
        self._buffer += data
        done = 0
        while len(self._buffer) - done >= _ECHO.size:
            number, size = _ECHO.unpack_from(self._buffer, done)
            end = done + _ECHO.size + size
            if len(self._buffer) < end:
                break
            yield _STREAM_NAMES[number], self._buffer[done + _ECHO.size : end].decode()
            done = end
        del self._buffer[:done]
