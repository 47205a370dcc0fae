"""The work that is measured, with and without Tiphys. Run as `python -m tests.bench.work CASE DIR`; prints JSON."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import pickle
import resource
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any


def timed(function: Callable[..., Any], *arguments: Any) -> float:
    """Seconds that a call takes; what earlier calls left to the garbage collector is not counted."""
    gc.collect()
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def slope(run: Callable[[int], Any], small: int, large: int) -> dict[str, float]:
    """Milliseconds of one more step, between a small and a large number of steps."""
    run(2)
    first, second = timed(run, small), timed(run, large)
    return {"per_step_ms": (second - first) / (large - small) * 1e3}


# The work itself --------------------------------------------------------------------------------------------------


def load_data() -> Any:
    """A table of 10,000 rows and 20 columns."""
    import numpy as np
    import pandas as pd
    from sklearn.datasets import make_classification

    x, y = make_classification(n_samples=10_000, n_features=20, random_state=0)
    frame = pd.DataFrame(x, columns=[f"f{i}" for i in range(x.shape[1])])
    frame["target"] = y.astype(np.int64)
    return frame


def train_model(frame: Any) -> Any:
    """A small forest."""
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(n_estimators=10, random_state=0, n_jobs=1)
    return model.fit(frame.drop(columns=["target"]), frame["target"])


def evaluate_model(model: Any, frame: Any) -> float:
    """Accuracy."""
    return float(model.score(frame.drop(columns=["target"]), frame["target"]))


def big_array() -> Any:
    """200 MB of float64."""
    import numpy as np

    return np.random.default_rng(0).random(25_000_000)


def big_frame() -> Any:
    """1,000,000 rows of ten columns of mixed types."""
    import numpy as np
    import pandas as pd

    n, r = 1_000_000, np.random.default_rng(0)
    words = np.array([f"word-{i:05d}" for i in range(20_000)], dtype=object)
    return pd.DataFrame(
        {
            "i64": r.integers(0, 1 << 40, n),
            "i32": r.integers(0, 1 << 20, n).astype(np.int32),
            "f64": r.random(n),
            "f64b": r.standard_normal(n),
            "f32": r.random(n).astype(np.float32),
            "flag": r.random(n) > 0.5,
            "word": words[r.integers(0, len(words), n)],
            "word2": words[r.integers(0, 500, n)],
            "when": np.datetime64("2024-01-01", "ns") + r.integers(0, 10**9, n).astype("timedelta64[s]"),
            "cat": pd.Categorical.from_codes(r.integers(0, 4, n), categories=["a", "b", "c", "d"]),
        }
    )


# Without Tiphys ---------------------------------------------------------------------------------------------------


class Floor:
    """The least that a tracker can do: each result pickled to a file, hashed, and four rows committed to SQLite.

    A row says what, of which run, under which key, in which state, where, from when to when.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = sqlite3.connect(folder / "floor.db", isolation_level=None)
        self.db.execute("pragma journal_mode=wal")
        self.db.execute("pragma synchronous=normal")
        for table in ("step", "artifact", "edge"):
            self.db.execute(
                f"create table if not exists {table}(id text primary key, run text, name text, key text, status text, "
                "uri text, started real, finished real)"
            )
        self.db.execute("create index if not exists k on step(key, status)")
        self.run = str(uuid.uuid4())

    def insert(self, table: str, **values: Any) -> str:
        """Add a row; returns its id."""
        row = {"id": str(uuid.uuid4()), "run": self.run} | values
        columns = ("id", "run", "name", "key", "status", "uri", "started", "finished")
        self.db.execute(f"insert into {table} values(?,?,?,?,?,?,?,?)", [row.get(column) for column in columns])
        return str(row["id"])

    def step(self, function: Callable[..., Any], *inputs: Any) -> Path:
        """Call and write down."""
        values = [pickle.loads(item.read_bytes()) if isinstance(item, Path) else item for item in inputs]
        key = hashlib.sha256(repr((function.__name__, inputs)).encode()).hexdigest()
        self.db.execute("select id from step where key=? and status='done'", (key,)).fetchone()
        step = self.insert("step", name=function.__name__, key=key, status="running", started=time.time())
        path = self.folder / f"{uuid.uuid4()}.pkl"
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            pickle.dump(function(*values), file, protocol=5)
        temporary.rename(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.db.execute("begin")
        self.insert("artifact", name="o", key=digest, uri=str(path))
        self.insert("edge", name=step)
        self.db.execute("update step set status='done', finished=? where id=?", (time.time(), step))
        self.db.execute("commit")
        return path


def floor_chain(folder: Path) -> dict[str, float]:
    """A chain of trivial steps, by hand."""
    floor = Floor(folder)

    def run(n: int) -> None:
        x: Any = 0
        for _ in range(n):
            x = floor.step(lambda value: value + 1, x)

    return slope(run, 10, 100)


def plain_four(folder: Path) -> dict[str, float]:
    """The four-step pipeline as plain calls."""
    frame = load_data()
    assert evaluate_model(train_model(frame), frame) > 0.9
    return {}


def plain_array(folder: Path) -> dict[str, float]:
    """np.save and np.load of the array, then its use."""
    import numpy as np

    array = big_array()

    def work() -> None:
        np.save(folder / "a.npy", array)
        float(np.load(folder / "a.npy")[::1000].sum())

    return {"seconds": timed(work)}


def plain_frame(folder: Path) -> dict[str, float]:
    """Parquet's own time for the table."""
    import pandas as pd

    frame = big_frame()

    def work() -> None:
        frame.to_parquet(folder / "f.parquet")
        float(pd.read_parquet(folder / "f.parquet")["f64"].sum())

    return {"seconds": timed(work)}


# With Tiphys ------------------------------------------------------------------------------------------------------


def chain(folder: Path, *, cache: bool = False) -> Callable[[int], Any]:
    """Runs a chain of n trivial steps, in a process that has loaded what those of real pipelines have.

    It matters to the garbage collector: in a small heap one full collection (13 ms) falls into the first hundred steps.
    """
    import numpy  # noqa: F401
    import pandas  # noqa: F401

    from tiphys import pipeline, step

    @step
    def inc(x: int) -> int:
        return x + 1

    def run(n: int) -> Any:
        @pipeline(name=f"chain{n}", enable_cache=cache)
        def body() -> None:
            x: Any = 0
            for _ in range(n):
                x = inc(x)

        result = body()
        assert result.status == "completed"
        return result

    return run


def tiphys_chain(folder: Path) -> dict[str, float]:
    """100 steps against 10."""
    return slope(chain(folder), 10, 100)


def tiphys_long(folder: Path) -> dict[str, float]:
    """1,000 steps against 100."""
    return slope(chain(folder), 100, 1000)


def tiphys_cached(folder: Path) -> dict[str, float]:
    """The same chains again, all cached."""
    run = chain(folder, cache=True)
    for n in (2, 100, 1000):
        run(n)
    return slope(run, 100, 1000)


def tiphys_four(folder: Path) -> dict[str, float]:
    """The four-step pipeline."""
    import pandas as pd

    from tiphys import pipeline, step

    @step
    def load() -> pd.DataFrame:
        return load_data()

    @step
    def train(frame: pd.DataFrame) -> Any:
        return train_model(frame)

    @step
    def evaluate(model: Any, frame: pd.DataFrame) -> float:
        return evaluate_model(model, frame)

    @step
    def check(score: float) -> bool:
        return score > 0.9

    @pipeline(enable_cache=False)
    def four() -> None:
        frame = load()
        check(evaluate(train(frame), frame))

    assert four().status == "completed"
    return {}


def fan(folder: Path, n: int) -> dict[str, float]:
    """N independent steps and one that takes all their results: time, and memory per step."""
    from tiphys import pipeline, step

    @step
    def inc(x: int) -> int:
        return x + 1

    @step
    def total(xs: list[int]) -> int:
        return sum(xs)

    def run(count: int) -> None:
        @pipeline(name=f"fan{count}", enable_cache=False)
        def body() -> None:
            total([inc(i) for i in range(count)])

        assert body().status == "completed"

    run(3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = timed(run, n)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"seconds": seconds, "kb_per_node": grown / n}


def tiphys_fan_1000(folder: Path) -> dict[str, float]:
    """1,000 steps side by side."""
    return fan(folder, 1_000)


def tiphys_fan_10000(folder: Path) -> dict[str, float]:
    """10,000 steps side by side."""
    return fan(folder, 10_000)


def through_two_steps(value: Any, use: Callable[[Any], float], annotation: Any) -> dict[str, float]:
    """A value made by one step and used by another; the time of making it is not counted."""
    from tiphys import pipeline, step

    def make() -> Any:
        return value

    def take(data: Any) -> float:
        return use(data)

    make.__annotations__["return"] = annotation
    take.__annotations__["data"] = annotation

    @pipeline(enable_cache=False)
    def both() -> None:
        step(take)(step(make)())

    chain(Path())(2)
    return {"seconds": timed(both)}


def tiphys_array(folder: Path) -> dict[str, float]:
    """The array through two steps."""
    import numpy as np

    return through_two_steps(big_array(), lambda a: float(a[::1000].sum()), np.ndarray)


def tiphys_frame(folder: Path) -> dict[str, float]:
    """The table through two steps."""
    import pandas as pd

    return through_two_steps(big_frame(), lambda f: float(f["f64"].sum()), pd.DataFrame)


if __name__ == "__main__":
    case, place = sys.argv[1], Path(sys.argv[2])
    os.environ["TIPHYS_HOME"] = str(place / "home")
    print("RESULT " + json.dumps(globals()[case](place)))
