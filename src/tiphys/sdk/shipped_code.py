"""A project's code on its way to a server that carries the steps out itself.

It travels as a tree of an artifact store: `files/…` are the project's, `code.json` says how they are imported, and
`payloads/<n>` are functions that no import finds (those of a script that is run as such, say). In place of the files it
may name a commit, from which they are fetched.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tiphys.errors import DefinitionError, UsageError
from tiphys.sdk.components import Components
from tiphys.sdk.git_code import GitCode, check_out, git_code
from tiphys.sdk.registry import accept, portable, resolve

#: Bytes of a project's files at most.
MOST = 50_000_000
#: What marks the top folder of a project.
_MARKS = (".git", ".tiphys", "pyproject.toml", "setup.py")
#: Folders that hold nothing of the project's own.
_FOREIGN = ("__pycache__", "node_modules", "site-packages", "venv")
_DESCRIPTION, _FILES, _PAYLOADS = "code.json", "files", "payloads"
#: Where unpacked code stands, below the home.
_PLACE = "code"


def pack_code(bodies: Iterable[Mapping[str, Any]], into: Path, *, by_git: bool = False) -> GitCode | None:
    """Write what the steps of a pipeline need into a folder.

    Args:
        bodies: The steps as compiled.
        into: An empty folder.
        by_git: Whether to name the commit that the project is at, instead of its files; that is returned then.

    Raises:
        DefinitionError: the project is too large, or at no commit that others can have.
        NotFoundError: a step's function is neither importable nor alive in this process.
    """
    references = list(dict.fromkeys(reference for body in bodies for reference in _references(body)))
    here = Path.cwd().resolve()
    root = project_root(_folder_of(references) or here)
    commit = git_code(root) if by_git else None
    if commit is None:
        _copy(root, into / _FILES)
    payloads: list[dict[str, str]] = []
    (into / _PAYLOADS).mkdir()
    for source, digest in references:
        payload = portable(source, digest)
        if payload is not None:
            (into / _PAYLOADS / str(len(payloads))).write_bytes(payload)
            payloads.append({"source": source, "digest": digest})
    inside = [Path(entry or here).resolve() for entry in sys.path]
    description = {
        "path": [found.relative_to(root).as_posix() for found in inside if found.is_relative_to(root)],
        "folder": here.relative_to(root).as_posix() if here.is_relative_to(root) else ".",
        "payloads": payloads,
        "python": _python(),
        "git": None if commit is None else asdict(commit),
    }
    (into / _DESCRIPTION).write_text(json.dumps(description))
    return commit


def _folder_of(references: Iterable[tuple[str, str]]) -> Path | None:
    """Where the first function that stands in a file does."""
    for source, digest in references:
        code = getattr(resolve(source, digest), "__code__", None)
        path = Path(code.co_filename) if code is not None else None
        if path is not None and path.is_file():
            return path.resolve().parent
    return None


def project_root(start: Path) -> Path:
    """The project's top folder: the nearest one that has a mark of such; `start` itself if there is none."""
    start = start.resolve()
    return next((one for one in (start, *start.parents) if any((one / mark).exists() for mark in _MARKS)), start)


def enter(context: Mapping[str, Any], components: Components) -> None:
    """Make shipped code importable in this process, which is a step's own, and have it work in the project's folder.

    Raises:
        ArtifactMissingError: the code is not in the store any more.
        UsageError: functions were packed by another version of Python.
    """
    digest = str(context["code"]["digest"])
    folder = _unpacked(digest, Path(context["home"]) / _PLACE / digest.removeprefix("sha256:"), components)
    description = json.loads((folder / _DESCRIPTION).read_text())
    files = folder / _FILES
    if description.get("git"):
        files /= description["git"]["subfolder"]
    sys.path[:0] = [str(files / entry) for entry in description["path"]]
    os.chdir(files / description["folder"])
    if description["payloads"] and description["python"] != _python():
        raise UsageError(
            f"The steps were sent from Python {description['python']}, and the server has Python {_python()}.",
            hint="Move them from the script into a module of the project, or use the server's version.",
        )
    for number, each in enumerate(description["payloads"]):
        accept(each["source"], each["digest"], (folder / _PAYLOADS / str(number)).read_bytes())


def _unpacked(digest: str, place: Path, components: Components) -> Path:
    """A folder of the files that steps may write beside; made by whoever comes first."""
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        own = place.with_name(f"{place.name}.{os.getpid()}")
        components.from_stores(lambda store: _copy_tree(store.open_tree(digest), own))
        commit = json.loads((own / _DESCRIPTION).read_text()).get("git")
        if commit:
            check_out(GitCode(**commit), own / _FILES)
        try:
            own.rename(place)
        except OSError:  # somebody else was quicker
            shutil.rmtree(own)
    return place


def _copy_tree(opened: Any, target: Path) -> None:
    with opened as folder:
        shutil.copytree(folder, target, copy_function=shutil.copyfile)


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _references(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    hooks = (body.get("hooks") or {}).values()
    return [(body["source"], body.get("code_digest") or ""), *((source, "") for source in hooks if source)]


def _copy(root: Path, target: Path) -> None:
    target.mkdir()
    total = 0
    for path in _own_files(root):
        source = root / path
        total += source.stat().st_size
        if total > MOST:
            raise DefinitionError(
                f"The project in {root} has more than {MOST // 1_000_000} MB of files, too many to send.",
                hint="Data belongs into artifacts. Files that git ignores (.gitignore) are not sent.",
            )
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target / path)


def _own_files(root: Path) -> list[Path]:
    """Files of a project: what git would take, or all that are not hidden."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607  # the user's own
        cwd=root,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0 and (root / ".git").exists():
        named = (Path(os.fsdecode(name)) for name in listed.stdout.split(b"\0") if name)
        return [path for path in named if (root / path).is_file()]
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _FOREIGN)
        found += [Path(folder, name).relative_to(root) for name in sorted(files) if not name.startswith(".")]
    return found
