"""A pod's folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tiphys.integrations.local.pods.folder import PodFolder, claim, pods_folder, take_lock
from tiphys.integrations.local.pods.orders import PodResult


def test_a_folder_tells_who_has_the_task(tmp_path: Path) -> None:
    folder = PodFolder(str(tmp_path), "u/n/0")
    assert (folder.exists(), folder.server(), folder.result(), folder.report()) == (False, None, None, None)
    Path(folder.path).parent.mkdir(parents=True)
    assert folder.server() is None
    me = take_lock(pods_folder(str(tmp_path)))
    assert me.pid == os.getpid()
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
    assert not me._replace(lock=f"{me.lock}-earlier").is_alive()
