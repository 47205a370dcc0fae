"""What only processes can do: crash, survive their maker, be killed with all that they started."""

from __future__ import annotations

import contextlib
import ctypes
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine.model import Phase, Reason
from tiphys.integrations.local.process import ProcessRunner
from tiphys.integrations.local.task_folder import TaskFolder, process_start
from tiphys.sdk.context import get_step_context
from tiphys.sdk.wire import task_from_json, task_to_json
from tiphys.testing.runner_contract import LONG, Desk, add, result, wait_until
from tiphys.testing.tasks import step_task


@pytest.fixture
def runner(tmp_path) -> Iterator[ProcessRunner]:
    runner = ProcessRunner(tmp_path)
    yield runner
    runner.close()


@pytest.fixture
def desk(runner, tmp_path) -> Desk:
    return Desk(runner, tmp_path)


def is_running(pid: int) -> bool:
    return bool(process_start(pid))


def read_pid(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text().strip())
    return int(path.read_text())


class TestEnds:
    def test_each_step_has_a_process_of_its_own(self, desk):
        def step() -> list[int]:
            return [os.getpid(), os.getsid(0)]

        first, second = (desk.value(desk.run(step)) for _ in range(2))
        assert first[0] == first[1]
        assert len({os.getpid(), first[0], second[0]}) == 3

    def test_a_segmentation_fault_is_an_error_with_the_end_of_the_log(self, desk):
        def step() -> None:
            print("just before")
            ctypes.string_at(0)

        finished = desk.run(step, outputs=())
        assert (finished.phase, finished.retryable) == (Phase.ERROR, True)
        assert "The process of the step 'step' was ended by SIGSEGV" in finished.message
        texts = [text for _, text in desk.log(finished)]
        assert texts[0] == "just before"
        assert any("Segmentation fault" in text for text in texts)
        assert texts[-1] in finished.message

    def test_a_killed_step_is_an_error(self, desk):
        def step() -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        finished = desk.run(step, outputs=())
        assert finished.phase is Phase.ERROR
        assert "ended by SIGKILL" in finished.message
        assert result(finished).exception["type"] == "StepLost"

    @pytest.mark.parametrize("status", [0, 3])
    def test_leaving_by_the_back_door_is_an_error(self, desk, status):
        def step() -> None:
            os._exit(status)

        finished = desk.run(step, outputs=())
        assert finished.phase is Phase.ERROR
        assert f"ended with exit status {status} before the step was done" in finished.message

    def test_a_sigterm_from_outside_stops_the_step(self, desk):
        def step() -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(LONG)

        finished = desk.run(step, outputs=())
        assert (finished.phase, finished.reason) == (Phase.FAILED, Reason.STOPPED)

    def test_what_was_registered_for_the_end_is_done(self, desk, tmp_path):
        note = tmp_path / "note"

        def step() -> None:
            import atexit

            atexit.register(note.touch)
            thread = threading.Thread(target=time.sleep, args=[0.05])
            thread.start()
            atexit.register(lambda: None if not thread.is_alive() else os._exit(9))

        assert desk.run(step, outputs=()).phase is Phase.SUCCEEDED
        assert note.exists()

    def test_a_forgotten_thread_pool_does_not_hang(self, desk):
        def step() -> int:
            from concurrent.futures import ThreadPoolExecutor

            value: int = ThreadPoolExecutor(2).submit(lambda: 5).result()
            return value

        assert desk.value(desk.run(step)) == 5


class TestOutput:
    def test_what_programs_and_libraries_write_is_kept_and_shown(self, desk, capfd):
        def step() -> None:
            os.write(1, b"from a descriptor\n")
            subprocess.run(["sh", "-c", "echo from a program >&2"], check=True)
            sys.stdout.buffer.write(b"from bytes\n")
            sys.stdout.buffer.flush()

        finished = desk.run(step, outputs=())
        assert set(desk.log(finished)) == {
            ("stdout", "from a descriptor"),
            ("stderr", "from a program"),
            ("stdout", "from bytes"),
        }
        shown = capfd.readouterr()
        assert "from a descriptor\n" in shown.out
        assert "from a program\n" in shown.err

    def test_what_the_terminal_has_no_letters_for_is_shown_with_escapes(self, desk, tmp_path, monkeypatch):
        def step() -> None:
            print("before")
            print("\u00e4", file=sys.stderr)
            print("\u00e4", "after")

        with (tmp_path / "shown").open("w", encoding="ascii") as stream, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            finished = desk.run(step, outputs=())
        assert set(desk.log(finished)) == {("stdout", "before"), ("stderr", "\u00e4"), ("stdout", "\u00e4 after")}
        assert (tmp_path / "shown").read_text() == "before\n\\xe4 after\n"

    def test_processes_of_the_step_are_kept(self, desk):
        def step() -> None:
            child = multiprocessing.get_context("fork").Process(target=print, args=["from a fork"])
            child.start()
            child.join()

        assert desk.log(desk.run(step, outputs=())) == [("stdout", "from a fork")]

    def test_long_lines_and_odd_characters_arrive_whole(self, desk, capfd):
        text = "ä€𝄞" * 5000

        def step() -> None:
            print(text)

        desk.run(step, outputs=())
        assert text in capfd.readouterr().out

    def test_a_live_log_can_be_followed(self, desk, tmp_path):
        go = tmp_path / "go"

        def step() -> None:
            print("early")
            wait_until(go.exists)

        task = desk.launch(step, outputs=(), name="slow")
        live = tmp_path / "logs" / task.context["run_id"] / "slow.0.log"
        wait_until(lambda: live.exists() and "early" in live.read_text())
        go.touch()
        assert desk.log(desk.next_report()) == [("stdout", "early")]
        assert not live.exists()


