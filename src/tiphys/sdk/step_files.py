"""Carries out one step whose inputs and outputs are files: a step of an exported pipeline, in its container.

Below one root stand

- `inputs/<name>/`: an artifact; its files under `data`, what they are in `artifact.json`
- `inputs/<name>.json`: a packed artifact (a text), or the packed results of a loop (a list of texts)
- `outputs/<name>/`: the same form, written when the step has succeeded
- `parameters/<name>`: texts that conditions and loops of the workflow read

`artifact.json` is an `ArtifactRef` without the ids of a version. Its digest is that of the files; they are loaded only
if they still have it.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import ArtifactValue, Phase, Values
from tiphys.errors import ArtifactError, DigestMismatchError
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.runner import Task
from tiphys.records.artifacts import ArtifactRef
from tiphys.sdk.components import components_of
from tiphys.sdk.runtime import run_task

DATA, DESCRIPTION = "data", "artifact.json"
#: Ending of the parameter that holds an output as text.
PACKED = "-packed"
#: Exit codes of a step that failed, and of one whose failure rules out another attempt.
FAILED, FINAL = 1, 3
#: Characters of a packed artifact. Argo keeps parameters in the workflow's object, which is bounded to about 1 MB.
MOST_PACKED = 128 * 1024

#: What the container's own log and the workflow's own artifacts do in their place.
_QUIET = {"enable_step_logs": False, "enable_artifact_metadata": False, "enable_artifact_visualization": False}


def run_on_files(
    source: str,
    body: Mapping[str, Any],
    parameters: Mapping[str, str],
    *,
    root: Path,
    run_name: str = "",
    attempt: int = 0,
    retries: int = 0,
) -> TaskFinished:
    """Load a step's inputs, call it, and write its outputs if it succeeds.

    Args:
        source: `module:qualname` of its function.
        body: As `sdk.compiler.body` describes it; an output that has `packed` is given as a parameter, too.
        parameters: Texts of its input parameters.
        root: Folder of the files.
        run_name: Name of the workflow.
        attempt: Zero-based.
        retries: How many attempts may follow the first.

    Returns:
        The step's own report; what the step raises is part of it.

    Raises:
        ArtifactError: an input's files are not what was stored, or an output cannot be packed.
    """
    with tempfile.TemporaryDirectory(prefix="tiphys-step-") as scratch:
        context = {
            "run_name": run_name,
            "pipeline_name": body.get("pipeline"),
            "components": {"artifact_store": [described_store(scratch)]},
        }
        store = components_of(context).store
        ended = run_task(
            Task(
                id=f"{run_name}/{body['step']}/{attempt}",
                workflow_uid="",
                node_id="",
                name=body["step"],
                attempt=attempt,
                body={**body, **_QUIET, "source": source},
                inputs=Values(parameters=dict(parameters), artifacts=_read_inputs(root / "inputs", store)),
                last_attempt=attempt >= retries,
                context=context,
            )
        )
        if ended.phase is Phase.SUCCEEDED and ended.outputs is not None:
            _write_outputs(ended.outputs, body, root, store)
    return ended


def described_store(folder: str) -> dict[str, Any]:
    """An artifact store below a folder, as `sdk.components` builds it."""
    return {
        "name": "files",
        "implementation": "tiphys.integrations.local.artifact_store:LocalArtifactStore",
        "config_class": "tiphys.integrations.local.config:LocalArtifactStoreConfig",
        "config": {"path": folder},
    }


def write_artifact(ref: ArtifactRef, folder: Path, store: ArtifactStore) -> None:
    """Write an artifact of a store to a folder, which is made."""
    described = {key: value for key, value in ref.to_json().items() if key not in ("version_id", "version")}
    with store.open_tree(ref.digest, verify=False) as tree:
        shutil.copytree(tree, folder / DATA, copy_function=_link)
    (folder / DESCRIPTION).write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")


def read_artifact(folder: Path, store: ArtifactStore) -> ArtifactRef:
    """Put an artifact that `write_artifact` wrote into a store.

    Raises:
        ArtifactError: the folder is no such artifact.
        DigestMismatchError: its files were changed.
    """
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        ref = ArtifactRef(version_id="", **described)
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"The input '{folder.name}' is no artifact of a step: {error}.",
            hint=f"A step writes a folder with {DESCRIPTION} and its files under '{DATA}'.",
        ) from error
    (folder / DATA).mkdir(exist_ok=True)  # archives may leave out a folder without files
    stored = store.commit(folder / DATA)
    if stored.digest != ref.digest:
        raise DigestMismatchError(
            f"The files of the input '{folder.name}' are not those that were stored: their digest is {stored.digest}, "
            f"not {ref.digest}."
        )
    return ref


def pack(folder: Path) -> str:
    """A folder that `write_artifact` wrote, as a text: a zip file in base64.

    Raises:
        ArtifactError: it is longer than a parameter should be.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                member = zipfile.ZipInfo(file.relative_to(folder).as_posix())  # without a time: equal data, equal text
                archive.writestr(member, file.read_bytes(), zipfile.ZIP_DEFLATED)
    text = base64.b64encode(buffer.getvalue()).decode()
    if len(text) > MOST_PACKED:
        raise ArtifactError(
            f"'{folder.name}' must travel as text in the workflow, but is {len(text):,} characters long; at most "
            f"{MOST_PACKED:,} are possible.",
            hint="Argo gathers a loop's parameters, not its artifacts. Let the mapped step put its result elsewhere, "
            "and return where that is.",
        )
    return text


def unpack(text: str, folder: Path) -> None:
    """Undo `pack`; the folder is made.

    Raises:
        ArtifactError: the text is no packed artifact.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(text, validate=True))) as archive:
            archive.extractall(folder)
    except (ValueError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"The input '{folder.name}' is no packed artifact: {error}.") from error


def _read_inputs(folder: Path, store: ArtifactStore) -> dict[str, ArtifactValue]:
    found: dict[str, ArtifactValue] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir():
            found[path.name] = read_artifact(path, store).to_json()
        elif path.suffix == ".json":
            packed = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(packed, str):
                found[path.stem] = _read_packed(packed, path.stem, store)
            else:
                found[path.stem] = [_read_packed(each, path.stem, store) for each in packed]
    return found


def _read_packed(text: str, name: str, store: ArtifactStore) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tiphys-input-") as scratch:
        unpack(text, Path(scratch, name))
        return read_artifact(Path(scratch, name), store).to_json()


def _write_outputs(outputs: Values, body: Mapping[str, Any], root: Path, store: ArtifactStore) -> None:
    texts = dict(outputs.parameters)
    for name, value in outputs.artifacts.items():
        assert isinstance(value, Mapping)  # noqa: S101  a step gives no lists
        write_artifact(ArtifactRef.from_json(value), root / "outputs" / name, store)
    for declared in body.get("outputs", ()):
        if declared.get("packed"):
            texts[declared["name"] + PACKED] = pack(root / "outputs" / declared["name"])
    for name, text in texts.items():
        path = root / "parameters" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _link(source: str, target: str) -> None:
    """Let `target` be the same file, or where that cannot be an equal one."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copyfile(source, target)
