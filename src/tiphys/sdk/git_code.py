"""A project's code as a commit of its git repository, for a server that fetches it from there."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tiphys.errors import DefinitionError, UsageError
from tiphys.plugins.loading import load

#: Addresses that a server fetches code from: no paths of its machine, and no programs that git would start.
_SCHEMES = ("https", "http", "ssh", "git")
#: `user@host:path`.
_SCP = re.compile(r"\w[\w.-]*@\w[\w.-]*:[^-].*")


@dataclass(frozen=True, slots=True)
class GitCode:
    """Where code is."""

    #: Without credentials: who fetches it has their own.
    url: str
    commit: str
    #: The project's top folder in the repository.
    subfolder: str


def git_code(root: Path) -> GitCode:
    """The commit that a project is at.

    Args:
        root: The project's top folder.

    Raises:
        DefinitionError: it is at none, or others cannot have it.
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None:
        raise DefinitionError(f"The project in {root} is in no git repository.", hint="Send its files: --code archive")
    if _git(root, "status", "--porcelain", "--", "."):
        raise DefinitionError(
            f"The project in {root} has changes that are not committed.",
            hint="Commit and push them, or send the files as they are: --code archive",
        )
    commit = _git(root, "rev-parse", "--verify", "HEAD") or ""
    found = _git(root, "for-each-ref", "--contains", commit, "--format=%(refname:lstrip=2)", "refs/remotes")
    branches = (found or "").splitlines()
    remotes = sorted((_git(root, "remote") or "").splitlines(), key=lambda name: name != "origin")
    remote = next((name for name in remotes if any(one.startswith(f"{name}/") for one in branches)), None)
    if remote is None:
        raise DefinitionError(
            f"The commit {commit[:12]} of the project in {root} is at no remote.",
            hint="Push it (git push), or send the files as they are: --code archive",
        )
    url = without_login(_git(root, "remote", "get-url", remote) or "")
    return GitCode(url, commit, root.resolve().relative_to(Path(top).resolve()).as_posix())


def check_out(code: GitCode, into: Path) -> Path:
    """Fetch the code to a folder that is not there yet; returns the project's top folder in it.

    Raises:
        UsageError: this is no address or commit that code is fetched from.
        ArtifactError: git failed.
    """
    if without_login(code.url) != code.url or not re.fullmatch(r"[0-9a-f]{40,64}", code.commit):
        raise UsageError(f"'{code.commit}' of '{without_login(code.url)}' is no commit that code is fetched from.")
    load("tiphys.integrations.git.driver:check_out")(code.url, code.commit, into)
    project = (into / code.subfolder).resolve()
    if not project.is_relative_to(into.resolve()):
        raise UsageError(f"'{code.subfolder}' is no folder of the repository.")
    return project


def without_login(url: str) -> str:
    """The address of a repository without user and password (of SSH the user stays, who is no secret).

    Raises:
        UsageError: it is no address from which another machine could fetch.
    """
    if _SCP.fullmatch(url) and "://" not in url:
        return url
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.hostname.startswith("-"):
        raise UsageError(
            f"Another machine cannot fetch from a git remote like '{url.rpartition('@')[2]}'.",
            hint="Use one of https:// or ssh://, or send the project's files: --code archive",
        )
    host = parts.netloc.rpartition("@")[2]
    user = parts.username if parts.scheme == "ssh" else None
    return urlunsplit((parts.scheme, f"{user}@{host}" if user else host, parts.path, "", ""))


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command; None if it failed."""
    done = subprocess.run(  # noqa: S603  # no shell, and nothing of a stranger's
        ["git", *arguments],  # noqa: S607  # the user's own
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else None
