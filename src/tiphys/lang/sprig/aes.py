"""AES in CBC mode (FIPS 197, SP 800-38A), for keys of 32 bytes: small rather than fast, and not hardened."""

from __future__ import annotations

from collections.abc import Iterator

_ROUNDS = 14


def _times(left: int, right: int) -> int:
    """The product in AES's field of 256 elements."""
    product = 0
    while right:
        if right & 1:
            product ^= left
        left = left << 1 ^ (0x11B if left & 0x80 else 0)
        right >>= 1
    return product


def _substitutions() -> bytes:
    """The S-box: the inverse in the field, then an affine map."""
    powers = [1]
    for _ in range(254):
        powers.append(_times(powers[-1], 3))
    box = bytearray([0x63] * 256)
    for exponent, value in enumerate(powers):
        inverse = powers[-exponent % 255] * 0x101
        box[value] = (inverse ^ inverse >> 4 ^ inverse >> 5 ^ inverse >> 6 ^ inverse >> 7) & 0xFF ^ 0x63
    return bytes(box)


_BOX = _substitutions()
_BACK = bytes(_BOX.index(value) for value in range(256))
_PRODUCTS = {factor: bytes(_times(value, factor) for value in range(256)) for factor in (1, 2, 3, 9, 11, 13, 14)}
#: Where each byte of a block comes from when its rows are shifted; a block is four columns of four.
_SHIFT = tuple((index + 4 * (index % 4)) % 16 for index in range(16))
_UNSHIFT = tuple((index - 4 * (index % 4)) % 16 for index in range(16))


def _round_keys(key: bytes) -> list[bytes]:
    words = [key[start : start + 4] for start in range(0, 32, 4)]
    constant = 1
    for index in range(8, 4 * (_ROUNDS + 1)):
        word = words[-1]
        if index % 8 == 0:
            word = (word[1:] + word[:1]).translate(_BOX)
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _times(constant, 2)
        elif index % 8 == 4:
            word = word.translate(_BOX)
        words.append(_xor(words[-8], word))
    return [b"".join(words[start : start + 4]) for start in range(0, len(words), 4)]


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(left, right, strict=True))


def _mixed(block: bytes, factors: tuple[int, int, int, int]) -> bytes:
    """Each column multiplied by the circulant matrix of the factors."""
    one, two, three, four = (_PRODUCTS[factor] for factor in factors)
    result = bytearray()
    for start in range(0, 16, 4):
        column = block[start : start + 4] * 2
        result += bytes(
            one[column[row]] ^ two[column[row + 1]] ^ three[column[row + 2]] ^ four[column[row + 3]] for row in range(4)
        )
    return bytes(result)


def _encrypted(block: bytes, keys: list[bytes]) -> bytes:
    block = _xor(block, keys[0])
    for number in range(1, _ROUNDS + 1):
        block = block.translate(_BOX)
        block = bytes(block[source] for source in _SHIFT)
        if number < _ROUNDS:
            block = _mixed(block, (2, 3, 1, 1))
        block = _xor(block, keys[number])
    return block


def _decrypted(block: bytes, keys: list[bytes]) -> bytes:
    for number in range(_ROUNDS, 0, -1):
        block = _xor(block, keys[number])
        if number < _ROUNDS:
            block = _mixed(block, (14, 11, 13, 9))
        block = bytes(block[source] for source in _UNSHIFT).translate(_BACK)
    return _xor(block, keys[0])


def _blocks(data: bytes) -> Iterator[bytes]:
    return (data[start : start + 16] for start in range(0, len(data), 16))


def encrypt_cbc(key: bytes, start: bytes, data: bytes) -> bytes:
    """The data, whole blocks of 16 bytes, encrypted with a key of 32 bytes and a start vector of 16."""
    keys, result = _round_keys(key), [start]
    for block in _blocks(data):
        result.append(_encrypted(_xor(block, result[-1]), keys))
    return b"".join(result[1:])


def decrypt_cbc(key: bytes, start: bytes, data: bytes) -> bytes:
    """What `encrypt_cbc` made the data of."""
    keys, result, before = _round_keys(key), [], start
    for block in _blocks(data):
        result.append(_xor(_decrypted(block, keys), before))
        before = block
    return b"".join(result)
