"""Runs Argo's examples on this machine and prints what each came to: `make conformance`.

python -m tests.conformance [--runner sandbox] [--timeout 120] [--at-once 4] [NAME …]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.conformance.suite import Case, cases, stored
from tiphys.bootstrap import make_backend, read_settings
from tiphys.errors import TiphysError
from tiphys.ports.backend import Backend
from tiphys.ports.workflows import SubmitOptions


@dataclass(frozen=True, slots=True)
class Result:
    """What a case came to."""

    case: Case
    got: str
    message: str
    seconds: float

    @property
    def verdict(self) -> str:
        """Compared with what was expected."""
        if not self.case.expected:
            return "–"
        if self.got == self.case.expected:
            return "ok"
        return "needs" if self.case.needs else "DIFFERS"


def _note(result: Result) -> str:
    """The first line of its message, after what it needs."""
    message = result.message.splitlines()[0][:150] if result.message else ""
    return f"{result.case.needs}: {message}" if result.verdict == "needs" else message


def carry_out(backend: Backend, case: Case, *, runner: str, timeout: float) -> Result:
    """Submit a case and wait for its end."""
    start = time.monotonic()
    try:
        options = SubmitOptions(runner=runner, strict=False)
        name = backend.workflows.submit(case.manifest, options)["metadata"]["name"]
    except TiphysError as error:
        return Result(case, "Refused", str(error).splitlines()[0], time.monotonic() - start)
    while True:
        found = backend.workflows.get(name)["status"]
        phase, passed = found.get("phase"), time.monotonic() - start
        if phase in ("Succeeded", "Failed", "Error"):
            return Result(case, phase, "" if phase == "Succeeded" else _problem(found), passed)
        nodes = (found.get("nodes") or {}).values()
        open_ones = {node["type"] for node in nodes if node.get("phase") in ("Running", "Pending")}
        if "Suspend" in open_ones and case.expected == "Suspended":
            backend.workflows.terminate(name)
            return Result(case, "Suspended", "", passed)
        if passed > timeout:
            running = [node["displayName"] for node in nodes if node.get("phase") in ("Running", "Pending")]
            backend.workflows.terminate(name)
            return Result(case, "TooLong", f"running: {', '.join(running)[:100]}", passed)
        time.sleep(0.1)


def _problem(status: dict[str, Any]) -> str:
    """What a failed leaf says, or the workflow."""
    nodes = [node for node in (status.get("nodes") or {}).values() if node.get("phase") in ("Failed", "Error")]
    told = [node["message"] for node in nodes if node.get("message") and node["type"] in ("Pod", "HTTP", "Plugin")]
    return told[0] if told else status.get("message") or ""


def main() -> int:
    """Run and print; the exit code says whether all is as expected."""
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the files' names; all if none")
    parser.add_argument("--runner", default="sandbox")
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--upstream", action="store_true", help="only what upstream's tests expect to succeed")
    given = parser.parse_args()
    wanted = [
        case
        for case in cases()
        if (not given.names or any(name in case.file for name in given.names)) and (case.upstream or not given.upstream)
    ]
    with tempfile.TemporaryDirectory(prefix="tiphys-conformance-") as home:
        os.environ["TIPHYS_HOME"] = home
        backend = make_backend(read_settings())
        for document in stored():
            backend.objects.apply(document)
        done, lock = [0], threading.Lock()

        def run(case: Case) -> Result:
            result = carry_out(backend, case, runner=given.runner, timeout=given.timeout)
            with lock:
                done[0] += 1
                print(f"{done[0]}/{len(wanted)} {case.file} …", end="\r\033[K", file=sys.stderr)
            return result

        with ThreadPoolExecutor(given.at_once) as pool:
            results = list(pool.map(run, wanted))
        backend.close()
    print(f"{'file':<58} {'expected':<10} {'got':<10} {'seconds':>7}  {'runner':<8} {'':<8} message")
    for result in results:
        case = result.case
        print(
            f"{case.file:<58} {case.expected or '–':<10} {result.got:<10} {result.seconds:7.1f}  "
            f"{given.runner:<8} {result.verdict:<8} {_note(result)}"
        )
    upstream = [result for result in results if result.case.upstream]
    counts = Counter(result.got for result in upstream)
    print(
        f"upstream's: {len(upstream)}, of which " + ", ".join(f"{got} {count}" for got, count in counts.most_common())
    )
    missing = [f"{result.case.file} ({result.case.needs})" for result in upstream if result.verdict == "needs"]
    if missing:
        print("need what is not here: " + ", ".join(missing))
    others = Counter(result.verdict for result in results if not result.case.upstream)
    print("others: " + ", ".join(f"{verdict} {count}" for verdict, count in others.most_common()))
    return int(any(result.verdict == "DIFFERS" for result in results))


if __name__ == "__main__":
    sys.exit(main())
