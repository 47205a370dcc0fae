"""Artifacts that are working copies of git repositories.

Fields mean what they mean in Argo's `workflow/artifacts/git/git.go`; `branch` counts with `singleBranch` only.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from tiphys.errors import ArtifactError
from tiphys.integrations.git.command import Git, git_for
from tiphys.ports.artifact_driver import ArtifactDriver, Located, arriving, named
from tiphys.spec.artifacts import GitArtifact


class GitDriver(ArtifactDriver):
    """Clones what an artifact's `git` names."""

    location: ClassVar[str] = "git"

    def load(self, artifact: Located, into: Path) -> None:
        """As the port says; always a folder, with git's own folder in it."""
        git = self.at(artifact, GitArtifact)
        self._check(artifact, git)
        repository = self.required(artifact, "repo", git.repo)
        user = self.secret(artifact, "usernameSecret", git.username_secret)
        password = self.secret(artifact, "passwordSecret", git.password_secret)
        login = None if user is None and password is None else (user or "", password or "")
        with (
            arriving(into) as staged,
            git_for(
                repository,
                login=login,
                ssh_key=self.secret(artifact, "sshPrivateKeySecret", git.ssh_private_key_secret),
                any_host_key=bool(git.insecure_ignore_host_key),
                any_certificate=bool(git.insecure_skip_tls),
            ) as command,
        ):
            try:
                _clone(command, git, staged)
            except ArtifactError as error:
                name = named(artifact, within=True)
                raise ArtifactError(f"Cannot load {name}: {error.message}", hint=error.hint) from error

    def _check(self, artifact: Located, git: GitArtifact) -> None:
        if git.single_branch and not git.branch:
            raise self.error(artifact, "singleBranch", "needs branch")
        named = {"repo": git.repo, "revision": git.revision, "branch": git.branch}
        for field, value in (*named.items(), *(("fetch", each) for each in git.fetch or ())):
            if value and value.startswith("-"):
                raise self.error(artifact, field, f"('{value}') begins with '-', so git would take it for an option")


def check_out(repository: str, commit: str, into: Path) -> None:
    """A working copy of a commit, with what this machine's git has of credentials, in a folder that is not there yet.

    Raises:
        ArtifactError: it cannot be had.
    """
    with git_for(repository) as command:
        _clone(command, GitArtifact(repo=repository, revision=commit), into)


def _clone(command: Git, git: GitArtifact, into: Path) -> None:
    """Clone, fetch what else is asked for, check a revision out, bring the submodules: in Argo's order."""
    depth = [f"--depth={git.depth}"] if git.depth else []
    branch = [f"--branch={git.branch}", "--single-branch"] if git.single_branch else ["--no-single-branch"]
    checkout = ["--no-checkout"] if git.revision else []
    # Of a path, unlike a URL, git would link the files and ignore the depth.
    local = ["--no-local"]
    repository = git.repo or ""
    command.run("clone", *local, *depth, *branch, *checkout, "--", repository, str(into), folder=into.parent)
    if not command.run("for-each-ref", "--count=1", folder=into):
        return  # an empty repository, of which no revision can be had
    if git.fetch:
        command.run("fetch", "--update-head-ok", *depth, "origin", *git.fetch, folder=into)
    if git.revision:
        command.run("checkout", "--detach", "--force", _commit(command, git, into), folder=into)
    if not git.disable_submodules:
        command.run("submodule", "update", "--init", "--recursive", folder=into)


def _commit(command: Git, git: GitArtifact, folder: Path) -> str:
    """The commit that the revision names: a branch of the repository, a tag, a hash, or what git takes (`main~2`).

    What a shallow clone lacks is asked for by its name.
    """
    revision = git.revision or ""
    branches = git.branch if git.single_branch else "*"
    command.run("fetch", "--update-head-ok", "origin", f"+refs/heads/{branches}:refs/heads/{branches}", folder=folder)
    resolve = ["rev-parse", "--verify", "--quiet"]
    if not command.succeeds(*resolve, f"{revision}^{{commit}}", folder=folder):
        depth = [f"--depth={git.depth}"] if git.depth else []
        command.run("fetch", *depth, "origin", revision, folder=folder)
        revision = "FETCH_HEAD"
    return command.run(*resolve, f"{revision}^{{commit}}", folder=folder)
