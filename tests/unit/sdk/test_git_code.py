"""The commit that a project is at, as others can have it."""

from __future__ import annotations

import subprocess

import pytest

from tiphys.errors import DefinitionError, UsageError
from tiphys.sdk.git_code import GitCode, check_out, git_code, without_login


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A clone of a repository, whose remote is said to be elsewhere; the project is in a folder of it."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "me")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "me@example.com")
    git(tmp_path, "init", "-q", "--bare", "bare")
    git(tmp_path, "clone", "-q", "bare", "clone")
    (tmp_path / "clone" / "part").mkdir()
    (tmp_path / "clone" / "part" / "train.py").touch()
    git(tmp_path / "clone", "add", ".")
    git(tmp_path / "clone", "commit", "-qm", "first")
    git(tmp_path / "clone", "push", "-q", "origin", "HEAD:main")
    git(tmp_path / "clone", "remote", "set-url", "origin", "https://me:secret@example.com/project.git?x=1")
    return tmp_path / "clone" / "part"


def git(folder, *arguments):
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_it_is_named_without_credentials(project):
    assert git_code(project) == GitCode(
        "https://example.com/project.git", git(project, "rev-parse", "HEAD"), subfolder="part"
    )


def test_changes_that_are_not_committed(project):
    (project / "new.py").touch()
    with pytest.raises(DefinitionError, match="not committed"):
        git_code(project)


def test_changes_elsewhere_in_the_repository_do_not_matter(project):
    (project.parent / "new.py").touch()
    assert git_code(project).subfolder == "part"


def test_a_commit_that_is_not_pushed(project):
    git(project, "commit", "-q", "--allow-empty", "-m", "second")
    with pytest.raises(DefinitionError, match="at no remote"):
        git_code(project)


def test_no_repository(tmp_path):
    with pytest.raises(DefinitionError, match="in no git repository"):
        git_code(tmp_path)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://me@example.com/p.git", "https://example.com/p.git"),
        ("ssh://git:x@example.com:22/p.git", "ssh://git@example.com:22/p.git"),
        ("git@example.com:me/p.git", "git@example.com:me/p.git"),
    ],
)
def test_addresses(url, told):
    assert without_login(url) == told


@pytest.mark.parametrize("url", ["/srv/p.git", "file:///srv/p.git", "../p.git", "ext::sh -c x", "-x@y:z", "a@b:-x", ""])
def test_what_others_cannot_fetch_from(url):
    with pytest.raises(UsageError):
        without_login(url)


@pytest.mark.parametrize(
    "code",
    [
        GitCode("file:///srv/p.git", "a" * 40, "."),
        GitCode("https://me:secret@example.com/p.git", "a" * 40, "."),
        GitCode("https://example.com/p.git", "--upload-pack=x", "."),
    ],
)
def test_what_is_not_fetched(tmp_path, code):
    with pytest.raises(UsageError) as caught:
        check_out(code, tmp_path / "into")
    assert "secret" not in str(caught.value)
