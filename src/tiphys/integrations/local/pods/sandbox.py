"""Whether this machine can give containers a file view of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from typing import NamedTuple

from tiphys.integrations.local.pods.view import View, make_root, sandbox_arguments


class Sandboxing(NamedTuple):
    """How sandboxes are made here."""

    #: Path of bubblewrap.
    bwrap: str
    #: Whether that takes no namespace for users.
    as_root: bool
    #: Why none can be made, or None.
    problem: str | None


@lru_cache(maxsize=1)
def sandboxing() -> Sandboxing:
    """How sandboxes are made on this machine: found out by making one."""
    bwrap = shutil.which("bwrap")
    if not sys.platform.startswith("linux"):
        return Sandboxing("", False, "Sandboxes need Linux; here only the runner 'process' can carry containers out.")
    if bwrap is None:
        return Sandboxing(
            "", False, "Sandboxes need bubblewrap: install the package 'bubblewrap' (apt install bubblewrap)."
        )
    said = ""
    for as_root in (True, False) if os.geteuid() == 0 else (False,):
        said = _try(bwrap, as_root=as_root)
        if not said:
            return Sandboxing(bwrap, as_root, None)
    return Sandboxing(
        bwrap,
        False,
        f"This system does not let bubblewrap make a sandbox ({said}). Allow user namespaces "
        "(sysctl kernel.unprivileged_userns_clone=1 or kernel.apparmor_restrict_unprivileged_userns=0; in a container "
        "run it with more privileges), or use the runner 'process'.",
    )


def _try(bwrap: str, *, as_root: bool) -> str:
    """Make a sandbox; returns what bubblewrap said if it failed."""
    with tempfile.TemporaryDirectory(prefix="tiphys-") as folder:
        root = f"{folder}/root"
        make_root(root)
        arguments = sandbox_arguments(
            View(root, root), bwrap=bwrap, shims=folder, shell=None, folder="/", as_root=as_root
        )
        done = subprocess.run(  # noqa: S603  # bubblewrap with arguments of ours
            [*arguments, "/bin/true"], capture_output=True, text=True, check=False, timeout=30
        )
        return "" if done.returncode == 0 else done.stderr.strip() or f"exit status {done.returncode}"
