"""Runs the measurements in turn, several times, and prints the table of budgets: ratios of one run on one machine."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

ROUNDS = 3
ROOT = Path(__file__).parents[2]


def process(arguments: Sequence[str]) -> tuple[float, str]:
    """Wall seconds and output of a whole process."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"TIPHYS_PROGRESS": "off", "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1"}
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=ROOT)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return seconds, done.stdout


def case(name: str, folder: Path) -> dict[str, float]:
    """One measurement in a process and a folder of its own; `wall` is the whole process."""
    folder.mkdir()
    wall, output = process(["-m", "tests.bench.work", name, str(folder)])
    found: dict[str, float] = json.loads(output.rpartition("RESULT ")[2])
    return found | {"wall": wall}


CASES = [
    "floor_chain",
    "tiphys_chain",
    "tiphys_long",
    "tiphys_cached",
    "plain_four",
    "tiphys_four",
    "tiphys_fan_1000",
    "tiphys_fan_10000",
    "plain_array",
    "tiphys_array",
    "plain_frame",
    "tiphys_frame",
]


def main() -> None:
    """Measure and print."""
    starts: dict[str, list[float]] = defaultdict(list)
    for _ in range(15):
        starts["pass"].append(process(["-c", "pass"])[0])
        starts["import"].append(process(["-c", "from tiphys import pipeline, step"])[0])
        starts["help"].append(process(["-m", "tiphys", "--help"])[0])
    figures: dict[str, list[dict[str, float]]] = defaultdict(list)
    # Nothing is deleted before the end: ext4 avoids inodes that were freed within the last minutes, and where thousands
    # were, making a file takes ten times as long.
    with tempfile.TemporaryDirectory() as root:
        for number in range(ROUNDS):
            for name in CASES:
                print(f"round {number + 1}/{ROUNDS}: {name} …", end="\r\033[K", file=sys.stderr)
                figures[name].append(case(name, Path(root, f"{name}-{number}")))

    def median(name: str, key: str) -> float:
        return statistics.median(figure[key] for figure in figures[name])

    nothing = statistics.median(starts["pass"])
    rows = [
        ("from tiphys import pipeline, step, beyond `pass`", _ms(starts["import"], nothing), "≤ 60 ms"),
        ("tiphys --help, beyond `pass`", _ms(starts["help"], nothing), "≤ 100 ms"),
    ]
    floor = median("floor_chain", "per_step_ms")
    for name, title, budget in (
        ("tiphys_chain", "step of a 100-step chain", "≤ 0.5 ms, ≤ 2.5 × the floor"),
        ("tiphys_long", "step of a 1,000-step chain", "the same"),
        ("tiphys_cached", "cached step", "≤ 0.2 ms"),
    ):
        cost = median(name, "per_step_ms")
        rows.append((title, f"{cost:.3f} ms = {cost / floor:.2f} × the floor ({floor:.3f} ms)", budget))
    rows.append(
        (
            "four-step scikit-learn pipeline, whole process",
            f"{median('tiphys_four', 'wall') / median('plain_four', 'wall'):.2f} × plain Python "
            f"({median('plain_four', 'wall'):.2f} s)",
            "≤ 1.3 ×",
        )
    )
    rows.append(
        (
            "10,000 steps side by side against 1,000",
            f"{median('tiphys_fan_10000', 'seconds') / median('tiphys_fan_1000', 'seconds'):.1f} × the time "
            f"({median('tiphys_fan_10000', 'seconds'):.1f} s), "
            f"{median('tiphys_fan_10000', 'kb_per_node'):.1f} kB a node",
            "≤ 11 ×, < 25 kB",
        )
    )
    for kind, title, budget in (
        ("array", "200 MB array through two steps", "≤ 1.5 × np.save + np.load"),
        ("frame", "1,000,000 × 10 table through two steps", "≤ 1.5 × parquet's own time"),
    ):
        plain, ours = median(f"plain_{kind}", "seconds"), median(f"tiphys_{kind}", "seconds")
        rows.append((title, f"{ours / plain:.2f} × ({plain:.2f} s)", budget))
    print(f"{'what':<52} {'measured (median of ' + str(ROUNDS) + ')':<52} budget")
    for what, measured, budget in rows:
        print(f"{what:<52} {measured:<52} {budget}")


def _ms(values: list[float], base: float) -> str:
    return f"{(statistics.median(values) - base) * 1e3:.0f} ms"


if __name__ == "__main__":
    main()
