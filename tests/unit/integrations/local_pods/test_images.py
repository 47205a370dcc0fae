"""The table of images, and the shims."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tiphys.integrations.local.pods.images import Image, find_image, make_shims


@pytest.mark.parametrize(
    ("image", "arguments"),
    [
        ("busybox", ("sh",)),
        ("busybox:1.36", ("sh",)),
        ("docker.io/library/alpine:3.23", ("sh",)),
        ("alpine@sha256:abc", ("sh",)),
        ("python:alpine3.23", ("python3",)),
        ("localhost:5000/node:9.1-alpine", ("node",)),
    ],
)
def test_known_images(image: str, arguments: tuple[str, ...]) -> None:
    found = find_image(image, {})
    assert found is not None
    assert (found.entrypoint, found.arguments) == ((), arguments)


@pytest.mark.parametrize("image", ["ghcr.io/me/tool:1", "me/alpine", "alpine-tools", ""])
def test_unknown_images(image: str) -> None:
    assert find_image(image, {}) is None


@pytest.mark.parametrize("pattern", ["ghcr.io/me/tool:1", "ghcr.io/me/tool", "me/tool", "ghcr.io/me/*"])
def test_images_of_the_settings_come_first(pattern: str) -> None:
    own = Image.from_json({"entrypoint": ["tool"], "cmd": ["--help"]})
    assert find_image("ghcr.io/me/tool:1", {pattern: own}) is own
    assert own == Image(entrypoint=("tool",), arguments=("--help",))


def test_argosay_has_an_entry_point() -> None:
    found = find_image("argoproj/argosay:v2", {})
    assert found is not None
    assert found.entrypoint == ("argosay",)


@pytest.fixture(scope="module")
def shims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shims")
    make_shims(folder)
    return make_shims(folder)


# As argo-workflows, test/e2e/images/argosay/v2/argosay.
@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [
        ([], 0, "hello argo\n"),
        (["echo"], 0, "hello argo\n"),
        (["echo", "a b"], 0, "a b\n"),
        (["exit"], 0, ""),
        (["exit", "3"], 3, ""),
        (["sleep", "0"], 0, ""),
        (["what"], 1, ""),
    ],
)
def test_argosay(shims: Path, arguments: list[str], code: int, output: str) -> None:
    done = subprocess.run([shims / "argosay", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, output)


def test_argosay_with_files(shims: Path, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "f"
    subprocess.run([shims / "argosay", "echo", "text", file], check=True)
    assert file.read_text() == "text\n"
    assert subprocess.run([shims / "argosay", "cat", file], capture_output=True, check=True).stdout == b"text\n"
    for text, code in (("ex", 0), ("no", 1)):
        done = subprocess.run([shims / "argosay", "assert_contains", file, text], capture_output=True, check=False)
        assert done.returncode == code


def test_the_cow_speaks(shims: Path) -> None:
    said = subprocess.run([shims / "cowsay", "hello", "world"], capture_output=True, text=True, check=True).stdout
    assert "< hello world >" in said


def test_python_is_this_one(shims: Path) -> None:
    done = subprocess.run([shims / "python", "-c", "print(6 * 7)"], capture_output=True, text=True, check=True)
    assert done.stdout == "42\n"
