"""Objects that S3 encrypts with a key of the customer, which comes with each request (SSE-C).

Each object has a key of its own, made of the customer's secret and of the bucket's and the object's name as
`DefaultPBKDF` of minio-go's `encrypt` does, so that Argo reads what is written here, and the other way round.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from argon2.exceptions import HashingError
from argon2.low_level import Type, hash_secret_raw

from tiphys.integrations.s3.bucket import Bucket, open_bucket
from tiphys.ports.object_driver import Objects


class CustomerKeyObjects:
    """A bucket's objects (`ports.object_driver.Objects`) as the customer's secret encrypts them.

    Args:
        bucket: Where they are.
        secret: The customer's.
    """

    def __init__(self, bucket: Bucket, secret: str) -> None:
        self._bucket = bucket
        self._secret = secret
        self._objects: Objects = open_bucket(bucket)

    def get(self, path: str, /) -> Any:
        """As `Objects`."""
        return self._with_key_of(path).get(path)

    def head(self, path: str, /) -> Any:
        """As `Objects`."""
        return self._with_key_of(path).head(path)

    def put(self, path: str, file: Path, /, *, chunk_size: int) -> Any:
        """As `Objects`."""
        return self._with_key_of(path).put(path, file, chunk_size=chunk_size)

    def list(self, prefix: str | None, /, *, chunk_size: int) -> Any:
        """As `Objects`; without a key."""
        return self._objects.list(prefix, chunk_size=chunk_size)

    def delete(self, paths: Sequence[str], /) -> Any:
        """As `Objects`; without a key."""
        return self._objects.delete(paths)

    def _with_key_of(self, path: str) -> Objects:
        key = base64.b64encode(object_key(self._secret, self._bucket.name, path)).decode()
        encryption = {"server_side_encryption": "sse-c", "sse_customer_key_base64": key}
        return open_bucket(replace(self._bucket, encryption=encryption))


def object_key(secret: str, bucket: str, path: str) -> bytes:
    """The 32 bytes that encrypt an object.

    Raises:
        ValueError: the names of bucket and object have less than eight bytes together.
    """
    salt = (bucket + path).encode()
    try:
        return hash_secret_raw(
            secret.encode(), salt, time_cost=1, memory_cost=64 * 1024, parallelism=4, hash_len=32, type=Type.ID
        )
    except HashingError as error:
        raise ValueError(f"no key can be made for '{path}' in the bucket '{bucket}': {error}") from error
