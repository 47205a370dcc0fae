from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
from tiphys.sdk.logs import capture as capturing
from tiphys.sdk.logs.capture import capture
from tiphys.sdk.logs.files import live_path, parse_line
from tiphys.testing.stored_logs import read_log


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifactStore:
    return LocalArtifactStore(name="s", config=LocalArtifactStoreConfig(path=str(tmp_path / "store")))


@pytest.fixture
def context(tmp_path: Path) -> dict[str, object]:
    return {"home": str(tmp_path), "run_id": "r", "step_name": "s", "attempt": 0}


def lines(store: LocalArtifactStore, digest: str | None) -> list[tuple[str, str]]:
    assert digest is not None
    return [(line.source, line.text) for line in read_log(store, digest)]


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


def test_keeps_both_streams_and_shows_them(store, context, capsys):
    with capture(context) as log:
        print("to out")
        print("to err", file=sys.stderr)
        print("no end", end="")
        digest = log.finish(store)
    assert lines(store, digest) == [("stdout", "to out"), ("stderr", "to err"), ("stdout", "no end")]
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("to out\nno end", "to err\n")


def test_nothing_printed_means_no_log_and_no_file(store, context, tmp_path):
    with capture(context) as log:
        assert log.finish(store) is None
    assert list(store.list_trees()) == []
    assert not (tmp_path / "logs").exists()


def test_lines_carry_their_time(store, context):
    before = time.time()
    with capture(context) as log:
        print("a")
        digest = log.finish(store)
    (line,) = read_log(store, digest or "")
    assert before - 0.001 <= line.time.timestamp() <= time.time()


def test_nothing_is_kept_outside_of_a_capture(store, context):
    with capture(context) as log:
        print("inside")
    print("outside")
    assert lines(store, log.finish(store)) == [("stdout", "inside")]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["\r 10 %", "\r 50 %", "\r100 %", "\n"], ["100 %"]),
        (["10 %\r", "50 %\r", "100 %\n"], ["100 %"]),
        (["10 %", "\r", "50 %", "\r", "100 %"], ["100 %"]),
        (["windows\r\n", "lines\r\n"], ["windows", "lines"]),
        (["\ra\rb\rc\nnext\n"], ["c", "next"]),
        (["\rabc", "def\n"], ["abcdef"]),
        (["\n\n"], ["", ""]),
        (["a\nb"], ["a", "b"]),
    ],
)
def test_carriage_returns_are_folded(store, context, texts, expected):
    with capture(context) as log:
        for text in texts:
            sys.stderr.write(text)
        digest = log.finish(store)
    assert lines(store, digest) == [("stderr", text) for text in expected]


def test_a_line_without_end_does_not_grow_for_ever(store, context):
    with capture(context) as log:
        for _ in range(3):
            sys.stdout.write("x" * 10_000)
        digest = log.finish(store)
    kept = lines(store, digest)
    assert "".join(text for _, text in kept) == "x" * 30_000
    assert max(len(text) for _, text in kept) <= 2 * capturing.LONGEST


def test_log_records_keep_their_level_whatever_is_shown(store, context):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setLevel(logging.ERROR)
    logger = logging.getLogger("some.library")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        with capture(context) as log:
            logger.debug("detail %d", 7)
            logger.error("bad")
            try:
                raise ValueError("why")
            except ValueError:
                logger.exception("worse")
            digest = log.finish(store)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    kept = lines(store, digest)
    assert kept[:2] == [("DEBUG", "some.library: detail 7"), ("ERROR", "some.library: bad")]
    assert kept[2] == ("ERROR", "some.library: worse")
    assert kept[-1] == ("ERROR", "ValueError: why")
    assert stream.getvalue().splitlines()[:2] == ["bad", "worse"]


def test_a_console_handler_is_not_kept_twice(store, context, capsys):
    logger = logging.getLogger("twice")
    with capture(context) as log:
        handler = logging.StreamHandler(sys.stderr)
        logger.addHandler(handler)
        try:
            logger.warning("once")
        finally:
            logger.removeHandler(handler)
        digest = log.finish(store)
    assert lines(store, digest) == [("WARNING", "twice: once")]
    assert "once" in capsys.readouterr().err


