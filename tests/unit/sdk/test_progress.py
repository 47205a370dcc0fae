"""What observers print: lines elsewhere than on a terminal, a moving frame on one."""

from __future__ import annotations

import io
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tiphys._util.ids import new_id
from tiphys.engine.model import Node, NodeType, Phase, Reason
from tiphys.records.runs import ExecutionStatus, Run
from tiphys.sdk import progress_live
from tiphys.sdk.logs.capture import capture
from tiphys.sdk.logs.files import live_path, parse_line
from tiphys.sdk.progress import Board, PlainView, Writer, observer_for, step_line
from tiphys.sdk.progress_live import Lifted, Screen, TerminalView, cut, frame

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def make_run(status: ExecutionStatus = ExecutionStatus.RUNNING, **changes: object) -> Run:
    values: dict[str, object] = {
        "id": new_id(),
        "name": "churn-1",
        "pipeline_name": "churn",
        "workflow_uid": "u",
        "status": status,
        "created_at": NOON,
        "started_at": NOON,
        "finished_at": NOON + timedelta(seconds=3.2) if status.is_finished else None,
    }
    return Run(**{**values, **changes})  # type: ignore[arg-type]


def make_node(name: str, phase: Phase = Phase.RUNNING, type: NodeType = NodeType.PLUGIN, **changes: object) -> Node:
    values: dict[str, object] = {
        "id": f"wf-{name}",
        "name": f"wf.{name}",
        "display_name": name,
        "type": type,
        "phase": phase,
        "template": "t",
        "started_at": 100.0,
        "finished_at": 101.2 if phase.fulfilled else None,
    }
    return Node(**{**values, **changes})  # type: ignore[arg-type]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Utf8(io.StringIO):
    encoding = "utf-8"


def plain_view(total: int, clock: Clock | None = None) -> tuple[PlainView, Utf8, Run]:
    stream, run = Utf8(), make_run()
    return PlainView(Board(run, total), stream, clock=clock or Clock()), stream, run


def test_a_line_for_each_step_that_ended() -> None:
    view, stream, run = plain_view(5)
    view.observe(
        run, [make_node("churn", type=NodeType.DAG), make_node("load-data", Phase.SUCCEEDED, reason=Reason.CACHED)]
    )
    view.observe(run, [make_node("train")])
    view.observe(run, [make_node("train", Phase.SUCCEEDED)])
    view.observe(run, [make_node("check", Phase.FAILED, message="ValueError: no rows\n  more")])
    view.observe(run, [make_node("deploy", Phase.OMITTED), make_node("other", Phase.FAILED, reason=Reason.STOPPED)])
    view.close(make_run(ExecutionStatus.FAILED))
    assert stream.getvalue().splitlines() == [
        "Run churn-1 of pipeline churn",
        "● load_data  cached",
        "✓ train  1.2 s",
        "✗ check  1.2 s  ValueError: no rows",
        "○ deploy  skipped",
        "■ other  stopped  1.2 s",
        "✗ Run churn-1 failed in 3.2 s (5 of 5 steps, 1 cached, 1 failed, 1 stopped, 1 skipped)",
    ]


def test_a_step_is_reported_once_however_often_it_changes() -> None:
    view, stream, run = plain_view(1)
    node = make_node("train", Phase.SUCCEEDED)
    view.observe(run, [node])
    view.observe(run, [node])
    assert stream.getvalue().count("train") == 1


def test_attempts_are_told_and_the_step_counts_once() -> None:
    view, stream, run = plain_view(1)
    retry = make_node("train", type=NodeType.RETRY)
    first = make_node("train(0)", Phase.FAILED, parent_id=retry.id, message="OSError: gone")
    view.observe(run, [retry, first])
    second = make_node("train(1)", Phase.SUCCEEDED, parent_id=retry.id)
    retry.phase, retry.finished_at = Phase.SUCCEEDED, 103.0
    view.observe(run, [second, retry])
    view.close(make_run(ExecutionStatus.COMPLETED))
    assert stream.getvalue().splitlines()[1:] == [
        "↻ train  attempt 1 failed after 1.2 s: OSError: gone",
        "✓ train  3.0 s",
        "✓ Run churn-1 completed in 3.2 s (1 of 1 steps)",
    ]


