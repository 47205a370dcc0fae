"""The artifact store's suite over all backends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tiphys.errors import StackError
from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.testing.artifact_store_contract import LARGE, ArtifactStoreContract, commit, content_of


def local_store(path: Path) -> LocalArtifactStore:
    return LocalArtifactStore(name="default", config=LocalArtifactStoreConfig(path=str(path)))


OPEN = """
import sys, os, time
from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
store = LocalArtifactStore(name="default", config=LocalArtifactStoreConfig(path=sys.argv[1]))
"""


class TestLocal(ArtifactStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalArtifactStore:
        return local_store(tmp_path / "store")

    def again(self, store: ArtifactStore) -> LocalArtifactStore:
        return local_store(Path(store.root))

    @contextmanager
    def changing(self, store: ArtifactStore, digest: str, name: str) -> Iterator[Path]:
        path = Path(store.uri(digest), name)
        before = path.stat()
        path.chmod(0o644)
        yield path
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def test_files_are_read_only(self, store: LocalArtifactStore) -> None:
        for stored in (commit(store, {"a": b"x", "b/c": LARGE}), store.commit_bytes("a", b"x")):
            files = [path for path in (Path(stored.uri), *Path(stored.uri).rglob("*")) if path.is_file()]
            assert files
            assert not any(path.stat().st_mode & 0o222 for path in files)

    def test_executable_files_stay_so(self, store: LocalArtifactStore, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        script = tmp_path / "mine" / "run.sh"
        script.write_text("#!/bin/sh\n")
        script.chmod(0o755)
        assert os.access(Path(store.commit(tmp_path / "mine").uri, "run.sh"), os.X_OK)

    def test_an_added_file_is_found(self, store: LocalArtifactStore) -> None:
        from tiphys.errors import DigestMismatchError

        digest = commit(store, {"0/a": b"x", "1/a": b"y"}).digest
        Path(store.uri(digest), "0", "more").write_bytes(b"z")
        for part in (None, "0"):
            with pytest.raises(DigestMismatchError), store.open_tree(digest, part=part):
                pass

    @pytest.mark.parametrize("files", [{"value.json": b"123"}, {"a": b"123", "b": LARGE}])
    def test_storing_again_repairs_a_cut_file(self, store: LocalArtifactStore, files: dict[str, bytes]) -> None:
        digest = commit(store, files).digest
        for name in files:
            path = Path(store.uri(digest), name)
            path.chmod(0o644)
            path.write_bytes(b"")
        if len(files) == 1:
            store.commit_bytes(*next(iter(files.items())))
        else:
            commit(store, files)
        assert content_of(store, digest) == files

    def test_a_killed_writer_leaves_no_tree(self, store: LocalArtifactStore) -> None:
        script = OPEN + (
            "with store.staging() as folder:\n"
            "    (folder / 'a').write_bytes(b'half')\n"
            "    print('writing', flush=True)\n"
            "    time.sleep(60)\n"
            "    store.commit(folder)\n"
        )
        writer = subprocess.Popen([sys.executable, "-c", script, store.root], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert list(store.list_trees()) == []
        staging = Path(store.root, "staging")
        assert len(list(staging.iterdir())) == 1
        store.sweep(before=time.time() - 60)
        assert len(list(staging.iterdir())) == 1
        store.sweep(before=time.time() + 60)
        assert list(staging.iterdir()) == []

    def test_several_processes(self, store: LocalArtifactStore) -> None:
        script = OPEN + (
            "for number in range(100):\n"
            "    text = str(number).encode()\n"
            "    store.commit_bytes('value', text)\n"
            "    with store.staging() as folder:\n"
            "        (folder / 'a').write_bytes(text)\n"
            "        (folder / 'b').write_bytes(text)\n"
            "        store.commit(folder)\n"
        )
        writers = [subprocess.Popen([sys.executable, "-c", script, store.root]) for _ in range(3)]
        assert [writer.wait() for writer in writers] == [0, 0, 0]
        trees = list(store.list_trees())
        assert len(trees) == 200
        assert all(content_of(store, digest) for digest, _, _ in trees)
        assert list(Path(store.root, "staging").iterdir()) == []

    def test_a_store_needs_a_path(self) -> None:
        with pytest.raises(StackError, match="no path"):
            LocalArtifactStore(name="default", config=LocalArtifactStoreConfig())

    def test_the_home_folder_may_be_written_with_a_tilde(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        store = local_store(Path("~/artifacts"))
        assert Path(store.commit_bytes("a", b"x").uri).is_relative_to(tmp_path / "artifacts")
