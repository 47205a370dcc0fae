"""What 50 MB of log cost: `python -m tests.bench.logs [CASE …]`.

The same program writes 500,000 lines of a hundred bytes to a file, as a step in this process, as a step in one of its
own and as a container, plainly and with some work between two lines. Budget: 2 % more than with its output redirected
to a file, where it works as much as a step that logs so much does; the loop that only prints shows what a line costs.
(Runs of one program differ by more than that, so it is medians that are compared.)
Then a server's memory while several clients read such a log in all ways.
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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.argo import workflow
from tests.bench.server import Desk, desk

LINES = 500_000
ROUNDS = 5
#: What a step that logs a megabyte a second does between two lines; microseconds.
WORK = 100
#: The same lines by a program that does nothing else, and that quickly.
SPEAK = f"seq -f 'line %.0f {'x' * 88}' {LINES}"
#: The program. Its time is its own: without the start of the interpreter and of the run.
PROGRAM = """
import logging, sys, time, zlib

def talk(lines, how, work):
    text = "x" * 88
    logger = logging.getLogger("talk")
    start = time.perf_counter()
    block = bytes(work)
    for number in range(lines):
        if work:
            zlib.crc32(block)
        if how == "log":
            logger.info("line %d %s", number, text)
        else:
            print(f"line {number} {text}")
    sys.stdout.flush()
    return time.perf_counter() - start
"""
PLAIN = (
    PROGRAM
    + """
if sys.argv[2] == "log":
    logging.basicConfig(level="INFO")
seconds = talk(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
open(sys.argv[4], "w").write(str(seconds))
"""
)
STEP = (
    PROGRAM
    + """
from tiphys import pipeline, step

@step
def speak(lines: int, how: str, work: int, target: str) -> None:
    if how == "log":
        logging.basicConfig(level="INFO")
    seconds = talk(lines, how, work)
    open(target, "w").write(str(seconds))

if __name__ == "__main__":
    @pipeline(enable_cache=False, runner=sys.argv[5])
    def noisy():
        speak(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])

    assert noisy().status == "completed"
"""
)


def seconds_of(folder: Path, program: str, *arguments: str) -> float:
    """Seconds that the loop of a program took, with its output in a file."""
    script, target = folder / "program.py", folder / "seconds"
    script.write_text(program)
    first, rest = arguments[:3], arguments[3:]
    # Unbuffered, the program by itself would be slower than most that log so much.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    environment |= {"TIPHYS_HOME": str(folder / "home"), "TIPHYS_PROGRESS": "off"}
    with (folder / "output").open("wb") as output:
        command = [sys.executable, str(script), *first, str(target), *rest]
        subprocess.run(command, stdout=output, stderr=output, env=environment, check=True)
    return float(target.read_text())


def work_of(microseconds: int) -> int:
    """Bytes whose checksum takes so long here: work in C, as that of most steps."""
    block = bytes(200_000)
    start = time.perf_counter()
    for _ in range(5_000):
        zlib.crc32(block)
    return int(len(block) * 5_000 * microseconds / 1e6 / (time.perf_counter() - start))


def steps(folder: Path, lines: int, how: str, microseconds: int) -> str:
    """A step in this process and in one of its own, against the program by itself; in turn, the medians."""
    work = work_of(microseconds)
    found: dict[str, list[float]] = {"plain": [], "inline": [], "process": []}
    arguments = (str(lines), how, str(work))
    for _ in range(ROUNDS):
        found["plain"].append(seconds_of(folder, PLAIN, *arguments))
        for runner in ("inline", "process"):
            found[runner].append(seconds_of(folder, STEP, *arguments, runner))
    plain, inline, process = (statistics.median(times) for times in found.values())

    def against(seconds: float) -> str:
        return f"{seconds / plain - 1:+.1%} ({(seconds - plain) / lines * 1e6:+.1f} µs a line)"

    return f"{plain:.1f} s by itself; inline {against(inline)}, process {against(process)}"


def container(folder: Path, flavour: str) -> str:
    """A container against the same command with its output in a file; it ends with the microseconds that it took."""
    command = ["sh", "-c", f"began=$(date +%s%N); {SPEAK}; echo $(( ($(date +%s%N) - began) / 1000 ))"]
    plain, inside = [], []
    with desk(folder, f"sqlite:///{folder / 'tiphys.db'}", 0, runner=flavour) as running:
        for _ in range(ROUNDS):
            with (folder / "plain").open("wb") as output:
                subprocess.run(command, stdout=output, check=True)
            plain.append(int((folder / "plain").read_bytes().split()[-1]))
            name = finished(running, command)
            inside.append(int(_log(running, name, "logOptions.tailLines=1")[0][-1]))
    once, ours = statistics.median(plain), statistics.median(inside)
    return f"{once / 1e6:.2f} s by itself; as a container {ours / once - 1:+.1%}"


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
    "print": (f"10 MB printed, {WORK} µs of work a line", lambda folder: steps(folder, LINES // 5, "print", WORK)),
    "log": (f"10 MB logged, {WORK} µs of work a line", lambda folder: steps(folder, LINES // 5, "log", WORK)),
    "print-only": ("50 MB printed, nothing else", lambda folder: steps(folder, LINES, "print", 0)),
    "log-only": ("50 MB logged, nothing else", lambda folder: steps(folder, LINES, "log", 0)),
    "container": ("50 MB from a host process", lambda folder: container(folder, "process")),
    "sandbox": ("50 MB from a sandbox", lambda folder: container(folder, "sandbox")),
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
