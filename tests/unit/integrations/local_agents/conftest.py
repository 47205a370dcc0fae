from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.integrations.local_agents.agency import Agency


@pytest.fixture
def agency(tmp_path: Path) -> Agency:
    return Agency(tmp_path)
