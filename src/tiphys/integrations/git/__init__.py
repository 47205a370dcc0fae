"""Git repositories as artifacts, by git's command line."""

from __future__ import annotations

from tiphys.ports.component import Integration

INTEGRATION = Integration(name="git")
