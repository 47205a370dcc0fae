"""How container images run here: as programs of this machine.

The table gives an image's entry point, for templates without `command`. What its programs are called is settled by a
folder of shims that is first on PATH: `python` is this interpreter, `sh` is bash where there is one (busybox's
knows more than POSIX's too), `argosay` and `cowsay` are scripts of ours.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_SHIMS = Path(__file__).parent / "shims"
#: Commands of busybox that machines often lack: they are busybox's own where that is installed.
_OF_BUSYBOX = ("bc", "httpd", "nslookup", "ping", "telnet", "traceroute", "unzip", "vi", "wget", "xxd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """How an image runs here."""

    #: Its entry point; None if it cannot be told.
    entrypoint: tuple[str, ...] | None = None
    #: Its default arguments, used when a template gives neither `command` nor `args`.
    arguments: tuple[str, ...] = ()
    #: Whether its shell is busybox's.
    busybox: bool = False
    #: Where its entry point is in the image, if manifests are known to call it by that.
    path: str | None = None

    @staticmethod
    def from_json(data: Mapping[str, Iterable[str]]) -> Image:
        """Read an entry of the settings' `images`: `{entrypoint: [...], cmd: [...]}`, as in Argo's controller."""
        entrypoint = data.get("entrypoint")
        return Image(
            entrypoint=None if entrypoint is None else tuple(entrypoint), arguments=tuple(data.get("cmd") or ())
        )


#: The image's `/bin/sh` is busybox's, for which bash stands.
_SHELL = Image(entrypoint=(), arguments=("sh",), busybox=True)
_BASH = Image(entrypoint=(), arguments=("bash",))

#: Pattern (without registry and tag) → how it runs. Entry points as in the images' own build files.
KNOWN: Mapping[str, Image] = {
    "busybox": _SHELL,
    "alpine": _SHELL,
    "debian": _BASH,
    "ubuntu": _BASH,
    "golang": _BASH,
    "bash": _BASH,
    "python": Image(entrypoint=(), arguments=("python3",)),
    "node": Image(entrypoint=(), arguments=("node",)),
    "argoproj/argosay": Image(entrypoint=("argosay",), path="/argosay"),
    "docker/whalesay": _BASH,
    "curlimages/curl": Image(entrypoint=("curl",)),
    "stedolan/jq": Image(entrypoint=("jq",)),
    "alpine/git": Image(entrypoint=("git",)),
    "nginx": Image(entrypoint=(), arguments=("nginx", "-g", "daemon off;")),
    "influxdb": Image(entrypoint=(), arguments=("influxd",)),
    "redis": Image(entrypoint=(), arguments=("redis-server",)),
    "perl": Image(entrypoint=(), arguments=("perl",)),
    "ruby": Image(entrypoint=(), arguments=("irb",)),
}


def find_image(image: str, more: Mapping[str, Image]) -> Image | None:
    """How an image runs here, or None if no entry fits.

    Args:
        image: As in a template.
        more: Entries of the settings; they are looked at first. A pattern is the image's full name, its name without
            the tag, or the same without the registry; `*` stands for anything.
    """
    name = image.partition("@")[0]
    registry, slash, rest = name.rpartition("/")
    bare = f"{registry}{slash}{rest.partition(':')[0]}"
    short = _without_registry(bare)
    for table in (more, KNOWN):
        for pattern, found in table.items():
            if any(fnmatch.fnmatchcase(each, pattern) for each in (name, bare, short)):
                return found
    return None


def _without_registry(name: str) -> str:
    """`docker.io/library/alpine` → `alpine`, `quay.io/argoproj/argosay` → `argoproj/argosay`."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        name = rest
    return name.removeprefix("library/")


@lru_cache(maxsize=1)
def interpreter() -> str:
    """The Python of this machine that stands for all: the one that this process's environment is based on."""
    return os.path.realpath(sys.executable)


def make_shims(folder: Path) -> Path:
    """Make the folder of programs that is first on every container's PATH; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in _SHIMS.iterdir():
        script = folder / source.name
        if not script.exists():
            staged = folder / f".{source.name}.{os.getpid()}"
            staged.write_bytes(source.read_bytes())
            staged.chmod(0o755)
            staged.replace(script)
    shell = shutil.which("bash", path=os.defpath) or "/bin/sh"
    python = interpreter()
    targets = {"sh": shell, "ash": shell, "python": python, "python3": python}
    busybox = shutil.which("busybox")
    if busybox is not None:
        targets |= {name: busybox for name in _OF_BUSYBOX if shutil.which(name) is None}
    for name, target in targets.items():
        _link(folder / name, target)
    return folder


def _link(path: Path, target: str) -> None:
    if not (path.is_symlink() and str(path.readlink()) == target):
        staged = path.with_name(f".{path.name}.{os.getpid()}")
        staged.unlink(missing_ok=True)
        staged.symlink_to(target)
        staged.replace(path)
