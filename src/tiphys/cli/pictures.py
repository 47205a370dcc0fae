"""`tiphys artifact visualize`: the pictures that materializers made of an artifact."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import click

from tiphys.cli.lazy import Command
from tiphys.cli.lookups import find_version
from tiphys.cli.output import write_file
from tiphys.cli.session import backend
from tiphys.errors import ArtifactMissingError, UsageError
from tiphys.records.stacks import ComponentType

if TYPE_CHECKING:
    from tiphys.ports.artifact_store import ArtifactStore
    from tiphys.records.artifacts import ArtifactVersion

_SUFFIXES = {"html": ".html", "image": ".png", "csv": ".csv", "markdown": ".md", "json": ".json"}
_TEXT = ("csv", "markdown", "json")


@click.command(
    cls=Command,
    examples=["tiphys artifact visualize drift_report --open", "tiphys artifact visualize churn_data:2 -o data.csv"],
)
@click.argument("artifact")
@click.option("--name", help="Which picture, if there are several.")
@click.option("-o", "--file", "target", help="Write it to this file (`-`: standard output).")
@click.option("--open", "show", is_flag=True, help="Open it in the browser.")
def visualize(artifact: str, name: str | None, target: str | None, show: bool) -> None:
    """Show what an artifact looks like.

    CSV, Markdown and JSON are printed on a terminal; other pictures are written to a file, whose path is printed.
    """
    session = backend()
    version = find_version(session, artifact)
    store: ArtifactStore = session.stacks.component(ComponentType.ARTIFACT_STORE, version.store)  # type: ignore[assignment]  # this type of component is an ArtifactStore
    chosen = _chosen(version, name)
    if target is not None and len(chosen) > 1:
        raise UsageError(f"There are {len(chosen)} pictures.", hint=f"--name {' | '.join(chosen)}")
    folder: Path | None = None
    for title, picture in chosen.items():
        kind = str(picture["type"])
        content = picture_bytes(store, str(picture["digest"]), title)
        if target is not None:
            write_file(target, content)
            path = Path(target)
        elif not show and kind in _TEXT and sys.stdout.isatty():
            click.echo(content.decode(errors="replace").rstrip())
            continue
        else:
            folder = folder or Path(mkdtemp(prefix="tiphys-"))
            path = folder / _file_name(title, kind)
            path.write_bytes(content)
        if target != "-":
            click.echo(str(path))
        if show:
            webbrowser.open(path.absolute().as_uri())


def _chosen(version: ArtifactVersion, name: str | None) -> Mapping[str, Any]:
    pictures = version.visualizations
    if not pictures:
        raise UsageError(
            f"There are no pictures of {version.name}:{version.version}.",
            hint="Its materializer makes none, or enable_artifact_visualization was off.",
        )
    if name is None:
        return pictures
    if name not in pictures:
        raise UsageError(
            f"No picture '{name}' of {version.name}:{version.version}.", hint=f"Known: {', '.join(pictures)}."
        )
    return {name: pictures[name]}


def _file_name(title: str, kind: str) -> str:
    name = Path(title).name
    return name if Path(name).suffix else name + _SUFFIXES.get(kind, "")


def picture_bytes(store: ArtifactStore, digest: str, name: str) -> bytes:
    """Content of a picture's file: the one of its name, else the only one of the tree.

    Raises:
        ArtifactMissingError: the data is gone.
    """
    with store.open_tree(digest) as folder:
        exact = folder / name
        if exact.is_file():
            return exact.read_bytes()
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        if len(files) != 1:
            raise ArtifactMissingError(f"The file of picture '{name}' is not in its store ({digest}).")
        return files[0].read_bytes()