def test_what_a_handler_does_while_it_shows_a_record_is_not_kept(store, context, capsys):
    class Talkative(logging.StreamHandler):
        def emit(self, record: logging.LogRecord) -> None:
            super().emit(record)
            if record.name == "outer":
                logging.getLogger("inner").warning("of the handler")
                thread = threading.Thread(target=print, args=["of its thread"])
                thread.start()
                thread.join()
            print("of its emit")

    names = ["outer", "inner"]
    with capture(context) as log:
        handler = Talkative(sys.stderr)
        for name in names:
            logging.getLogger(name).addHandler(handler)
        try:
            logging.getLogger("outer").warning("kept")
            print("printed")
        finally:
            for name in names:
                logging.getLogger(name).removeHandler(handler)
        digest = log.finish(store)
    assert lines(store, digest) == [("WARNING", "outer: kept"), ("stdout", "printed")]
    shown = capsys.readouterr()
    assert shown.out.splitlines() == ["of its emit", "of its thread", "of its emit", "printed"]
    assert shown.err.splitlines() == ["kept", "of the handler"]


def test_threads_that_log_and_print_at_once_have_each_line_kept_once(store, context, tmp_path):
    logger = logging.getLogger("at.once")

    def talk(number: int) -> None:
        for line in range(300):
            if number % 2:
                logger.warning("%d:%d", number, line)
            else:
                print(f"{number}:{line}")

    with buffered(tmp_path / "output"), capture(context) as log:
        handler = logging.StreamHandler(sys.stderr)
        logger.addHandler(handler)
        try:
            threads = [threading.Thread(target=talk, args=[number]) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            logger.removeHandler(handler)
        digest = log.finish(store)
    expected = sorted(f"{number}:{line}" for number in range(4) for line in range(300))
    assert sorted(text.removeprefix("at.once: ") for _, text in lines(store, digest)) == expected
    assert sorted((tmp_path / "output").read_text().splitlines()) == expected


def test_levels_and_handlers_are_left_alone(store, context):
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    with capture(context) as log:
        assert (root.level, list(root.handlers)) == before
        log.finish(store)


def test_a_record_whose_arguments_do_not_fit_is_kept_as_written(store, context, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with capture(context) as log:
        logging.getLogger("odd").warning("%d", "x")
        digest = log.finish(store)
    assert lines(store, digest) == [("WARNING", "odd: %d")]


def test_parallel_steps_are_kept_apart(store, context):
    kept: dict[int, list[tuple[str, str]]] = {}

    def step(number: int) -> None:
        with capture({**context, "step_name": f"s{number}"}) as log:
            for line in range(200):
                print(f"{number}:{line}")
            kept[number] = lines(store, log.finish(store))

    threads = [threading.Thread(target=step, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept == {n: [("stdout", f"{n}:{line}") for line in range(200)] for n in range(4)}


def test_threads_of_a_step_belong_to_it(store, context):
    with capture(context) as log:
        thread = threading.Thread(target=print, args=["from a thread"])
        thread.start()
        thread.join()
        digest = log.finish(store)
    assert lines(store, digest) == [("stdout", "from a thread")]


def test_a_thread_that_is_left_behind_is_not_heard_any_more(store, context):
    go = threading.Event()

    def late() -> None:
        go.wait(30)
        print("too late")

    with capture(context) as log:
        thread = threading.Thread(target=late)
        thread.start()
        print("in time")
        digest = log.finish(store)
    go.set()
    thread.join()
    assert lines(store, digest) == [("stdout", "in time")]
    assert log._partial == {"stdout": "", "stderr": ""}


def test_a_stream_that_wraps_the_router_is_kept_once(store, context):
    class Wrapper(io.TextIOBase):
        def __init__(self, below):
            self.below = below

        def write(self, text):
            return self.below.write(text)

    with capture(context) as outer:
        outer.finish(store)
    original = sys.stdout
    sys.stdout = Wrapper(original)
    try:
        with capture(context) as log:
            print("once")
            digest = log.finish(store)
    finally:
        sys.stdout = original
    assert lines(store, digest) == [("stdout", "once")]


def test_a_large_log_goes_through_a_live_file(store, context, tmp_path):
    path = live_path(tmp_path, "r", "s", 0)
    with capture(context) as log:
        for number in range(20_000):
            print(f"line {number}")
        wait_for(path)
        first = parse_line(path.read_text().splitlines()[0])
        digest = log.finish(store)
    assert (first.source, first.text) == ("stdout", "line 0")
    assert lines(store, digest) == [("stdout", f"line {number}") for number in range(20_000)]
    assert not path.exists()


def test_a_slow_step_can_be_followed(store, context, tmp_path, monkeypatch):
    monkeypatch.setattr(capturing, "LIVE_AFTER", 0.01)
    path = live_path(tmp_path, "r", "s", 0)
    with capture(context) as log:
        print("early")
        wait_for(path)
        print("late")
        digest = log.finish(store)
    assert lines(store, digest) == [("stdout", "early"), ("stdout", "late")]
    assert not path.exists()


def test_an_unfinished_log_stays_as_a_file(context, tmp_path):
    with capture(context):
        print("last words")
    path = live_path(tmp_path, "r", "s", 0)
    assert parse_line(path.read_text()).text == "last words"


def test_text_that_is_not_unicode_is_kept_readable(store, context):
    with capture(context) as log:
        log.add("stdout", "half a pair: \ud83d\n")
        digest = log.finish(store)
    assert lines(store, digest) == [("stdout", "half a pair: \\ud83d")]


def test_the_stream_looks_like_the_one_below(store, context, capfd):
    with capture(context) as log:
        assert sys.stdout.encoding.lower() == "utf-8"
        assert sys.stdout.writable()
        sys.stdout.writelines(["a\n", "b\n"])
        with pytest.raises(TypeError):
            sys.stdout.write(b"bytes")
        digest = log.finish(store)
    assert lines(store, digest) == [("stdout", "a"), ("stdout", "b")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_write_into_its_parents_log(store, context):
    with capture(context) as log:
        print("before")
        child = os.fork()
        if child == 0:
            print("in the child")
            os._exit(0)
        os.waitpid(child, 0)
        print("after")
        digest = log.finish(store)
    assert lines(store, digest) == [("stdout", "before"), ("stdout", "after")]


def test_a_log_that_is_just_being_written_when_the_step_ends_is_whole(store, context, monkeypatch):
    opening = threading.Event()
    open_path = Path.open

    def open_slowly(path, *arguments, **options):
        opening.set()
        time.sleep(0.1)
        return open_path(path, *arguments, **options)

    monkeypatch.setattr(capturing, "LIVE_AFTER", 1e9)
    with capture(context) as log:
        print("the only line")
        monkeypatch.setattr(Path, "open", open_slowly)
        monkeypatch.setattr(capturing, "LIVE_AFTER", -1.0)
        writer = threading.Thread(target=log.tick)
        writer.start()
        assert opening.wait(30)
        digest = log.finish(store)
        writer.join()
    assert lines(store, digest) == [("stdout", "the only line")]
    assert not list(Path(context["home"]).rglob("*.log"))


def test_much_from_several_sources_keeps_its_order_and_its_lines(store, context):
    logger = logging.getLogger("much")
    logger.setLevel(logging.INFO)
    with capture(context) as log:
        for number in range(3000):
            print("out", number)
            print("err", number, file=sys.stderr)
            logger.info("record %d", number)
        digest = log.finish(store)
    expected = [
        one
        for number in range(3000)
        for one in (("stdout", f"out {number}"), ("stderr", f"err {number}"), ("INFO", f"much: record {number}"))
    ]
    assert lines(store, digest) == expected


def test_threads_that_print_much_at_once_lose_nothing(store, context):
    def talk(name: int) -> None:
        for number in range(2000):
            sys.stdout.write(f"{name} {number}\n")

    with capture(context) as log:
        threads = [threading.Thread(target=talk, args=[name]) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        digest = log.finish(store)
    assert sorted(text for _, text in lines(store, digest)) == sorted(f"{n} {i}" for n in range(4) for i in range(2000))


@contextlib.contextmanager
def buffered(path: Path) -> Iterator[None]:
    """Both streams go to a file, as those of most programs that print much."""
    with (
        path.open("w", encoding="ascii") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield


def has_open_lane(log: capturing.Capture) -> bool:
    return any(lane.is_open for lane in log.lanes)


def until_a_lane_is_open(log: capturing.Capture) -> int:
    """Print until this thread writes through a lane; how often depends on how busy the machine is."""
    deadline = time.monotonic() + 20
    count = 0
    while not has_open_lane(log):
        assert time.monotonic() < deadline, "no lane was opened"
        print("early")
        count += 1
    return count


@pytest.mark.parametrize(("pause", "is_fast"), [(100e-6, True), (200e-6, True), (400e-6, False), (1e-3, False)])
def test_whether_text_comes_without_pause_is_told_of_its_lines_pauses(context, pause, is_fast):
    with capture(context) as log:
        now = time.time()
        found = []
        for number in range(60):
            for piece in ("line", "\n"):
                if log.source == "stdout" and ("\n" not in piece or now + number * pause <= log.until):
                    log.take(piece)
                else:
                    found.append(log.add("stdout", piece, now + number * pause))
        assert any(found) is is_fast


def test_text_of_two_streams_in_turn_never_comes_without_pause(context):
    with capture(context) as log:
        now = time.time()
        assert not any(log.add(source, "line\n", now) for _ in range(60) for source in ("stdout", "stderr"))


def test_what_is_printed_without_pause_goes_through_a_lane_and_is_whole(store, context, tmp_path):
    with buffered(tmp_path / "output"), capture(context) as log:
        early = until_a_lane_is_open(log)
        wrote = [sys.stdout.write(f"line {number} \u00e4 \udc80\n") for number in range(5000)]
        print("in the end", end="")
        digest = log.finish(store)
        assert not has_open_lane(log)
    assert wrote == [len(f"line {number} \u00e4 \udc80\n") for number in range(5000)]
    shown = (tmp_path / "output").read_text().splitlines()
    assert shown == ["early"] * early + [f"line {number} \\xe4 \\udc80" for number in range(5000)] + ["in the end"]
    found = [text for _, text in lines(store, digest)]
    assert found == ["early"] * early + [f"line {number} \u00e4 \\udc80" for number in range(5000)] + ["in the end"]


def test_a_lane_keeps_the_order_of_the_streams_and_of_records(store, context, tmp_path):
    with buffered(tmp_path / "output"), capture(context) as log:
        for number in range(20):
            until_a_lane_is_open(log)
            print("before", number)
            print("error", number, file=sys.stderr)
            until_a_lane_is_open(log)
            print("between", number)
            logging.getLogger("lane").warning("record %d", number)
        digest = log.finish(store)
    found = [text.split(": ")[-1] for _, text in lines(store, digest) if text != "early"]
    assert found == [f"{word} {number}" for number in range(20) for word in ("before", "error", "between", "record")]


def test_what_waits_in_a_lane_is_shown_when_nothing_more_comes(context, tmp_path):
    with buffered(tmp_path / "output"), capture(context) as log:
        until_a_lane_is_open(log)
        print("the last")
        deadline = time.monotonic() + 20
        while has_open_lane(log) or not live_path(context["home"], "r", "s", 0).exists():
            assert time.monotonic() < deadline, "the lane was not emptied"
            time.sleep(0.01)
        assert live_path(context["home"], "r", "s", 0).read_text().endswith("stdout the last\n")


def test_a_flush_shows_what_waits_in_a_lane(context, tmp_path):
    with buffered(tmp_path / "output"), capture(context) as log:
        until_a_lane_is_open(log)
        print("the last", flush=True)
        assert not has_open_lane(log)
        assert (tmp_path / "output").read_text().endswith("the last\n")


def test_a_lane_ends_with_its_step(store, context, tmp_path):
    with buffered(tmp_path / "output"):
        with capture(context) as log:
            until_a_lane_is_open(log)
            write = sys.stdout.write
            digest = log.finish(store)
            print("after it was stored")
        print("after the step")
        write("by an old way\n")
    assert {text for _, text in lines(store, digest)} == {"early"}
    assert (tmp_path / "output").read_text().endswith("after it was stored\nafter the step\nby an old way\n")


def test_a_step_within_a_step_has_its_own_lane(store, context, tmp_path):
    with buffered(tmp_path / "output"), capture(context) as outer:
        until_a_lane_is_open(outer)
        print("outer")
        with capture({**context, "step_name": "inner"}) as inner:
            until_a_lane_is_open(inner)
            print("inner")
            inner_digest = inner.finish(store)
        until_a_lane_is_open(outer)
        print("outer again")
        outer_digest = outer.finish(store)
    assert [text for _, text in lines(store, inner_digest) if text != "early"] == ["inner"]
    assert [text for _, text in lines(store, outer_digest) if text != "early"] == ["outer", "outer again"]


def test_a_forked_child_forgets_its_parents_lane(store, context, tmp_path):
    with buffered(tmp_path / "output"), capture(context) as log:
        until_a_lane_is_open(log)
        print("of the parent")
        child = os.fork()
        if child == 0:
            print("of the child", flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        digest = log.finish(store)
    assert [text for _, text in lines(store, digest) if text != "early"] == ["of the parent"]
    shown = [line for line in (tmp_path / "output").read_text().splitlines() if line != "early"]
    assert sorted(shown) == ["of the child", "of the parent"]


def test_a_signal_handler_that_prints_while_a_lane_is_emptied_loses_nothing(store, context, tmp_path, monkeypatch):
    kept = capturing.Capture.add
    chunks = []

    def add(self: capturing.Capture, source: str, text: str, at: float | None = None) -> bool:
        if len(text) > 1000 and threading.current_thread() is threading.main_thread():
            chunks.append(len(text))
            print("from a handler")
        return kept(self, source, text, at)

    with buffered(tmp_path / "output"), capture(context) as log:
        until_a_lane_is_open(log)
        monkeypatch.setattr(capturing.Capture, "add", add)
        deadline, count = time.monotonic() + 20, 0
        while not chunks or count < 5000:  # a lane may be closed while this thread waits for the processor
            assert time.monotonic() < deadline, "no chunk was kept"
            print(f"line {count}")
            count += 1
        digest = log.finish(store)
    found = "".join(f"{text}\n" for _, text in lines(store, digest) if text != "early")
    assert found.count("from a handler\n") == len(chunks)  # perhaps between a text and its end of line
    assert found.replace("from a handler\n", "") == "".join(f"line {number}\n" for number in range(count))


def test_a_lane_that_another_thread_closes_holds_nothing_back(store, context, tmp_path, monkeypatch):
    kept = capturing.Capture.add
    closed = []

    def add(self: capturing.Capture, source: str, text: str, at: float | None = None) -> bool:
        if len(text) > 1000 and threading.current_thread() is threading.main_thread():
            lane = next(iter(self.lanes))
            lane._lock.release()  # as if this thread came a moment later
            closer = threading.Thread(target=lane.close_lane)
            closer.start()
            closer.join()
            lane._lock.acquire()
            closed.append(len(text))
        return kept(self, source, text, at)

    with buffered(tmp_path / "output"), capture(context) as log:
        until_a_lane_is_open(log)
        monkeypatch.setattr(capturing.Capture, "add", add)
        deadline, count = time.monotonic() + 20, 0
        while len(closed) < 3:
            assert time.monotonic() < deadline, "no chunk was kept"
            print(f"line {count}")
            count += 1
        digest = log.finish(store)
    found = [text for _, text in lines(store, digest) if text != "early"]
    assert found == [f"line {number}" for number in range(count)]


@contextlib.contextmanager
def on_full_disk() -> Iterator[None]:
    """Standard output cannot be written to, as soon as it has gathered some 16 KB."""
    file = Path("/dev/full").open("w")  # noqa: SIM115 (to close it fails, too)
    try:
        with contextlib.redirect_stdout(file):
            yield
    finally:
        with contextlib.suppress(OSError):
            file.close()


def write_through_a_lane(log: capturing.Capture, text: str) -> None:
    """As soon as a lane is open and stays so for long enough."""
    deadline = time.monotonic() + 20
    while True:
        assert time.monotonic() < deadline, "no lane took it"
        with contextlib.suppress(OSError):
            until_a_lane_is_open(log)
            sys.stdout.write(f"{text}\n")
            return


def test_a_stream_that_cannot_be_written_to_neither_loses_lines_nor_ends_the_writing_thread(store, context):
    with on_full_disk(), capture(context) as log:
        write_through_a_lane(log, "x" * 20_000)  # more than the stream holds back, and less than a lane
        path = live_path(context["home"], "r", "s", 0)
        wait_for(path)
        deadline = time.monotonic() + 20
        while has_open_lane(log):
            assert time.monotonic() < deadline, "the writing thread has ended"
            time.sleep(0.01)
        writer = next(thread for thread in threading.enumerate() if thread.name == "tiphys-logs")
        with pytest.raises(OSError, match="No space left"):  # as without a capture
            print("y" * 20_000)
        write_through_a_lane(log, "z" * 20_000)
        digest = log.finish(store)
        assert writer.is_alive()
    texts = [text for _, text in lines(store, digest)]
    assert [text for text in texts if set(text) == {"x"}]
    assert [text for text in texts if set(text) == {"z"}]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_a_stream_has_no_letters_for_is_shown_with_escapes_and_kept_as_it_is(store, context, tmp_path, stream):
    with buffered(tmp_path / "output"):
        with capture(context) as log:
            written = getattr(sys, stream).write("\u00e4 \udc80\n")
            digest = log.finish(store)
        with pytest.raises(UnicodeEncodeError):  # nobody keeps it
            getattr(sys, stream).write("\u00e4\n")
    assert written == 4
    assert (tmp_path / "output").read_text() == "\\xe4 \\udc80\n"
    assert lines(store, digest) == [(stream, "\u00e4 \\udc80")]


def test_lanes_of_threads_that_have_ended_are_given_up(store, context, tmp_path):
    def talk() -> None:
        for _ in range(500):
            print("early")

    with buffered(tmp_path / "output"), capture(context) as log:
        for _ in range(20):
            thread = threading.Thread(target=talk)
            thread.start()
            thread.join()
        until_a_lane_is_open(log)
        deadline = time.monotonic() + 20
        while len(log.lanes) > 1:
            assert time.monotonic() < deadline, "lanes of threads that have ended are kept"
            time.sleep(0.01)
        digest = log.finish(store)
    assert len(lines(store, digest)) >= 20 * 500


def test_a_lane_that_is_given_up_meanwhile_hides_no_other(context):
    log = capture(context)

    class Lane:
        is_open, owner = True, threading.get_ident()

        def close_lane(self) -> None:
            self.is_open = False
            log.lanes.remove(self)  # as the writing thread does with one whose thread has ended

    lanes = [Lane(), Lane(), Lane()]
    log.lanes[:] = lanes
    log.close_lanes()
    assert [lane.is_open for lane in lanes] == [False, False, False]


def test_only_what_is_buffered_anyway_goes_through_a_lane(context, tmp_path, monkeypatch):
    with (tmp_path / "terminal").open("w", buffering=1) as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        with capture(context) as log:
            for number in range(5000):
                print(number)
                assert not has_open_lane(log)
            assert (tmp_path / "terminal").read_text().endswith("4999\n")