def test_a_last_attempt_that_failed_is_told_as_the_step() -> None:
    view, stream, run = plain_view(1)
    retry = make_node("train", type=NodeType.RETRY)
    view.observe(run, [retry])
    retry.phase, retry.message, retry.finished_at = Phase.FAILED, "OSError: gone", 101.0
    view.observe(run, [make_node("train(0)", Phase.FAILED, parent_id=retry.id, message="OSError: gone"), retry])
    assert stream.getvalue().splitlines()[1:] == ["✗ train  1.0 s  OSError: gone"]


def test_a_cached_result_behind_a_retry_is_cached() -> None:
    view, stream, run = plain_view(1)
    retry = make_node("train", Phase.SUCCEEDED, type=NodeType.RETRY)
    child = make_node("train(0)", Phase.SUCCEEDED, parent_id=retry.id, reason=Reason.CACHED)
    retry.phase = Phase.RUNNING
    view.observe(run, [retry, child])
    retry.phase = Phase.SUCCEEDED
    view.observe(run, [retry])
    assert stream.getvalue().splitlines()[1:] == ["● train  cached"]


def test_many_steps_are_counted_now_and_then() -> None:
    clock = Clock()
    view, stream, run = plain_view(100, clock)
    for index in range(60):
        clock.now += 0.125
        view.observe(run, [make_node(f"s{index}", Phase.SUCCEEDED)])
    view.observe(run, [make_node("bad", Phase.FAILED, message="KeyError: 'x'")])
    view.observe(run, [make_node("halted", Phase.FAILED, reason=Reason.STOPPED)])
    assert stream.getvalue().splitlines()[1:] == [
        "16 of 100 steps",
        "32 of 100 steps",
        "48 of 100 steps",
        "✗ bad  1.2 s  KeyError: 'x'",
    ]


def test_loops_add_to_the_total_and_end_the_list() -> None:
    view, stream, run = plain_view(2)
    for index in range(80):
        view.observe(run, [make_node(f"work({index}:x-{index})", Phase.SUCCEEDED)])
    view.close(make_run(ExecutionStatus.COMPLETED))
    lines = stream.getvalue().splitlines()
    assert lines[1] == "✓ work(0:x-0)  1.2 s"
    assert len(lines) == 1 + 50 + 1
    assert lines[-1].endswith("(80 of 80 steps)")


def test_names_of_plain_workflows_are_left_as_they_are() -> None:
    board = Board(make_run(pipeline_name=None), 1)
    node = make_node("print-message", Phase.SUCCEEDED)
    board.absorb([node])
    assert step_line(board, node) == "✓ print-message  1.2 s"


def test_streams_without_unicode_get_ascii() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    Writer(stream).write(["✓ a", "✗ b"])
    assert raw.getvalue() == b"+ a\nx b\n"


def test_a_closed_stream_stops_nothing() -> None:
    view, stream, run = plain_view(2)
    stream.close()
    view.observe(run, [make_node("a", Phase.SUCCEEDED)])
    view.observe(run, [make_node("b", Phase.SUCCEEDED)])
    view.close(run)
    assert stream.closed


def test_off_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Utf8()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TIPHYS_PROGRESS", "off")
    observer, close = observer_for(make_run(), 1)
    assert observer is None
    close(make_run(ExecutionStatus.COMPLETED))
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("mode", "moving"), [("plain", False), ("", True)])
def test_the_stream_and_the_environment_choose_the_view(
    monkeypatch: pytest.MonkeyPatch, mode: str, moving: bool
) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TIPHYS_PROGRESS", mode)
    monkeypatch.setenv("TERM", "xterm")
    observer, close = observer_for(make_run(), 1)
    observer(make_run(), [make_node("a", Phase.SUCCEEDED)])
    close(make_run(ExecutionStatus.COMPLETED))
    assert ("\x1b[1mRun churn-1" in stream.getvalue()) is moving
    assert "✓ a  1.2 s" in stream.getvalue()


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.delenv("TIPHYS_PROGRESS", raising=False)
    monkeypatch.setenv("TERM", "dumb")
    _, close = observer_for(make_run(), 1)
    close(make_run(ExecutionStatus.COMPLETED))
    assert "\x1b" not in stream.getvalue()


