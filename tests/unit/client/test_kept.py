"""What is kept on a client's machine: not without end, and never taken from who uses it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from tiphys.client.kept import GRACE, VARIABLE, Kept, kept_in, limit_from
from tiphys.errors import UsageError
from tiphys.ports.artifact_store import StoredTree


def made(kept: Kept, content: bytes, *, hours: float = 0.0, folder: bool = False) -> str:
    """Keep something that was used some hours ago."""
    if folder:
        with kept.store.staging() as staged:
            (staged / "a").write_bytes(content)
            (staged / "b").write_bytes(b"")
            tree: StoredTree = kept.store.commit(staged)
    else:
        tree = kept.store.commit_bytes("value.json", content)
    then = time.time() - hours * 3600
    os.utime(kept.store.uri(tree.digest), (then, then))
    return tree.digest


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "default", limit=250)
    old, older, used = (made(kept, bytes([n]) * 100, hours=h) for n, h in ((1, 2), (2, 3), (3, 4)))
    assert kept.use(used)
    assert kept.trim() == 100
    assert [kept.store.exists(one) for one in (old, older, used)] == [True, False, True]
    assert not kept.use(older)
    assert kept.trim() == 0


@pytest.mark.parametrize("folder", [True, False])
def test_what_was_used_within_the_last_hour_stays(tmp_path: Path, folder: bool) -> None:
    kept = Kept(tmp_path / "default", limit=0)
    recent = made(kept, b"1" * 100, hours=GRACE / 3600 - 0.1, folder=folder)
    gone = made(kept, b"2" * 100, hours=GRACE / 3600 + 0.1, folder=folder)
    assert kept.trim() == 100
    assert [kept.store.exists(one) for one in (recent, gone)] == [True, False]


def test_readers_find_what_they_use_while_others_remove(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "default", limit=0)
    digests = [made(kept, b"%d" % number, hours=2, folder=number % 2 == 0) for number in range(200)]
    ending, missed = threading.Event(), []

    def read() -> None:
        other = Kept(tmp_path / "default", limit=0)
        for digest in digests:
            if other.use(digest):
                try:
                    with other.store.open_tree(digest) as files:
                        assert list(files.iterdir())
                except Exception as error:  # noqa: BLE001  told by the test's thread
                    missed.append((digest, error))
        ending.set()

    reader = threading.Thread(target=read)
    reader.start()
    while not ending.is_set():
        kept.trim()
    reader.join()
    assert missed == []


def test_it_is_looked_at_when_much_has_come(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "default", limit=1000)
    old = [made(kept, bytes([n]) * 600, hours=2) for n in (1, 2)]
    kept.grew(1)
    assert sum(kept.store.exists(one) for one in old) == 1
    again = made(kept, b"3" * 600, hours=2)
    kept.grew(1)  # somebody has just looked
    assert kept.store.exists(again)
    kept.grew(1000)
    assert kept.describe().trees == 1


def test_the_bound_is_a_number_of_megabytes() -> None:
    assert limit_from({VARIABLE: "3"}) == 3 * 1024 * 1024
    assert limit_from({}) == limit_from({VARIABLE: " "}) == 10 * 1024**3
    for wrong in ("-1", "1.5", "many", "²"):
        with pytest.raises(UsageError, match="no number of megabytes"):
            limit_from({VARIABLE: wrong})


def test_all_stores_of_a_home_are_told(tmp_path: Path) -> None:
    assert kept_in(tmp_path) == []
    made(Kept(tmp_path / "kept" / "default", limit=1), b"1" * 10)
    (tmp_path / "kept" / ".default.looked").touch()
    (found,) = [one.describe() for one in kept_in(tmp_path)]
    assert (found.name, found.trees, found.size) == ("default", 1, 10)
