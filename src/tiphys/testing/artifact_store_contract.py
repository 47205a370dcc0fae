"""What every artifact store must do. A backend's tests subclass `ArtifactStoreContract` and say how to make a store."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tiphys._util.canonical import tree_digest
from tiphys.errors import ArtifactError, ArtifactMissingError, DigestMismatchError
from tiphys.ports.artifact_store import ArtifactStore, StoredTree

#: Large enough for a store that remembers what it has hashed.
LARGE = bytes(range(256)) * 4096


def commit(store: ArtifactStore, files: dict[str, bytes]) -> StoredTree:
    """Store files given by name."""
    with store.staging() as folder:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return store.commit(folder)


def content_of(store: ArtifactStore, digest: str) -> dict[str, bytes]:
    """All files of a tree by name."""
    with store.open_tree(digest) as folder:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


class ArtifactStoreContract(ABC):
    """The suite."""

    @pytest.fixture
    @abstractmethod
    def store(self, tmp_path: Path) -> ArtifactStore:
        """An empty store."""

    @abstractmethod
    def again(self, store: ArtifactStore) -> ArtifactStore:
        """A second store over the same place, as another process would have it."""

    @abstractmethod
    @contextmanager
    def changing(self, store: ArtifactStore, digest: str, name: str) -> Iterator[Path]:
        """Gives a local, writable file with a stored file's content; what it then holds is put in the place of that."""

    def test_a_tree_comes_back(self, store: ArtifactStore) -> None:
        files = {"a.txt": b"one", "b/c.bin": LARGE, "b/d/empty": b""}
        stored = commit(store, files)
        assert content_of(store, stored.digest) == files
        assert content_of(self.again(store), stored.digest) == files

    def test_digest_and_size_follow_from_the_files(self, store: ArtifactStore) -> None:
        stored = commit(store, {"a": b"one", "b/c": LARGE})
        hashes = [("a", hashlib.sha256(b"one").hexdigest()), ("b/c", hashlib.sha256(LARGE).hexdigest())]
        assert stored.digest == "sha256:" + tree_digest(hashes)
        assert stored.size == 3 + len(LARGE)
        assert stored.uri == store.uri(stored.digest)
        assert store.exists(stored.digest)

    def test_equal_trees_are_kept_once(self, store: ArtifactStore) -> None:
        first = commit(store, {"a": b"one", "b": b"two"})
        second = commit(store, {"b": b"two", "a": b"one"})
        assert first == second
        assert [digest for digest, _, _ in store.list_trees()] == [first.digest]

    def test_names_are_part_of_a_tree(self, store: ArtifactStore) -> None:
        assert commit(store, {"a": b"one"}).digest != commit(store, {"b": b"one"}).digest

    @pytest.mark.parametrize("name", ["value.json", 'ünïcode "name".txt'])
    @pytest.mark.parametrize("content", [b"", b"1", LARGE])
    def test_bytes_are_a_tree_of_one_file(self, store: ArtifactStore, name: str, content: bytes) -> None:
        stored = store.commit_bytes(name, content)
        assert stored == commit(self.again(store), {name: content})
        assert store.read_bytes(stored.digest, name) == content
        assert content_of(store, stored.digest) == {name: content}
        assert store.commit_bytes(name, content) == stored

    def test_bytes_have_a_plain_name(self, store: ArtifactStore) -> None:
        with pytest.raises(ArtifactError, match=r"\.\./x"):
            store.commit_bytes("../x", b"1")

    def test_a_tree_without_files(self, store: ArtifactStore) -> None:
        with store.staging() as folder:
            (folder / "empty" / "folders").mkdir(parents=True)
            stored = store.commit(folder)
        assert stored.size == 0
        assert content_of(store, stored.digest) == {}
        assert commit(store, {}) == stored

    def test_staging_leaves_nothing(self, store: ArtifactStore) -> None:
        with store.staging() as folder:
            (folder / "a").write_bytes(b"x")
            assert list(store.list_trees()) == []
        assert not folder.exists()
        with pytest.raises(RuntimeError), store.staging() as folder:
            (folder / "a").write_bytes(b"x")
            raise RuntimeError
        assert not folder.exists()
        assert list(store.list_trees()) == []

    def test_another_folder_is_copied(self, store: ArtifactStore, tmp_path: Path) -> None:
        mine = tmp_path / "mine"
        (mine / "sub").mkdir(parents=True)
        (mine / "sub" / "a").write_bytes(b"x")
        (mine / "sub" / "link").symlink_to("a")
        stored = store.commit(mine)
        assert content_of(store, stored.digest) == {"sub/a": b"x", "sub/link": b"x"}
        (mine / "sub" / "a").write_bytes(b"y")
        assert content_of(store, stored.digest)["sub/a"] == b"x"

    def test_what_is_not_a_folder_is_refused(self, store: ArtifactStore, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="nowhere"):
            store.commit(tmp_path / "nowhere")

    def test_links_within_a_tree_are_files(self, store: ArtifactStore) -> None:
        with store.staging() as folder:
            (folder / "blobs").mkdir()
            (folder / "blobs" / "1").write_bytes(b"x")
            (folder / "name").symlink_to(folder / "blobs" / "1")
            stored = store.commit(folder)
        assert content_of(store, stored.digest) == {"blobs/1": b"x", "name": b"x"}
        assert stored == commit(store, {"blobs/1": b"x", "name": b"x"})

    @pytest.mark.parametrize("target", ["/etc/hostname", "../outside", "missing", "folder"])
    def test_other_links_are_refused(self, store: ArtifactStore, target: str) -> None:
        with pytest.raises(ArtifactError, match="link"), store.staging() as folder:
            (folder / "folder").mkdir()
            (folder.parent / "outside").write_bytes(b"secret")
            (folder / "bad").symlink_to(target)
            try:
                store.commit(folder)
            finally:
                (folder.parent / "outside").unlink()
        assert list(store.list_trees()) == []

    def test_a_missing_tree(self, store: ArtifactStore) -> None:
        digest = "sha256:" + "0" * 64
        assert not store.exists(digest)
        with pytest.raises(ArtifactMissingError, match=digest), store.open_tree(digest):
            pass
        with pytest.raises(ArtifactMissingError, match=digest):
            store.read_bytes(digest, "a")

    @pytest.mark.parametrize("digest", ["", "0" * 64, "sha256:" + "../" * 22, "md5:" + "0" * 64])
    def test_what_is_no_digest(self, store: ArtifactStore, digest: str) -> None:
        with pytest.raises(ArtifactError, match="not the digest"):
            store.exists(digest)

    def test_a_missing_file(self, store: ArtifactStore) -> None:
        with pytest.raises(ArtifactError, match="'b'"):
            store.read_bytes(commit(store, {"a": b"x"}).digest, "b")

    @pytest.mark.parametrize("before", [b"right", LARGE])
    @pytest.mark.parametrize("others", [{}, {"other": b"y"}])
    def test_a_change_is_found(self, store: ArtifactStore, before: bytes, others: dict[str, bytes]) -> None:
        digest = commit(store, {"a": before, **others}).digest
        assert store.read_bytes(digest, "a") == before
        assert content_of(store, digest)["a"] == before
        with self.changing(store, digest, "a") as path:
            path.write_bytes(b"wrong" + before[5:])
        for each in (store, self.again(store)):
            with pytest.raises(DigestMismatchError, match=digest[7:]), each.open_tree(digest):
                pass
            with pytest.raises(DigestMismatchError, match=digest[7:]):
                each.read_bytes(digest, "a")
            with each.open_tree(digest, verify=False) as folder:
                assert (folder / "a").read_bytes()[:5] == b"wrong"

    def test_a_part_is_verified_alone(self, store: ArtifactStore) -> None:
        digest = commit(store, {"0/a": b"zero", "1/a": b"one", "10/a": b"ten", "index": b"i"}).digest
        with self.changing(store, digest, "0/a") as path:
            path.write_bytes(b"ZERO")
        for each in (store, self.again(store)):
            with each.open_tree(digest, part="1") as folder:
                assert (folder / "1" / "a").read_bytes() == b"one"
            with each.open_tree(digest, part="index") as folder:
                assert (folder / "index").read_bytes() == b"i"
            assert each.read_bytes(digest, "10/a") == b"ten"
            with pytest.raises(DigestMismatchError), each.open_tree(digest, part="0"):
                pass
            with pytest.raises(ArtifactError), each.open_tree(digest, part="2"):
                pass

    def test_delete(self, store: ArtifactStore) -> None:
        kept, gone = commit(store, {"a": b"x"}), commit(store, {"a": b"y", "b": b"z"})
        for _ in range(2):
            store.delete(gone.digest)
            assert not store.exists(gone.digest)
            assert [digest for digest, _, _ in store.list_trees()] == [kept.digest]
        assert commit(store, {"a": b"y", "b": b"z"}) == gone
        assert content_of(store, gone.digest) == {"a": b"y", "b": b"z"}

    def test_what_was_used_since_is_not_deleted(self, store: ArtifactStore) -> None:
        digest = commit(store, {"a": b"x"}).digest
        used = next(used for _, _, used in store.list_trees())
        store.delete(digest, unused_since=used - 1)
        assert store.exists(digest)
        store.delete(digest, unused_since=used + 1)
        assert not store.exists(digest)

    @pytest.mark.parametrize("files", [{"value.json": b"1"}, {"a": b"x", "b": b"y"}])
    def test_what_is_stored_again_while_it_is_deleted_is_there(
        self, store: ArtifactStore, files: dict[str, bytes]
    ) -> None:
        """Once it is stored it stays, whole: a deletion of what was unused before does not take it away."""
        digest = commit(store, files).digest
        writer, reader = self.again(store), self.again(store)
        with ThreadPoolExecutor(1) as pool:
            for _ in range(40):
                time.sleep(0.02)
                began = time.time()
                time.sleep(0.02)  # the times of files are coarser than the clock
                # What is there now is old, what is stored from now on is not.
                deletion = pool.submit(store.delete, digest, unused_since=began)
                if len(files) == 1:
                    writer.commit_bytes(*next(iter(files.items())))
                else:
                    commit(writer, files)
                deletion.result()
                for name, content in files.items():
                    assert self.again(reader).read_bytes(digest, name) == content

    @pytest.mark.parametrize("files", [{"value.json": b"1"}, {"a": b"x", "b": b"y"}])
    def test_committing_again_is_a_use(self, store: ArtifactStore, files: dict[str, bytes]) -> None:
        commit(store, files)
        ((digest, size, before),) = store.list_trees()
        time.sleep(0.02)
        if len(files) == 1:
            store.commit_bytes(*next(iter(files.items())))
        else:
            commit(store, files)
        ((digest_after, size_after, after),) = store.list_trees()
        assert (digest_after, size_after) == (digest, size)
        assert size == sum(map(len, files.values()))
        assert before < after <= time.time() + 1

    def test_sweep_spares_what_is_being_written(self, store: ArtifactStore) -> None:
        with store.staging() as folder:
            (folder / "a").write_bytes(b"x")
            store.sweep(before=time.time() - 60)
            stored = store.commit(folder)
        store.sweep(before=time.time() + 60)
        assert content_of(store, stored.digest) == {"a": b"x"}

    def test_many_writers(self, store: ArtifactStore) -> None:
        stores = [store, self.again(store), self.again(store)]

        def write(number: int) -> tuple[str, str]:
            mine = stores[number % 3]
            content = str(number % 20).encode()
            return mine.commit_bytes("value", content).digest, commit(mine, {"a": content, "b": content}).digest

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(write, range(200)))
        assert len(set(results)) == 20
        assert {digest for pair in results for digest in pair} == {digest for digest, _, _ in store.list_trees()}
        for number, (single, several) in enumerate(results[:20]):
            content = str(number).encode()
            assert content_of(store, single) == {"value": content}
            assert content_of(store, several) == {"a": content, "b": content}
