"""Data of artifacts, up and down, for clients that cannot reach the place where the server keeps it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Annotated, Any

from fastapi import Depends, Path
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tiphys.errors import ArtifactMissingError, UsageError
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.records.stacks import ComponentType
from tiphys.sdk.packed_trees import PackedTree, only_file, unpack
from tiphys.server.api.here import Here, of_workspace
from tiphys.server.auth.permissions import Action, needs
from tiphys.services.artifacts import as_artifact_store
from tiphys.services.backend import LocalBackend, WorkspaceBackend

router = of_workspace("artifacts")
_STORE = "/artifact-stores/{store}"
_READ, _WRITE = [Depends(needs("artifacts", Action.READ))], [Depends(needs("artifacts", Action.WRITE))]
Digest = Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$")]
#: What a download is.
_TAR = "application/x-tar"


def _store(backend: LocalBackend | WorkspaceBackend, name: str) -> ArtifactStore:
    return as_artifact_store(backend.stacks.component(ComponentType.ARTIFACT_STORE, name))


@router.head(f"{_STORE}/trees/{{digest}}", dependencies=_READ)
def has_tree(backend: Here, store: str, digest: Digest) -> Response:
    """204 if it has, 404 if not."""
    found = _store(backend, store).exists(digest)
    return Response(status_code=204 if found else ArtifactMissingError.http_status)


@router.get(f"{_STORE}/trees/{{digest}}", dependencies=_READ, response_class=Response)
def get_tree(backend: Here, store: str, digest: Digest) -> Response:
    """The files of a tree as a tar."""
    opened = _store(backend, store).open_tree(digest)
    folder = opened.__enter__()

    def pieces() -> Iterator[bytes]:
        try:
            yield from PackedTree(folder)
        finally:
            opened.__exit__(None, None, None)

    return StreamingResponse(pieces(), media_type=_TAR)


@router.put(f"{_STORE}/trees/{{digest}}", dependencies=_WRITE)
async def put_tree(request: Request, backend: Here, store: str, digest: Digest) -> dict[str, Any]:
    """Store the files of a tar, which must have the digest that the path names."""
    target = await run_in_threadpool(_store, backend, store)
    with tempfile.TemporaryFile() as packed:
        async for chunk in request.stream():
            await run_in_threadpool(packed.write, chunk)
        size = await run_in_threadpool(commit, target, packed, digest)
    return {"digest": digest, "size": size}


def commit(store: ArtifactStore, packed: IO[bytes], digest: str) -> int:
    """Store the files of a tar that is said to have a digest; returns their bytes.

    Raises:
        UsageError: it is no tar, or has another digest.
    """
    packed.seek(0)
    alone = only_file(packed)
    if alone is not None:
        tree = store.commit_bytes(*alone)
    else:
        packed.seek(0)
        with store.staging() as folder:
            unpack(packed, folder)
            tree = store.commit(folder)
    if tree.digest != digest:
        raise UsageError(f"What was sent has the digest {tree.digest}, not {digest}.")
    return tree.size
