"""Digests, passwords and AES.

Left out, with an error that says so: bcrypt (in pure Python its 1024 rounds take many seconds), private keys and
certificates (they need a library, and would be new at each evaluation).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import zlib
from collections.abc import Callable
from typing import Any

from tiphys.errors import ExpressionError
from tiphys.lang.sprig.aes import decrypt_cbc, encrypt_cbc
from tiphys.lang.sprig.randomness import Stream
from tiphys.lang.sprig.signature import Table

#: Characters of a text that is encrypted here; a block takes a tenth of a millisecond.
_AES_LIMIT = 100_000

# The master password algorithm: templates, and the characters that each of their letters stands for.
_SCOPE = b"com.lyndir.masterpassword"
_TEMPLATES = {
    "maximum": "anoxxxxxxxxxxxxxxxxx axxxxxxxxxxxxxxxxxno",
    "long": (
        "CvcvnoCvcvCvcv CvcvCvcvnoCvcv CvcvCvcvCvcvno CvccnoCvcvCvcv CvccCvcvnoCvcv CvccCvcvCvcvno CvcvnoCvccCvcv "
        "CvcvCvccnoCvcv CvcvCvccCvcvno CvcvnoCvcvCvcc CvcvCvcvnoCvcc CvcvCvcvCvccno CvccnoCvccCvcv CvccCvccnoCvcv "
        "CvccCvccCvcvno CvcvnoCvccCvcc CvcvCvccnoCvcc CvcvCvccCvccno CvccnoCvcvCvcc CvccCvcvnoCvcc CvccCvcvCvccno"
    ),
    "medium": "CvcnoCvc CvcCvcno",
    "short": "Cvcn",
    "basic": "aaanaaan aannaaan aaannaaa",
    "pin": "nnnn",
}
_CHARACTERS = {
    "V": "AEIOU",
    "C": "BCDFGHJKLMNPQRSTVWXYZ",
    "v": "aeiou",
    "c": "bcdfghjklmnpqrstvwxyz",
    "a": "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
    "n": "0123456789",
    "o": "@&%?,=[]_:-+*$#!'^~;()/.",
    "x": "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
}


def _derive_password(counter: int, kind: str, password: str, user: str, site: str) -> str:
    if kind not in _TEMPLATES:
        return f"cannot find password template {kind}"
    salt = _SCOPE + len(user.encode()).to_bytes(4, "big") + user.encode()
    key = hashlib.scrypt(password.encode(), salt=salt, n=32768, r=8, p=2, maxmem=2**26, dklen=64)
    place = _SCOPE + len(site.encode()).to_bytes(4, "big") + site.encode() + (counter % 2**32).to_bytes(4, "big")
    seed = hmac.digest(key, place, "sha256")
    templates = _TEMPLATES[kind].split()
    letters = templates[seed[0] % len(templates)]
    return "".join(
        _CHARACTERS[letter][number % len(_CHARACTERS[letter])]
        for letter, number in zip(letters, seed[1:], strict=False)
    )


def _htpasswd(user: str, password: str, algorithm: str) -> str:
    if ":" in user:
        return f"invalid username: {user}"
    if algorithm != "sha":
        raise _missing("htpasswd with bcrypt", 'Pass "sha" as the algorithm.')
    digest = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return f"{user}:{{SHA}}{base64.b64encode(digest).decode()}"


def _aes_key(password: str) -> bytes:
    return password.encode()[:32].ljust(32, b"\0")


def _encrypt_aes(stream: Stream, password: str, text: str) -> str:
    if not text:
        return ""
    if len(text) > _AES_LIMIT:
        raise ExpressionError(f"sprig.encryptAES takes at most {_AES_LIMIT} characters.")
    data, start = text.encode(), stream.draw(16)
    padding = 16 - len(data) % 16
    encrypted = encrypt_cbc(_aes_key(password), start, data + bytes([padding]) * padding)
    return base64.b64encode(start + encrypted).decode()


def _decrypt_aes(password: str, text: str) -> str:
    if not text:
        return ""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ExpressionError("sprig.decryptAES: the text is not base64.") from None
    if len(data) < 32 or len(data) % 16 or len(data) > 6 * _AES_LIMIT:
        raise ExpressionError("sprig.decryptAES: the text is not a start vector and whole blocks.")
    decrypted = decrypt_cbc(_aes_key(password), data[:16], data[16:])
    if not 1 <= decrypted[-1] <= 16:
        raise ExpressionError("sprig.decryptAES: the password is wrong, or the text is damaged.")
    return decrypted[: -decrypted[-1]].decode(errors="replace")


def _missing(name: str, hint: str) -> ExpressionError:
    return ExpressionError(f"The function sprig.{name} is not available.", hint=hint)


def _left_out(name: str, hint: str) -> tuple[str, Callable[..., Any]]:
    def call(*_: Any) -> Any:
        raise _missing(name, hint)

    return "a*", call


def _digest(algorithm: str) -> Callable[[str], str]:
    return lambda text: hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()


_IN_A_STEP = "Make keys and certificates in a step, and pass them on as an artifact or a secret."


def crypto_functions(stream: Stream) -> Table:
    """The functions that draw from a stream."""
    return {"encryptAES": ("ss", lambda password, text: _encrypt_aes(stream, password, text))}


FUNCTIONS: Table = {
    "sha1sum": ("s", _digest("sha1")),
    "sha256sum": ("s", _digest("sha256")),
    "sha512sum": ("s", _digest("sha512")),
    "adler32sum": ("s", lambda text: str(zlib.adler32(text.encode()))),
    "derivePassword": ("issss", _derive_password),
    "htpasswd": ("sss", _htpasswd),
    "decryptAES": ("ss", _decrypt_aes),
    "bcrypt": _left_out("bcrypt", 'Hash the password in a step, or use sprig.htpasswd with "sha".'),
    **{
        name: _left_out(name, _IN_A_STEP)
        for name in (
            "genPrivateKey",
            "buildCustomCert",
            "genCA",
            "genCAWithKey",
            "genSelfSignedCert",
            "genSelfSignedCertWithKey",
            "genSignedCert",
            "genSignedCertWithKey",
        )
    },
}
