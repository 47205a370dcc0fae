"""Tasks and machines for tests of plans."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.unit.sdk.pods.planning import Cluster, task

from tiphys.integrations.local.pods.plan import Flavour, Machine, Plan, make_plan


def machine(flavour: Flavour, shims: Path) -> Machine:
    (shims / "sh").touch(mode=0o755)
    return Machine(
        home="/home", flavour=flavour, shims=str(shims), objects=Cluster(), bwrap="/usr/bin/bwrap", as_root=True
    )


def planned(flavour: Flavour, shims: Path, body: Mapping[str, Any], **context: Any) -> Plan:
    return make_plan(task(body, **context), machine(flavour, shims))
