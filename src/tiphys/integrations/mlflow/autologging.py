"""MLflow's autologging, for as long as a tracked step runs and for the frameworks that are imported by then.

Not `mlflow.autolog()`: that waits for later imports with a hook whose lock and the interpreter's own import lock are
taken in either order, so that two threads, of which one imports anything, stand still for ever.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from tiphys.integrations.mlflow.library import autologging_utils

#: Framework → MLflow's flavor with an `autolog` for it.
_FRAMEWORKS = {
    "sklearn": "sklearn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "statsmodels": "statsmodels",
    "keras": "keras",
    "tensorflow": "tensorflow",
    "lightning": "pytorch",
    "pytorch_lightning": "pytorch",
    "transformers": "transformers",
}


class Autologging:
    """Counts the steps that want it. The caller sees to it that one thread at a time calls."""

    def __init__(self) -> None:
        self._steps = 0
        #: Flavors that were switched on here: what a user switches on stays his.
        self._ours: set[str] = set()

    def begin(self, *, log_models: bool) -> None:
        """A step starts that wants autologging."""
        self._steps += 1
        is_disabled: Callable[[str], bool] = autologging_utils.autologging_is_disabled
        for framework, flavor in _FRAMEWORKS.items():
            if framework not in sys.modules or flavor in self._ours:
                continue
            if not is_disabled(flavor):
                continue
            import_module(f"mlflow.{flavor}").autolog(log_models=log_models, silent=True)
            self._ours.add(flavor)
        _keep_threads_apart()

    def end(self) -> None:
        """Such a step ended. After the last one nothing is logged by itself any more: it would go into a stray run."""
        self._steps -= 1
        if self._steps:
            return
        for flavor in self._ours:
            import_module(f"mlflow.{flavor}").autolog(disable=True, silent=True)
        self._ours.clear()


class _StackOfThread:
    """A list of its own for each thread, as far as MLflow uses it."""

    def __init__(self) -> None:
        self._local = threading.local()

    @property
    def _items(self) -> list[Any]:
        if not hasattr(self._local, "items"):
            self._local.items = []
        items: list[Any] = self._local.items
        return items

    def append(self, item: Any) -> None:
        """Put on top."""
        self._items.append(item)

    def pop(self) -> Any:
        """Take from the top."""
        return self._items.pop()

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        return self._items[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)


def _keep_threads_apart() -> None:
    """MLflow notes on a stack which `fit` is inside of which, to log the outer one only.

    It has one stack for all threads, so that of two models that are fitted at the same time one would not be logged.
    """
    for session in getattr(autologging_utils, "_training_sessions", ()):
        if isinstance(getattr(session, "_session_stack", None), list):
            session._session_stack = _StackOfThread()  # noqa: SLF001  there is no other way in