def test_a_frame_has_a_row_for_each_step() -> None:
    board = Board(make_run(), 4)
    board.absorb([make_node("load", Phase.SUCCEEDED, reason=Reason.CACHED), make_node("prepare", Phase.SUCCEEDED)])
    retry = make_node("train", type=NodeType.RETRY)
    board.absorb([retry, make_node("train(0)", Phase.FAILED, parent_id=retry.id)])
    lines = frame(board, now=NOON.timestamp() + 12, width=80, height=24)
    assert lines[0] == "\x1b[36m  ● load     cached\x1b[0m"
    assert lines[1] == "\x1b[32m  ✓ prepare  1.2 s\x1b[0m"
    assert lines[2][4:].startswith("train    ")
    assert lines[2].endswith("  attempt 2")
    assert lines[3] == "  2 of 4 steps, 1 cached  12 s"


def test_a_frame_of_many_steps_shows_those_at_work() -> None:
    board = Board(make_run(), 500)
    board.absorb([make_node(f"done{index}", Phase.SUCCEEDED) for index in range(100)])
    board.absorb([make_node(f"busy{index}") for index in range(40)])
    lines = frame(board, now=NOON.timestamp(), width=80, height=14)
    assert len(lines) == 12
    assert all("busy" in line for line in lines[:-1])
    assert lines[-1].startswith("  100 of 500 steps, 29 more running")


@pytest.mark.parametrize(
    ("text", "width", "expected"), [("abc", 10, "abc"), ("abcdef", 4, "abc"), ("漢字漢字", 6, "漢字")]
)
def test_cut(text: str, width: int, expected: str) -> None:
    assert cut(text, width) == expected


class Glass:
    """A terminal as a person sees it: the rows that are left of all that was written."""

    def __init__(self, text: str) -> None:
        self.rows = [""]
        self.row = self.column = 0
        self._feed(text)

    def _feed(self, text: str) -> None:
        index = 0
        while index < len(text):
            if text[index] == "\x1b":
                end = index + 2
                while not text[end].isalpha():
                    end += 1
                self._escape(
                    text[end],
                    int(text[index + 2 : end] or 1) if text[index + 2 : end].isdigit() or end == index + 2 else 0,
                )
                index = end
            elif text[index] == "\n":
                self.row, self.column = self.row + 1, 0
                while len(self.rows) <= self.row:
                    self.rows.append("")
            elif text[index] == "\r":
                self.column = 0
            else:
                line = self.rows[self.row].ljust(self.column)
                self.rows[self.row] = line[: self.column] + text[index] + line[self.column + 1 :]
                self.column += 1
            index += 1

    def _escape(self, command: str, number: int) -> None:
        if command == "A":
            self.row -= number
        elif command == "C":
            self.column += number
        elif command == "J":
            self.rows[self.row] = self.rows[self.row][: self.column]
            del self.rows[self.row + 1 :]


def put_on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Called in tests, not as a fixture: pytest's own capture puts the streams back between set-up and call."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr(progress_live, "QUICK", -1.0)
    return stream


def seen(stream: Terminal) -> list[str]:
    return [row.rstrip() for row in Glass(stream.getvalue()).rows if row.rstrip()]


def test_prints_appear_above_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_on_terminal(monkeypatch)
    with Screen() as screen:
        screen.show(["row", "count"])
        print("hello")
        print("world")
        assert seen(terminal) == ["hello", "world", "row", "count"]
    assert seen(terminal) == ["hello", "world"]


def test_a_prompt_keeps_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_on_terminal(monkeypatch)
    with Screen() as screen:
        screen.show(["row"])
        sys.stdout.write("(Pdb) ")
        sys.stdout.flush()
        screen.show(["row"])
        assert seen(terminal) == ["(Pdb)"]
        sys.stdout.write("next\n")
        assert seen(terminal) == ["(Pdb) next", "row"]


