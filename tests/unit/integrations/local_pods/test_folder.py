"""A pod's folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tiphys.integrations.local.pods.folder import PodFolder, Server, claim
from tiphys.integrations.local.pods.orders import PodResult
from tiphys.integrations.local.task_folder import process_start


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
