"""Random text, bytes and numbers, drawn from a stream that a seed determines: the same seed gives the same values.

An engine that evaluates an expression again, after a crash or in a replay, must come to the same answer.
"""

from __future__ import annotations

import base64
import hashlib
import string
import uuid
from collections.abc import Callable

from tiphys.errors import ExpressionError
from tiphys.lang.sprig.signature import Table, bounded

_PRINTABLE = "".join(map(chr, range(32, 127)))


class Stream:
    """Bytes that look random: SHA-256 of the seed and a counter.

    Args:
        seed: Determines all that is drawn.
    """

    def __init__(self, seed: bytes) -> None:
        self._seed = hashlib.sha256(seed).digest()
        self._counter = 0
        self._rest = b""

    def draw(self, count: int) -> bytes:
        """The next bytes."""
        blocks = [self._rest]
        missing = count - len(self._rest)
        while missing > 0:
            blocks.append(hashlib.sha256(self._seed + self._counter.to_bytes(8, "big")).digest())
            self._counter += 1
            missing -= 32
        data = b"".join(blocks)
        self._rest = data[count:]
        return data[:count]

    def below(self, bound: int) -> int:
        """A number from 0 up to, not including, the bound; each is as likely as any other."""
        size = (bound.bit_length() + 7) // 8 + 1
        usable = 256**size // bound * bound
        while (number := int.from_bytes(self.draw(size), "big")) >= usable:
            pass
        return number % bound


def random_functions(stream: Stream) -> Table:
    """The functions that draw from a stream."""

    def text(name: str, alphabet: str) -> tuple[str, Callable[[int], str]]:
        def draw(count: int) -> str:
            return "".join(alphabet[stream.below(len(alphabet))] for _ in range(bounded(count, name)))

        return "i", draw

    def octets(count: int) -> str:
        if count < 0:
            raise ExpressionError("makeslice: len out of range")
        return base64.b64encode(stream.draw(bounded(count, "randBytes"))).decode()

    def number(low: int, high: int) -> int:
        if high <= low:
            raise ExpressionError(f"sprig.randInt: {high} is not greater than {low}.")
        return low + stream.below(high - low)

    def shuffle(value: str) -> str:
        chars = list(value)
        for index in range(bounded(len(chars), "shuffle") - 1, 0, -1):
            other = stream.below(index + 1)
            chars[index], chars[other] = chars[other], chars[index]
        return "".join(chars)

    return {
        "randAlphaNum": text("randAlphaNum", string.ascii_letters + string.digits),
        "randAlpha": text("randAlpha", string.ascii_letters),
        "randAscii": text("randAscii", _PRINTABLE),
        "randNumeric": text("randNumeric", string.digits),
        "randBytes": ("i", octets),
        "randInt": ("ii", number),
        "uuidv4": ("", lambda: str(uuid.UUID(bytes=stream.draw(16), version=4))),
        "shuffle": ("s", shuffle),
    }
