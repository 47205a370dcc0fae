"""What files a container sees, and where on this machine they are.

A sandboxed container has a root folder of its own, in the task's folder. Over it lie, read-only, the folders of this
machine that hold its programs (`/usr`, `/etc`, …), and then its volumes. So everything that it writes is an ordinary
file below the task's folder or in a volume, and can be taken from there when it has ended.

Where a volume or artifact is to appear within one of the read-only folders, the folder around it is replaced by one of
the task's that links to the original's entries.
"""

# Every task pays for the calls made here, and pathlib costs several times what the system call does.
# ruff: noqa: PTH101, PTH102, PTH103, PTH110, PTH112, PTH114, PTH115, PTH118, PTH120, PTH211

from __future__ import annotations

import os
import stat
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

from tiphys.errors import ArtifactError, SpecError
from tiphys.integrations.local.pods.images import interpreter
from tiphys.sdk.pods.volumes import Bind

#: Folders of this machine that hold programs and what belongs to them.
_SYSTEM = ("bin", "etc", "lib", "lib32", "lib64", "libx32", "nix", "opt", "sbin", "snap", "usr")
#: Made in every root, as programs expect them; not more, for making and removing folders is most of a sandbox's cost.
_SKELETON = ("home", "mnt", "root", "run", "tmp", "var", "var/log", "var/run", "var/run/argo", "var/tmp")
_FOR_ALL = ("tmp", "var/tmp")
#: Where shims and originals of replaced folders appear.
SHIMS = "/.tiphys"
_ORIGINALS = "/.originals"
_MOST_LINKS = 40


@dataclass(frozen=True, slots=True)
class View:
    """The files that a container sees."""

    #: Folder of this machine that is its root; None: it sees this machine's files, and `work` is its working directory.
    root: str | None
    work: str
    #: The deepest first.
    mounts: tuple[Bind, ...] = ()

    def locate(self, path: str) -> str:
        """Where a file of the container is on this machine; links are followed as the container would.

        Raises:
            ArtifactError: links lead in a circle.
        """
        if self.root is None:
            return os.path.join(self.work, path)
        parts = deque(path.split("/"))
        here, links = "/", 0
        while parts:
            part = parts.popleft()
            if part in ("", "."):
                continue
            if part == "..":
                here = os.path.dirname(here)
                continue
            there = os.path.join(here, part)
            found = self._outside(there)
            if os.path.islink(found):
                links += 1
                if links > _MOST_LINKS:
                    raise ArtifactError(f"Too many links on the way to '{path}'.")
                target = os.readlink(found)
                parts.extendleft(reversed(target.split("/")))
                here = "/" if target.startswith("/") else here
                continue
            here = there
        return self._outside(here)

    def _outside(self, path: str) -> str:
        for mount in self.mounts:
            if path == mount.target:
                return mount.source
            if path.startswith(f"{mount.target}/" if mount.target != "/" else "/"):
                return mount.source + path[len(mount.target) :]
        if any(path == top or path.startswith(f"{top}/") for top in system_folders()):
            return path
        return f"{self.root}{path}"

    def mount_of(self, path: str) -> Bind | None:
        """The volume that a path lies in, if any."""
        return next((each for each in self.mounts if is_within(path, each.target)), None)


def is_within(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or below it; both absolute."""
    path, folder = os.path.normpath(path), os.path.normpath(folder)
    return folder == "/" or path == folder or path.startswith(f"{folder}/")


@lru_cache(maxsize=1)
def system_folders() -> tuple[str, ...]:
    """Folders of this machine that every container sees, read-only."""
    found = [f"/{name}" for name in _SYSTEM if os.path.isdir(f"/{name}") and not os.path.islink(f"/{name}")]
    # What lies elsewhere and is needed: the interpreter's installation, and the list of name servers.
    python = os.path.dirname(os.path.dirname(interpreter()))
    names = os.path.realpath("/etc/resolv.conf")
    found += [path for path in (python, names) if path != "/" and not any(is_within(path, each) for each in found)]
    return tuple(path for path in found if os.path.exists(path))


@lru_cache(maxsize=1)
def _top_links() -> tuple[tuple[str, str], ...]:
    """`/bin` and the like where they are links: (name, target)."""
    return tuple((name, os.readlink(f"/{name}")) for name in _SYSTEM if os.path.islink(f"/{name}"))


def make_root(root: str) -> None:
    """Make a container's root folder with what programs expect to be there."""
    os.makedirs(root)
    for name in _SKELETON:
        os.mkdir(f"{root}/{name}")
    for name in _FOR_ALL:
        os.chmod(f"{root}/{name}", stat.S_ISVTX | 0o777)  # noqa: S103  # as these folders are everywhere
    for name, target in _top_links():
        os.symlink(target, f"{root}/{name}")


def replaced_folder(target: str) -> str | None:
    """The folder of this machine that must be replaced so that something new can appear at `target`.

    None if `target` is not within a read-only folder, or is there already as a folder and can be mounted upon.
    """
    target = os.path.realpath(target) if os.path.exists(target) else target
    if not any(is_within(target, top) and target != top for top in system_folders()):
        return None
    folder = os.path.dirname(target)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return os.path.realpath(folder)


def replacing_mounts(root: str, folder: str) -> tuple[Bind, Bind]:
    """How a folder of the root takes the place of this machine's: the original elsewhere, and the root's own."""
    return Bind(folder, f"{_ORIGINALS}{folder}", read_only=True), Bind(f"{root}{folder}", folder)


def replace_folder(root: str, folder: str) -> None:
    """Make a folder of the root that links to the entries of this machine's, which it will hide."""
    own = f"{root}{folder}"
    os.makedirs(own, exist_ok=True)
    with os.scandir(folder) as entries:
        for entry in entries:
            link = f"{own}/{entry.name}"
            if not os.path.lexists(link):
                os.symlink(os.readlink(entry.path) if entry.is_symlink() else f"{_ORIGINALS}{entry.path}", link)


def sandbox_arguments(
    view: View, *, bwrap: str, shims: str, shell: str | None, folder: str, as_root: bool
) -> list[str]:
    """The command before a container's own, for bubblewrap.

    Args:
        view: What the container is to see.
        bwrap: Bubblewrap.
        shims: Folder of shims.
        shell: What is to be `/bin/sh`, or None for this machine's.
        folder: Working directory, as the container sees it.
        as_root: Whether this process may make namespaces without one for users.
    """
    if view.root is None:
        raise SpecError("A container without a root of its own has no sandbox.")
    arguments = [bwrap, "--bind", view.root, "/"]
    if not as_root:
        arguments += ["--unshare-user", "--uid", "0", "--gid", "0"]
    for top in system_folders():
        arguments += ["--ro-bind", top, top]
    arguments += ["--dev-bind", "/dev", "/dev", "--ro-bind", "/sys", "/sys", "--proc", "/proc"]
    arguments += ["--unshare-pid", "--die-with-parent", "--ro-bind", shims, SHIMS]
    if shell is not None:
        arguments += ["--ro-bind", shell, os.path.realpath("/bin/sh")]
    for mount in reversed(view.mounts):
        arguments += ["--ro-bind" if mount.read_only else "--bind", mount.source, mount.target]
    return [*arguments, "--chdir", folder, "--"]
