"""What a pod knows of its workflow, and its folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.unit.integrations.local_pods.planning import task

from tiphys.integrations.local.pods.context import PodContext
from tiphys.integrations.local.pods.folder import PodFolder, Server, claim, remove_tree, write_whole
from tiphys.integrations.local.pods.orders import PodResult
from tiphys.integrations.local.task_folder import process_start


def test_the_context_comes_before_the_tasks_own_facts() -> None:
    found = PodContext.of(task({}, workflow="hello", home="ignored", volumes=[{"name": "v"}]))
    assert (found.workflow, found.node_id, found.pod_name) == ("hello", "wf-1", "wf-1")
    assert found.volumes == ({"name": "v"},)
    assert found.include_result


def test_what_is_not_said_has_a_default() -> None:
    found = PodContext.from_json({"log": None, "include_result": False})
    assert (found.log, found.include_result, found.namespace, found.grace) == (None, False, "argo", 30.0)


def test_a_folder_tells_who_has_the_task(tmp_path: Path) -> None:
    folder = PodFolder(str(tmp_path), "u/n/0")
    assert (folder.exists(), folder.server(), folder.result(), folder.report()) == (False, None, None, None)
    Path(folder.path).parent.mkdir(parents=True)
    assert folder.server() is None
    me = Server(os.getpid(), process_start(os.getpid()))
    claim(folder.path, me)
    assert folder.server() == me
    assert (me.is_alive(), folder.result()) == (True, None)
    result: PodResult = {
        "started": 1.0,
        "finished": 2.0,
        "containers": [],
        "result": "a\nb",
        "cancelled": False,
        "ready": False,
    }
    with Path(f"{folder.path}.state").open("a") as file:
        file.write(json.dumps(result))
    assert folder.result() is None
    with Path(f"{folder.path}.state").open("a") as file:
        file.write("\n")
    assert folder.result() == result
    assert not me._replace(start="earlier").is_alive()


def test_files_are_visible_when_they_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_whole(str(path), "é" * 100_000)
    assert path.read_text() == "é" * 100_000
    assert list(tmp_path.iterdir()) == [path]


def test_any_tree_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").touch()
    (tmp_path / "a" / "b").chmod(0)
    remove_tree(str(tmp_path / "a"))
    remove_tree(str(tmp_path / "none"))
    assert not (tmp_path / "a").exists()
