"""Tasks and machines for tests of plans."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiphys.engine.model import Values
from tiphys.integrations.local.pods.objects import NoObjects
from tiphys.integrations.local.pods.plan import Flavour, Machine, Plan, make_plan
from tiphys.ports.runner import Task


def task(body: Mapping[str, Any], **context: Any) -> Task:
    return Task(
        id="u/wf-1/0",
        workflow_uid="u",
        node_id="wf-1",
        name="step",
        attempt=0,
        body={"name": "t", **body},
        inputs=Values(),
        context=context,
    )


def machine(flavour: Flavour, shims: Path) -> Machine:
    (shims / "sh").touch(mode=0o755)
    return Machine(
        home="/home", flavour=flavour, shims=str(shims), objects=NoObjects(), bwrap="/usr/bin/bwrap", as_root=True
    )


def planned(flavour: Flavour, shims: Path, body: Mapping[str, Any], **context: Any) -> Plan:
    return make_plan(task(body, **context), machine(flavour, shims))
