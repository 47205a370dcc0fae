"""Filters of jq, carried out by its library in a process of their own.

The library cannot be interrupted and holds up all threads, so a filter without an end would stop everything else; and
a filter may read the environment of its process, which here is empty. (Semantics: argo-workflows v4.1,
workflow/executor/resource.go: jqFilter.)
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

from tiphys.errors import ExpressionError, MissingExtraError
from tiphys.integrations.local.agents.json_text import json_text

#: Seconds that a filter may take.
PATIENCE = 30.0
#: Characters of what a filter may give, as JSON.
LONGEST = 16 * 1024 * 1024

#: Before the filter stands what hides the environment; modules can be imported at the very beginning only.
_PROGRAM = """
import json, sys, jq
filter, value, longest = json.load(sys.stdin)
try:
    for found in jq.compile("def env: {}; {} as $ENV | " + filter).input_value(value):
        line = json.dumps(found)
        longest -= len(line)
        if longest < 0:
            sys.exit("it gives too much")
        print(line)
except ValueError as error:
    sys.exit(str(error))
"""


def apply_filter(filter: str, value: Any, *, seconds: float | None = None) -> str:
    """What a filter gives of a JSON value: strings as they are, all else as JSON, each on a line.

    Args:
        filter: In jq's language.
        value: What it is applied to.
        seconds: How long it may take, if less than 30 s.

    Raises:
        ExpressionError: the filter cannot be read or fails, takes too long, or gives too much.
        MissingExtraError: the library is not installed.
    """
    if importlib.util.find_spec("jq") is None:
        raise MissingExtraError("jq", "jq")
    patience = PATIENCE if seconds is None else max(0.0, min(seconds, PATIENCE))
    try:
        done = subprocess.run(  # noqa: S603  # this interpreter and our own program
            [sys.executable, "-P", "-c", _PROGRAM],
            input=json.dumps([filter, value, LONGEST]),
            env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ExpressionError(f"The jq filter '{filter}' took longer than {patience:g} s.") from None
    if done.returncode:
        told = done.stderr.strip().splitlines()
        raise ExpressionError(f"The jq filter '{filter}' failed: {told[0] if told else done.returncode}")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return "\n".join(each if isinstance(each, str) else json_text(each) for each in found).strip()
