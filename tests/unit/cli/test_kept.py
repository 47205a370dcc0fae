"""`tiphys artifact kept`."""

from __future__ import annotations

import os
import time

from tiphys.client.kept import Kept


def test_what_is_kept_is_shown_and_removed(invoke, read, tmp_path, monkeypatch):
    monkeypatch.setenv("TIPHYS_HOME", str(tmp_path / "client"))
    assert invoke("artifact", "kept").stderr == "Nothing is kept here.\n"
    kept = Kept(tmp_path / "client" / "kept" / "default", limit=1)
    young, old = (kept.store.commit_bytes("value.json", content).digest for content in (b"1" * 2048, b"2" * 2048))
    then = time.time() - 7200
    os.utime(kept.store.uri(old), (then, then))
    assert [(one["name"], one["trees"], one["size"]) for one in read("artifact", "kept")] == [("default", 2, 4096)]
    assert "--yes" in invoke("artifact", "kept", "--remove", code=2).stderr
    assert "Removed 2" in invoke("artifact", "kept", "--remove", "--yes").stdout
    assert [kept.store.exists(one) for one in (young, old)] == [True, False]