class TestCancelling:
    def test_a_stubborn_step_is_killed(self, desk, runner, tmp_path):
        pid_file = tmp_path / "pid"

        def step() -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            pid_file.write_text(str(os.getpid()))
            while True:
                time.sleep(0.01)

        task = desk.launch(step, outputs=())
        pid = read_pid(pid_file)
        runner.cancel(task.id, 0.1)
        wait_until(lambda: not is_running(pid))
        assert desk.no_more_reports()

    def test_the_log_of_a_killed_step_stays(self, desk, runner, tmp_path):
        pid_file = tmp_path / "pid"

        def step() -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("from Python")
            os.write(1, b"from below\n")
            pid_file.write_text(str(os.getpid()))
            time.sleep(LONG)

        task = desk.launch(step, outputs=(), name="killed", context={"run_id": "r"})
        read_pid(pid_file)
        runner.cancel(task.id, 0)
        live = tmp_path / "logs" / "r" / "killed.0.log"
        wait_until(lambda: "from below" in live.read_text())
        assert "from Python" in live.read_text()

    def test_programs_that_it_started_end_too(self, desk, runner, tmp_path):
        pid_file = tmp_path / "pid"

        def step() -> None:
            program = subprocess.Popen(["sh", "-c", "trap '' TERM; while true; do sleep 0.01; done"])
            pid_file.write_text(str(program.pid))
            program.wait()

        task = desk.launch(step, outputs=())
        pid = read_pid(pid_file)
        runner.cancel(task.id, 20)
        wait_until(lambda: not is_running(pid))

    def test_nothing_is_left_after_closing(self, tmp_path):
        runner = ProcessRunner(tmp_path)
        desk = Desk(runner, tmp_path)
        pids = [tmp_path / f"pid{number}" for number in range(3)]

        def step(path: str) -> None:
            Path(path).write_text(f"{os.getpid()}")
            time.sleep(LONG)

        for path in pids:
            desk.launch(step, parameters={"path": str(path)}, outputs=())
        running = [read_pid(path) for path in pids]
        runner.close()
        assert not [pid for pid in running if is_running(pid)]
        assert [path.name for path in (tmp_path / "tasks").iterdir()] == ["forkserver.log"]
        assert desk.no_more_reports()


class TestSurroundings:
    def test_settings_lead_to_the_runs_home(self, desk, monkeypatch, tmp_path):
        def step() -> list[str | None]:
            return [os.environ.get("TIPHYS_HOME"), os.environ.get("TIPHYS_DB_URL")]

        monkeypatch.setenv("TIPHYS_HOME", "/elsewhere")
        assert desk.value(desk.run(step, context={"db_url": "sqlite:///x"})) == [str(tmp_path), "sqlite:///x"]

    def test_hooks_travel_too(self, desk, tmp_path):
        from tiphys.sdk.registry import remember

        note = tmp_path / "note"

        def hook() -> None:
            note.write_text(get_step_context().step_name)

        remember("__main__:hook", "", hook)
        desk.run(add, parameters={"a": 1}, name="hooked", body={"hooks": {"on_success": "__main__:hook"}})
        assert note.read_text() == "hooked"

    def test_what_cannot_be_pickled_is_an_error_that_says_so(self, desk):
        lock = threading.Lock()

        def step() -> None:
            lock.acquire()

        finished = desk.run(step, outputs=())
        assert finished.phase is Phase.ERROR
        assert "'step' cannot be handed to a process of its own" in finished.message

    def test_a_lost_forkserver_is_replaced(self, desk, runner, tmp_path):
        go = tmp_path / "go"

        def wait() -> int:
            wait_until(go.exists)
            return os.getppid()

        desk.launch(wait)
        wait_until(lambda: list((tmp_path / "tasks").glob("*/claim.json")))
        server = _parent_of(_claimed_pid(tmp_path))
        os.kill(server, signal.SIGKILL)
        wait_until(lambda: not is_running(server))
        go.touch()
        assert desk.value(desk.next_report()) != server
        assert desk.value(desk.run(add, parameters={"a": 1})) == 2


