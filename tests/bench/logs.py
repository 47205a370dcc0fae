"""What 50 MB of log cost: `python -m tests.bench.logs [CASE …]`.

A step prints and logs lines of a hundred bytes, now to its log and now to a plain file, in turn and many times (two
runs of one program differ by more than what is measured here); so does a container. Budget: 2 % more than to the file,
where a step works as much as one does that logs so much; the loop that only prints shows what a line costs. Behind ± is
the mean's standard error. Then a server's memory while several clients read such a log in all ways.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.argo import workflow
from tests.bench.server import Desk, desk

LINES = 500_000
#: What a step that logs a megabyte a second does between two lines; microseconds.
WORK = 100
#: The same lines by a program that does nothing else, and that quickly.
SPEAK = f"seq -f 'line %.0f {'x' * 88}' {LINES}"
#: Containers that speak to their log, and to a file.
TURNS = 10
PROGRAM = """
import json, logging, sys, time, zlib
from tiphys import pipeline, step
from tiphys.sdk.logs.capture import _call_handlers

class Plain(logging.Logger):
    callHandlers = _call_handlers  # what it was before logs were kept

def talk(lines, logger, out, block):
    text = "x" * 88
    start = time.perf_counter()
    for number in range(lines):
        if block:
            zlib.crc32(block)
        if logger is None:
            print(f"line {number} {text}", file=out)
        else:
            logger.info("line %d %s", number, text)
    out.flush()
    return time.perf_counter() - start

@step
def speak(how: str, turns: int, lines: int, work: int, target: str) -> None:
    block = bytes(work)
    ours, plain = [None, sys.stdout], [None, open(target + ".plain", "w", buffering=1 if how == "log" else -1)]
    if how == "log":
        logging.basicConfig(level="INFO")
        ours[0], plain[0] = logging.getLogger("talk"), Plain("talk")
        handler = logging.StreamHandler(plain[1])
        handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
        plain[0].parent = Plain("root")  # which has the handler, as with the other
        plain[0].parent.addHandler(handler)
    pairs = []
    for turn in range(turns):
        ways = [plain, ours][:: -1 if turn % 2 else 1]
        pairs.append([talk(lines, *way, block) for way in ways][:: -1 if turn % 2 else 1])
    with open(target, "w") as file:
        json.dump(pairs, file)

if __name__ == "__main__":
    @pipeline(enable_cache=False, runner=sys.argv[1])
    def noisy():
        speak(sys.argv[2], *map(int, sys.argv[3:6]), sys.argv[6])

    assert noisy().status == "completed"