def test_a_bar_that_redraws_itself_stays_above_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_on_terminal(monkeypatch)
    with Screen() as screen:
        screen.show(["row"])
        for percent in (10, 50, 100):
            sys.stderr.write(f"\r{percent}%")
            sys.stderr.flush()
            assert seen(terminal) == [f"{percent}%", "row"]
        sys.stderr.write("\n")
    assert seen(terminal) == ["100%"]


def test_whoever_moves_the_cursor_gets_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_on_terminal(monkeypatch)
    with Screen() as screen:
        screen.show(["row"])
        sys.stdout.write("mine\n\x1b[1Aagain\n")
        screen.show(["row"])
    assert seen(terminal) == ["again"]


def test_streams_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_on_terminal(monkeypatch)
    with Screen() as screen:
        assert isinstance(sys.stdout, Lifted)
        screen.show(["row"])
    assert [sys.stdout, sys.stderr] == [terminal, terminal]


def test_a_question_has_the_terminal_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_on_terminal(monkeypatch)

    def ask(prompt: object = "", /) -> str:
        terminal.write(str(prompt))  # as readline does, past the wrappers
        screen.show(["row"])
        assert seen(terminal) == ["before", "name?"]
        terminal.write("bob\n")
        return "bob"

    monkeypatch.setattr("builtins.input", ask)
    with Screen() as screen:
        screen.show(["row"])
        print("before")
        assert input("name? ") == "bob"
        screen.show(["row"])
        assert seen(terminal) == ["before", "name? bob", "row"]
    assert input is ask


def test_lines_of_threads_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_on_terminal(monkeypatch)
    with Screen():
        sys.stdout.write("a")
        thread = threading.Thread(target=print, args=("other", "thread"))
        thread.start()
        thread.join()
        sys.stdout.write("b\n")
        sys.stdout.write("unfinished")
        assert seen(terminal) == ["other thread", "ab"]
    assert seen(terminal) == ["other thread", "ab", "unfinished"]


def test_a_stream_that_is_no_terminal_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_terminal(monkeypatch)
    file = Utf8()
    monkeypatch.setattr("sys.stdout", file)
    with Screen():
        assert sys.stdout is file


def test_a_wrapper_below_others_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_on_terminal(monkeypatch)

    class Above:
        def __init__(self, below: object) -> None:
            self.below = below

        def __getattr__(self, name: str) -> object:
            return getattr(self.below, name)

    with Screen():
        above = Above(sys.stdout)
        monkeypatch.setattr("sys.stdout", above)
    with Screen() as screen:
        assert sys.stdout is above
        screen.show(["row"])
        print("hello")
        assert seen(terminal) == ["hello", "row"]


def test_a_capture_below_keeps_what_the_step_printed_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    terminal = put_on_terminal(monkeypatch)
    with capture({}), Screen():  # from here on routers stand above the terminal
        pass
    with Screen() as screen, capture({"home": str(tmp_path)}):
        screen.show(["row"])
        print("hello")
        screen.show(["row"])
        print("world")
        assert seen(terminal) == ["hello", "world", "row"]
    kept = live_path(tmp_path, "-", "step", 0).read_text().splitlines()
    assert [parse_line(line).text for line in kept] == ["hello", "world"]


def test_a_terminal_view_shows_and_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_on_terminal(monkeypatch)
    monkeypatch.setattr(progress_live, "PATIENCE", 0.0)
    monkeypatch.setattr(progress_live, "FRAME", 0.001)
    drawn = threading.Event()
    original = Screen.show

    def show(self: Screen, lines: list[str]) -> None:
        original(self, lines)
        if any("train" in line for line in lines):
            drawn.set()

    monkeypatch.setattr(Screen, "show", show)
    run = make_run()
    view = TerminalView(Board(run, 2), terminal)
    view.observe(run, [make_node("load", Phase.SUCCEEDED), make_node("train")])
    assert drawn.wait(10)
    print("printed by a step")
    view.observe(run, [make_node("train", Phase.FAILED, message="ValueError: no")])
    view.close(make_run(ExecutionStatus.FAILED))
    assert seen(terminal) == [
        "Run churn-1 of pipeline churn",
        "printed by a step",
        "✓ load   1.2 s",
        "✗ train  1.2 s  ValueError: no",
        "✗ Run churn-1 failed in 3.2 s (2 of 2 steps, 1 failed)",
    ]