def _claimed_pid(home: Path) -> int:
    (claim,) = (home / "tasks").glob("*/claim.json")
    return int(json.loads(claim.read_text())["pid"])


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class TestOutliving:
    """The process that asked for a task dies; the task goes on and is taken up by the next one."""

    ENGINE = """
        import json, sys, time
        from pathlib import Path
        from tiphys.integrations.local.process import ProcessRunner
        from tiphys.sdk.wire import task_from_json
        home, tasks = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
        runner = ProcessRunner(home)
        for task in tasks:
            runner.launch(task_from_json(task), print)
        time.sleep(3600)
    """

    STEPS = """
        import os, time
        from pathlib import Path

        def slow(folder: str) -> int:
            with open(folder + "/noted", "a") as file:
                file.write("x")
            print("alive", flush=True)
            while not os.path.exists(folder + "/go"):
                time.sleep(0.005)
            print("still alive after its maker", flush=True)
            return 7

        def crash(folder: str) -> int:
            while not os.path.exists(folder + "/go"):
                time.sleep(0.005)
            os.abort()
    """

    @pytest.fixture
    def engine(self, tmp_path):
        steps = tmp_path / "code"
        steps.mkdir()
        (steps / "steps_of_this_test.py").write_text(textwrap.dedent(self.STEPS))
        processes = []

        def engine(*tasks: Any) -> subprocess.Popen[bytes]:
            file = tmp_path / f"tasks{len(processes)}.json"
            file.write_text(json.dumps([task_to_json(task) for task in tasks]))
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(steps), *filter(None, sys.path)])}
            code = textwrap.dedent(self.ENGINE)
            process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(file)], env=environment)
            processes.append(process)
            return process

        yield engine
        for process in processes:
            process.kill()
            process.wait()

    def task(self, name: str, tmp_path: Path):
        task = step_task(add, home=tmp_path, name=name, parameters={"folder": str(tmp_path)})
        return task_from_json({**task_to_json(task), "body": {**task.body, "source": f"steps_of_this_test:{name}"}})

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()

    def test_a_running_task_is_taken_up(self, engine, desk, runner, tmp_path):
        task = self.task("slow", tmp_path)
        process = engine(task)
        wait_until((tmp_path / "noted").exists)
        self.kill(process)
        assert runner.reattach([task], desk.reports.put) == {task.id}
        assert desk.no_more_reports()
        (tmp_path / "go").touch()
        finished = desk.next_report()
        assert desk.value(finished) == 7
        assert [text for _, text in desk.log(finished)] == ["alive", "still alive after its maker"]
        assert (tmp_path / "noted").read_text() == "x"

    def test_an_ended_task_is_taken_up(self, engine, desk, runner, tmp_path):
        task = self.task("slow", tmp_path)
        process = engine(task)
        wait_until((tmp_path / "noted").exists)
        self.kill(process)
        (tmp_path / "go").touch()
        wait_until(lambda: TaskFolder(tmp_path, task.id).result())
        assert runner.reattach([task], desk.reports.put) == {task.id}
        assert desk.value(desk.next_report()) == 7

    def test_a_launch_finds_the_running_task_too(self, engine, desk, runner, tmp_path):
        task = self.task("slow", tmp_path)
        process = engine(task)
        wait_until((tmp_path / "noted").exists)
        self.kill(process)
        runner.launch(task, desk.reports.put)
        (tmp_path / "go").touch()
        assert desk.value(desk.next_report()) == 7
        assert (tmp_path / "noted").read_text() == "x"

    def test_a_crash_in_between_is_told(self, engine, desk, runner, tmp_path):
        task = self.task("crash", tmp_path)
        process = engine(task)
        wait_until(lambda: TaskFolder(tmp_path, task.id).claimed_by())
        self.kill(process)
        (tmp_path / "go").touch()
        wait_until(lambda: TaskFolder(tmp_path, task.id).exit_status())
        assert runner.reattach([task], desk.reports.put) == {task.id}
        assert "ended by SIGABRT" in desk.next_report().message

    def test_a_task_that_was_taken_up_can_be_cancelled(self, engine, desk, runner, tmp_path):
        task = self.task("slow", tmp_path)
        process = engine(task)
        wait_until((tmp_path / "noted").exists)
        claim = TaskFolder(tmp_path, task.id).claimed_by()
        self.kill(process)
        runner.reattach([task], desk.reports.put)
        runner.cancel(task.id, 10)
        wait_until(lambda: not is_running(claim.pid))
        assert desk.no_more_reports()

    def test_closing_ends_what_was_taken_up(self, engine, tmp_path):
        task = self.task("slow", tmp_path)
        process = engine(task)
        wait_until((tmp_path / "noted").exists)
        claim = TaskFolder(tmp_path, task.id).claimed_by()
        self.kill(process)
        runner = ProcessRunner(tmp_path)
        runner.reattach([task], print)
        runner.close()
        wait_until(lambda: not is_running(claim.pid))

    def test_two_processes_carry_a_task_out_once(self, engine, tmp_path):
        task = self.task("slow", tmp_path)
        engine(task)
        engine(task)
        wait_until((tmp_path / "noted").exists)
        (tmp_path / "go").touch()
        wait_until(lambda: TaskFolder(tmp_path, task.id).result())
        assert (tmp_path / "noted").read_text() == "x"

    def test_a_task_whose_processes_are_all_gone_is_carried_out_anew(self, engine, desk, runner, tmp_path):
        task = self.task("slow", tmp_path)
        process = engine(task)
        wait_until((tmp_path / "noted").exists)
        claim = TaskFolder(tmp_path, task.id).claimed_by()
        server = _parent_of(claim.pid)
        os.kill(server, signal.SIGKILL)
        self.kill(process)
        with contextlib.suppress(ProcessLookupError):
            os.kill(claim.pid, signal.SIGKILL)
        wait_until(lambda: not is_running(claim.pid))
        assert runner.reattach([task], desk.reports.put) == set()
        sys.path.insert(0, str(tmp_path / "code"))
        try:
            runner.launch(task, desk.reports.put)
            (tmp_path / "go").touch()
            assert desk.value(desk.next_report()) == 7
        finally:
            sys.path.remove(str(tmp_path / "code"))
        assert (tmp_path / "noted").read_text() == "xx"


