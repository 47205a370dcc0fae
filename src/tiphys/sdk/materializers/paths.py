"""Files and folders as artifacts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tiphys.errors import ArtifactError
from tiphys.ports.materializer import BaseMaterializer
from tiphys.records.artifacts import ArtifactType
from tiphys.sdk.hashed_files import copy_hashed

_DESCRIPTION = "path.json"
_CONTENT = "content"


class PathMaterializer(BaseMaterializer):
    """A copy of the file or folder that a path leads to.

    `load` gives a path into the store itself: nothing is copied, and what is there must not be changed (its files are
    read-only). A step that wants to change it copies it first. A file keeps its name; a folder does not, because equal
    folders under random temporary names are to be equal artifacts. Links to files are followed.

    A stored tree without a description (a folder registered by hand) is loaded as a folder.
    """

    ASSOCIATED_TYPES = (Path,)
    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA
    KEEPS_FILES = True

    def save(self, data: Any) -> None:
        """Copy."""
        source = Path(data)
        content = self.folder / _CONTENT
        description: dict[str, Any]
        if source.is_dir():
            empty: list[str] = []
            content.mkdir()
            for folder, folders, files in os.walk(source):
                inside = Path(folder).relative_to(source)
                for name in folders:
                    if Path(folder, name).is_symlink():
                        raise ArtifactError(
                            f"'{Path(folder, name)}' is a link to a folder, so '{source}' cannot be stored.",
                            hint="Copy what it points to into the folder.",
                        )
                (content / inside).mkdir(exist_ok=True)
                for name in files:
                    copy_hashed(Path(folder, name), content / inside / name)
                if not folders and not files:
                    empty.append(inside.as_posix())
            description = {"kind": "folder", "empty_folders": sorted(empty)}
        elif source.is_file():
            content.mkdir()
            copy_hashed(source, content / source.name)
            description = {"kind": "file", "name": source.name}
        else:
            raise ArtifactError(f"There is no file or folder '{source}', so it cannot be stored.")
        (self.folder / _DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")

    def load(self, data_type: type[Any]) -> Any:
        """The path in the store."""
        try:
            description = json.loads((self.folder / _DESCRIPTION).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return self.folder
        content = self.folder / _CONTENT
        if description["kind"] == "file":
            return content / description["name"]
        for empty in description["empty_folders"]:
            # A tree holds no empty folders; making them anew changes none of its files.
            (content / empty).mkdir(parents=True, exist_ok=True)
        return content

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """Its name, and how many files there are."""
        source = Path(data)
        if source.is_file():
            return {"name": source.name}
        return {"files": sum(len(files) for _, _, files in os.walk(source))}
