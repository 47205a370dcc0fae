"""Files that are uploaded to be an input of a workflow (as Argo 4.1, server/artifacts `UploadInputArtifact`).

The file goes to the place of the template's artifact argument (the default repository, if that names a key alone),
under a key of its own, which is answered: whoever submits from the template names it in `submitOptions.artifacts`.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any, BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tiphys.errors import NotFoundError, UsageError
from tiphys.records.objects import ObjectKind
from tiphys.server.auth.permissions import Permission
from tiphys.services.backend import LocalBackend
from tiphys.services.workflows.artifacts import drivers_of
from tiphys.services.workflows.options import with_key


async def upload(request: Request, needed: Permission) -> Response:
    """POST /upload-artifacts/{namespace}/{template}/{artifact}: a form with the field `file`."""
    needed(request)
    backend: LocalBackend = request.app.state.backend
    namespace, artifact = request.path_params["namespace"], request.path_params["artifact"]
    argument = await run_in_threadpool(_argument, backend, namespace, request.path_params["template"], artifact)
    async with request.form(max_files=1) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise UsageError("The form has no file in its field 'file'.")
        name = (file.filename or "").replace("\\", "/").rpartition("/")[2]
        if name in ("", ".", ".."):
            raise UsageError(f"'{file.filename}' is no name of a file.")
        key = f"uploads/{namespace}/{uuid.uuid4()}/{name}"
        await run_in_threadpool(_save, backend, namespace, with_key(argument, key), file.file)
    return JSONResponse({"name": artifact, "key": key})


def _argument(backend: LocalBackend, namespace: str, template: str, name: str) -> dict[str, Any]:
    """The artifact argument of a template.

    Raises:
        NotFoundError: there is no such template, or it has no such argument.
    """
    found = backend.objects.in_namespace(namespace).get(ObjectKind.WORKFLOW_TEMPLATE, template)
    arguments = ((found.get("spec") or {}).get("arguments") or {}).get("artifacts") or ()
    for argument in arguments:
        if argument.get("name") == name:
            return dict(argument)
    raise NotFoundError(f"The WorkflowTemplate '{template}' has no artifact argument '{name}'.")


def _save(backend: LocalBackend, namespace: str, artifact: dict[str, Any], content: BinaryIO) -> None:
    drivers = drivers_of(backend.objects.in_namespace(namespace), namespace, backend.home)
    with tempfile.TemporaryDirectory(prefix="tiphys-upload-") as folder:
        path = Path(folder, "file")
        with path.open("wb") as file:
            shutil.copyfileobj(content, file)
        # It is kept as it came.
        drivers.save(path, {**artifact, "archive": {"none": {}}})
