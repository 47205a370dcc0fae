"""The times of a log's lines are those of the looks that first saw them."""

from __future__ import annotations

from pathlib import Path

from tiphys.sdk.pods.log_times import LogTimes, note_size, times_of


def test_a_line_came_at_the_first_look_that_saw_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    Path(times_of(str(log))).write_text("10 100.5\n20 200.25\n")
    times = LogTimes(str(log))
    assert [times.at(end) for end in (1, 10, 11, 20, 21)] == [100.5, 100.5, 200.25, 200.25, None]


def test_a_look_is_noted_if_the_log_has_grown(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    assert note_size(log, 0) == 0
    Path(log).write_text("one\n")
    assert note_size(log, 0) == 4
    assert note_size(log, 4) == 4
    Path(log).write_text("one\ntwo\n")
    assert note_size(log, 4) == 8
    assert len(Path(times_of(log)).read_text().splitlines()) == 2
    assert LogTimes(log).at(4) is not None


def test_nobody_has_looked(tmp_path: Path) -> None:
    assert LogTimes(str(tmp_path / "log")).at(1) is None