"""


def work_of(microseconds: int) -> int:
    """Bytes whose checksum takes so long here: work in C, as that of most steps."""
    block = bytes(200_000)
    start = time.perf_counter()
    for _ in range(5_000):
        zlib.crc32(block)
    return int(len(block) * 5_000 * microseconds / 1e6 / (time.perf_counter() - start))


def in_turn(folder: Path, runner: str, how: str, turns: int, lines: int, work: int) -> list[tuple[float, float]]:
    """Seconds that each turn of a step took, to a plain file and to its log."""
    script, target = folder / "program.py", folder / "seconds"
    script.write_text(PROGRAM)
    # Unbuffered, the step would write to no file as others do.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    environment |= {"TIPHYS_HOME": str(folder / "home"), "TIPHYS_PROGRESS": "off"}
    command = [sys.executable, str(script), runner, how, *map(str, (turns, lines, work)), str(target)]
    with (folder / "output").open("wb") as output:
        subprocess.run(command, stdout=output, stderr=output, env=environment, check=True)
    return [(plain, ours) for plain, ours in json.loads(target.read_text())]


def compared(pairs: Sequence[tuple[float, float]]) -> str:
    """How much longer the second of each pair is."""
    more = [ours / plain - 1 for plain, ours in pairs]
    return f"{statistics.mean(more):+.2%} ± {statistics.stdev(more) / len(more) ** 0.5:.2%}"


def steps(folder: Path, turns: int, lines: int, how: str, microseconds: int) -> str:
    """A step in this process and in one of its own."""
    work = work_of(microseconds) if microseconds else 0
    shown = []
    for runner in ("inline", "process"):
        pairs = in_turn(folder, runner, how, turns, lines, work)
        plain, ours = (sum(seconds) for seconds in zip(*pairs, strict=True))
        each = (ours - plain) / turns / lines * 1e6
        shown.append(f"{runner} {plain:.1f} s to a file, to the log {compared(pairs)} ({each:+.1f} µs a line)")
    return "; ".join(shown)


def container(folder: Path, flavour: str) -> str:
    """Containers that speak to a file and to their log, and say how many microseconds each took."""
    to_file, to_log = f"{SPEAK} > /tmp/tiphys-bench", SPEAK
    pairs = []
    with desk(folder, f"sqlite:///{folder / 'tiphys.db'}", 0, runner=flavour) as running:
        for turn in range(TURNS):
            ways = [to_file, to_log][:: -1 if turn % 2 else 1]
            # A pause, so that neither waits for what the other left to be done.
            timed = [f"sleep 2; a=$(date +%s%N); {way}; b=$(date +%s%N)" for way in ways]
            first, second = timed
            script = f"{first}; c=$((b - a)); {second}; rm /tmp/tiphys-bench; echo $((c / 1000)) $(((b - a) / 1000))"
            name = finished(running, ["sh", "-c", script])
            took = [int(each) for each in _log(running, name, "logOptions.tailLines=1")[0][-1].split()]
            plain, ours = took[:: -1 if turn % 2 else 1]
            pairs.append((plain, ours))
    once, ours = (statistics.median(times) / 1e6 for times in zip(*pairs, strict=True))
    return f"medians {once:.3f} s to a file, {ours:.3f} s to the log; {compared(pairs)}"


def finished(running: Desk, command: list[str]) -> str:
    """Name of a workflow of one container that has ended."""
    made = running.ask(
        "POST",
        "workflows/bench",
        {"workflow": workflow({"name": "main", "container": {"image": "busybox", "command": command}})},
    )
    name: str = made["metadata"]["name"]
    phase = "Pending"
    while phase in ("Pending", "Running"):
        time.sleep(0.2)
        found = running.ask("GET", f"workflows/bench/{name}", fields="status.phase")
        phase = found["status"].get("phase", "Pending")
    assert phase == "Succeeded", phase
    return name


def _log(running: Desk, name: str, query: str) -> tuple[list[str], int]:
    """The last line's content, and bytes that came."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=300)
    connection.request("GET", f"/api/v1/workflows/bench/{name}/log?{query}")
    last, size = b"", 0
    for line in connection.getresponse():
        last, size = line, size + len(line)
    connection.close()
    return [json.loads(last)["result"]["content"]] if last else [], size


def reading(folder: Path) -> str:
    """A server's memory while four clients at once read 50 MB in each way."""
    with desk(folder, f"sqlite:///{folder / 'tiphys.db'}", 0) as running:
        before = running.memory()
        name = finished(running, ["sh", "-c", SPEAK])
        written = running.memory()
        _log(running, name, "logOptions.tailLines=10")
        sizes, start = [running.memory()], time.perf_counter()
        total = 0
        for query in ("", "logOptions.follow=true", "grep=99999", f"logOptions.tailLines={LINES // 2}"):
            with ThreadPoolExecutor(4) as clients:
                total += sum(clients.map(lambda query: _log(running, name, query)[1], [query] * 4))
            sizes.append(running.memory())
        took = time.perf_counter() - start
    shown = ", ".join(f"{size:.0f}" for size in sizes)
    return (
        f"{before:.0f} MB before, {written:.0f} when it was written; last lines, then whole, followed, grep and tail "
        f"by 4 clients each: {shown} MB ({total / took / 1e6:.0f} MB/s)"
    )


CASES: dict[str, tuple[str, Callable[[Path], str]]] = {
    "print": (f"50 MB printed, {WORK} µs of work a line", lambda folder: steps(folder, 100, 5_000, "print", WORK)),
    "log": (f"50 MB logged, {WORK} µs of work a line", lambda folder: steps(folder, 100, 5_000, "log", WORK)),
    "print-only": ("50 MB printed, nothing else", lambda folder: steps(folder, 10, 50_000, "print", 0)),
    "log-only": ("50 MB logged, nothing else", lambda folder: steps(folder, 10, 50_000, "log", 0)),
    "container": ("50 MB at full speed from a host process", lambda folder: container(folder, "process")),
    "sandbox": ("50 MB at full speed from a sandbox", lambda folder: container(folder, "sandbox")),
    "reading": ("reading 50 MB, server's memory", reading),
}


def main() -> None:
    """Measure what is named, or all."""
    reader = argparse.ArgumentParser(prog="python -m tests.bench.logs")
    reader.add_argument("cases", nargs="*", metavar="CASE", choices=[*CASES, []], help=", ".join(CASES))
    with tempfile.TemporaryDirectory(prefix="tiphys-bench-") as root:
        for name in reader.parse_args().cases or CASES:
            title, measure = CASES[name]
            folder = Path(root, name)
            folder.mkdir()
            print(f"{title:<40} {measure(folder)}", flush=True)


if __name__ == "__main__":
    main()