SCRIPT = """
    import queue, sys
    from dataclasses import dataclass
    from pathlib import Path
    from tiphys.integrations.local.process import ProcessRunner
    from tiphys.ports.materializer import BaseMaterializer
    from tiphys.testing.tasks import step_task

    print("the script runs")
    home = Path(sys.argv[1])

    @dataclass
    class Point:
        x: int

    class Odd:
        def __init__(self, text): self.text = text

    class OddMaterializer(BaseMaterializer):
        ASSOCIATED_TYPES = (Odd,)
        def save(self, data): (self.folder / "odd.txt").write_text(data.text)
        def load(self, data_type): return Odd((self.folder / "odd.txt").read_text())

    def make() -> Point:
        return Point(3)

    def use(point):
        assert type(point).__name__ == "Point", type(point)
        return point.x + 1

    def make_odd():
        return Odd("odd")

    def use_odd(odd):
        return odd.text.upper()

    runner, reports = ProcessRunner(home), queue.SimpleQueue()

    def run(function, **inputs):
        artifacts = {name: end.outputs.artifacts["output"] for name, end in inputs.items()}
        runner.launch(step_task(function, home=home, artifacts=artifacts), reports.put)
        end = reports.get(timeout=60)
        assert end.phase == "Succeeded", end.message
        return end

    print(run(use, point=run(make)).outputs.artifacts["output"]["data_type"])
    odd = run(make_odd)
    print(odd.outputs.artifacts["output"]["materializer"])
    run(use_odd, odd=odd)
    runner.close()
    print("done")
"""


def test_a_script_without_a_guard_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "home")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["the script runs", "builtins.int", "__main__:OddMaterializer", "done"]


def test_a_report_survives_the_way_through_json(tmp_path):
    from tiphys.sdk.runtime import run_task
    from tiphys.sdk.wire import finished_from_text, finished_to_text

    def step() -> int:
        print("x")
        get_step_context().log_run_metadata({"a": 1})
        return 1

    def broken() -> None:
        raise ValueError

    for function, outputs in ((step, ("output",)), (broken, ())):
        finished = run_task(step_task(function, home=tmp_path, outputs=outputs))
        back = finished_from_text(finished_to_text(finished))
        assert (back, back.details) == (finished, finished.details)


def test_a_task_survives_the_way_through_json(tmp_path):
    task = step_task(add, home=tmp_path, parameters={"a": 1}, deadline=5.0, last_attempt=False)
    assert task_from_json(json.loads(json.dumps(task_to_json(task)))) == task
