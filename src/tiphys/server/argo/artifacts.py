"""Artifacts of nodes, to download: a file as it is, a folder as a `.tgz`."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from tiphys.errors import NotFoundError
from tiphys.server.call import Call, Handler

#: What a page among the artifacts may do in a browser (as Argo 4.1, server/artifacts).
_HEADERS = {
    "Content-Security-Policy": "sandbox; base-uri 'none'; default-src 'none'; img-src 'self'; style-src 'self' "
    "'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
}


def download(*, of_inputs: bool) -> Handler:
    """GET /artifacts/{namespace}/{name}/{node}/{artifact}, by the uid, and the same of inputs."""

    def answer(call: Call) -> Response:
        return _answer(call, uid=call.path.get("uid", ""), of_inputs=of_inputs)

    return answer


def file(call: Call) -> Response:
    """GET /artifact-files/{namespace}/{holder}/{id}/{node}/{direction}/{artifact}, and a path below it."""
    holder, direction = call.path["holder"], call.path["direction"]
    if holder not in ("workflows", "archived-workflows") or direction not in ("inputs", "outputs"):
        raise NotFoundError(f"There are no artifacts of {holder}/…/{direction}.")
    uid = call.uid_here(call.path["id"]) if holder == "archived-workflows" else ""
    return _answer(call, uid=uid, of_inputs=direction == "inputs")


def _answer(call: Call, *, uid: str, of_inputs: bool) -> Response:
    artifact = call.path["artifact"]
    name = call.path.get("name") or call.path.get("id", "")
    folder = Path(tempfile.mkdtemp(prefix="tiphys-artifact-"))
    try:
        target = folder / "data"
        call.workflows.fetch_artifact(name, call.path["node"], artifact, target, uid=uid, of_inputs=of_inputs)
        shown = _below(target, call.path.get("path", ""))
        filename = shown.name if shown != target else artifact
        if shown.is_dir():
            packed = folder / "packed.tgz"
            with tarfile.open(packed, "w:gz") as archive:
                archive.add(shown, arcname=filename)
            shown, filename = packed, f"{filename}.tgz"
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    done = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    return FileResponse(shown, filename=Path(filename).name, headers=_HEADERS, background=done)


def _below(target: Path, path: str) -> Path:
    """What is at a path in an artifact that is a folder.

    Raises:
        NotFoundError: nothing is there, or the path or a link leads out of the artifact.
    """
    if "\0" in path:
        raise NotFoundError("No file of an artifact has a NUL in its name.")
    found = (target / path).resolve() if path else target
    if not found.is_relative_to(target.resolve()) or not found.exists():
        raise NotFoundError(f"The artifact has no file '{path}'.")
    return found
