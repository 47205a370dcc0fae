"""`tiphys artifact`, `model`, `tag` and `cache`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Invoke, World

from tiphys._util.times import utc_now
from tiphys.records.artifacts import ArtifactVersion
from tiphys.records.base import EntityType, Query
from tiphys.records.stacks import ComponentType
from tiphys.services.backend import LocalBackend


def test_artifacts_and_versions(invoke: Invoke, two_runs: Mapping[str, Any]) -> None:
    assert invoke("artifact", "list", "-o", "name").stdout == "churn_model\nchurn::load::output\n"
    assert invoke("artifact", "list", "--custom", "-o", "name").stdout == "churn_model\n"
    assert invoke("artifact", "list", "--contains", "load", "-o", "name").stdout == "churn::load::output\n"
    assert invoke("artifact", "versions", "churn_model", "-o", "name").stdout == "churn_model:2\nchurn_model:1\n"
    assert invoke("artifact", "versions", "--run", "churn-2", "-o", "name").stdout == "churn_model:2\n"
    head, row = invoke("artifact", "versions", "churn::load::output").stdout.splitlines()
    assert head.split() == ["NAME", "VERSION", "TYPE", "DATA", "SIZE", "DIGEST", "AGE"]
    assert row.split()[:6] == ["churn::load::output", "1", "Data", "int", "3", "B"]


@pytest.mark.parametrize("custom", [True, False])
def test_a_version_is_named_in_every_way(
    invoke: Invoke, backend: LocalBackend, two_runs: Mapping[str, Any], custom: bool
) -> None:
    name = "churn_model" if custom else "churn::load::output"
    newest = backend.find(Query.of(ArtifactVersion, name=name))[0]
    for given in (name, f"{name}:{newest.version}", newest.id):
        assert invoke("artifact", "show", given, "-o", "name").stdout == f"{name}:{newest.version}\n"
    assert "9" in invoke("artifact", "show", f"{name}:9", code=2).stderr


def test_show_an_artifact(invoke: Invoke, read: Callable[..., Any], world: World, two_runs: Mapping[str, Any]) -> None:
    version = read("artifact", "show", "churn_model:1")
    world.metadata(EntityType.ARTIFACT_VERSION, version["id"], rows=3)
    text = invoke("artifact", "show", "churn_model:1").stdout
    assert "Made by:       step train of run churn-1" in text
    assert "  rows:  3" in text
    assert read("artifact", "show", "churn_model:1")["metadata"] == {"rows": 3}


def picture(world: World, kind: str, content: bytes, *, name: str = "report", stored_as: str | None = None) -> None:
    store = world.backend.stacks.component(ComponentType.ARTIFACT_STORE)
    tree = store.commit_bytes(stored_as or name, content)  # type: ignore[attr-defined]
    step = world.step(world.run("r"), "s")
    world.output(step, "o", b"1", artifact="a", visualizations={name: {"type": kind, "digest": tree.digest}})


def test_visualize_writes_a_file_and_prints_its_path(invoke: Invoke, world: World) -> None:
    picture(world, "html", b"<p>hello</p>")
    path = Path(invoke("artifact", "visualize", "a").stdout.strip())
    assert path.name == "report.html"
    assert path.read_bytes() == b"<p>hello</p>"


def test_visualize_to_a_named_file_or_to_standard_output(invoke: Invoke, world: World, tmp_path: Path) -> None:
    picture(world, "csv", b"x,y\n1,2\n", stored_as="other.csv")
    target = tmp_path / "out.csv"
    assert invoke("artifact", "visualize", "a", "-o", str(target)).stdout.strip() == str(target)
    assert target.read_bytes() == b"x,y\n1,2\n"
    assert invoke("artifact", "visualize", "a", "-o", "-").stdout == "x,y\n1,2\n"


def test_visualize_opens_the_browser(invoke: Invoke, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    picture(world, "image", b"png", name="plot.png")
    path = Path(invoke("artifact", "visualize", "a", "--open").stdout.strip())
    assert opened == [path.as_uri()]


def test_visualize_what_has_no_pictures(invoke: Invoke, two_runs: Mapping[str, Any]) -> None:
    assert "no pictures of churn_model:2" in invoke("artifact", "visualize", "churn_model", code=2).stderr


def test_visualize_an_unknown_picture(invoke: Invoke, world: World) -> None:
    picture(world, "csv", b"1")
    assert "Known: report." in invoke("artifact", "visualize", "a", "--name", "x", code=2).stderr


def test_gc_says_first_and_asks(
    invoke: Invoke, world: World, two_runs: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.backend.stacks.component(ComponentType.ARTIFACT_STORE)
    tree = store.commit_bytes("x", b"nobody points here")  # type: ignore[attr-defined]
    later = utc_now() + timedelta(days=1)  # what is young is kept
    monkeypatch.setattr("tiphys.services.artifacts.utc_now", lambda: later)
    dry = invoke("artifact", "gc", "--dry-run").stdout
    assert tree.digest in dry
    assert "Would remove 1 tree, 18 B." in dry
    assert "--yes" in invoke("artifact", "gc", code=2).stderr
    assert invoke("artifact", "gc", "--yes").stdout == "Removed 1 tree, 18 B.\n"
    assert invoke("artifact", "gc").stdout == "Nothing to remove.\n"


def test_delete_keeps_what_runs_use(invoke: Invoke, world: World, two_runs: Mapping[str, Any]) -> None:
    assert invoke("artifact", "delete", "churn_model:1", "--dry-run").stdout.endswith(": churn_model:1.\n")
    assert invoke("artifact", "delete", "churn_model:1", "--yes").stdout.startswith("Deleted 0 of 1 versions;")
    invoke("runs", "delete", "churn-1", "churn-2", "--yes")
    assert invoke("artifact", "delete", "churn_model", "--all-versions", "--yes").stdout == "Deleted 2 of 2 versions.\n"
    assert invoke("artifact", "versions", "-o", "name").stdout == "churn::load::output:1\n"


def test_models(invoke: Invoke, read: Callable[..., Any], world: World) -> None:
    world.model("churn", 3)
    assert invoke("model", "promote", "churn", "1", "production").stdout == (
        "Model churn: version 1 is now in stage production.\n"
    )
    invoke("model", "promote", "churn", "latest", "staging")
    assert "is in stage production" in invoke("model", "promote", "churn", "2", "production", code=2).output
    invoke("model", "promote", "churn", "2", "production", "--force")
    rows = [line.split() for line in invoke("model", "versions", "churn").stdout.splitlines()[1:]]
    assert [row[:2] for row in rows] == [["3", "staging"], ["2", "production"], ["1", "archived"]]
    assert invoke("model", "versions", "churn", "--stage", "archived", "-o", "name").stdout == "churn:1\n"
    assert invoke("model", "list").stdout.splitlines()[1].split()[:4] == ["churn", "3", "2", "3"]
    assert read("model", "show", "churn", "production")["name"] == "2"
    assert "2         production" in invoke("model", "show", "churn").stdout


def test_a_model_version_shows_what_is_linked(invoke: Invoke, world: World, two_runs: Mapping[str, Any]) -> None:
    (version,) = world.model("churn")
    made = world.backend.artifacts.get_version("churn_model")
    world.backend.models.link(version, EntityType.ARTIFACT_VERSION, [made.id])
    world.backend.models.link(version, EntityType.RUN, [two_runs["churn-2"].id])
    world.metadata(EntityType.MODEL_VERSION, version, auc=0.9)
    text = invoke("model", "show", "churn", "1").stdout
    assert "Runs:     churn-2" in text
    assert "  auc:  0.9" in text
    assert "  churn_model   2         Data   int" in text


def test_delete_a_model(invoke: Invoke, world: World) -> None:
    world.model("churn", 2)
    assert invoke("model", "delete", "churn", "--dry-run").stdout == "Would delete model churn and its 2 versions.\n"
    invoke("model", "delete", "churn", "1", "--yes")
    assert invoke("model", "versions", "churn", "-o", "name").stdout == "churn:2\n"
    invoke("model", "delete", "churn", "--yes")
    assert invoke("model", "list").stderr == "No models.\n"


def test_tags(invoke: Invoke, read: Callable[..., Any], world: World) -> None:
    invoke("tag", "create", "best", "--exclusive", "--color", "green")
    assert "already" in invoke("tag", "create", "best", code=2).stderr
    invoke("tag", "update", "best", "--not-exclusive")
    (tag,) = read("tag", "list")
    assert (tag["name"], tag["color"], tag["exclusive"], tag["cascade"]) == ("best", "green", False, False)
    assert "--yes" in invoke("tag", "delete", "best", code=2).stderr
    invoke("tag", "delete", "best", "--yes")
    assert read("tag", "list") == []
    assert invoke("tag", "update", "best", code=2).stderr.startswith("Error: No tag 'best'.")


def test_explain_names_what_changed(invoke: Invoke, read: Callable[..., Any], two_runs: Mapping[str, Any]) -> None:
    assert invoke("cache", "explain", "churn-2", "train").stdout.splitlines() == [
        "Step train was executed: this changed since run churn-1:",
        "  code of scale changed: 111111111111 → 222222222222",
        "  parameter rate changed: 0.1 → 0.2",
    ]
    data = read("cache", "explain", "churn-2", "train")
    assert data["compared_with"] == "churn-1"
    assert [difference["name"] for difference in data["differences"]] == ["scale", "rate"]


def test_explain_other_reasons(invoke: Invoke, world: World) -> None:
    first = world.run("r1")
    original = world.step(first, "a", "failed", cache_key="k", cache_parts='{"code":"1"}')
    second = world.run("r2")
    world.step(second, "a", cache_key="k", cache_parts='{"code":"1"}')
    world.step(second, "b")
    third = world.run("r3")
    world.step(third, "a", "cached", cache_key="k", original_step_run_id=original.id)
    other = world.run("o", pipeline="other")
    world.step(other, "a", cache_key="x")

    def verdict(run: str, step: str) -> str:
        return invoke("cache", "explain", run, step).stdout.strip()

    assert verdict("r1", "a") == "Step a was executed: no earlier run of this pipeline has it."
    assert verdict("r2", "a") == "Step a was executed, though nothing changed since run r1: it ended as failed."
    assert verdict("r2", "b") == "Step b was executed: caching was off for it."
    assert verdict("r3", "a") == "Step a was cached: it has the outputs of run r1."
    assert verdict("o", "a") == "Step a was executed: no earlier run of this pipeline has it."
    assert "Its steps: a, b." in invoke("cache", "explain", "r2", "c", code=2).stderr
