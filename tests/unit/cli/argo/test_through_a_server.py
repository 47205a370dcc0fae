"""The commands of `tiphys argo` through a server: the same output and exit codes as on the database.

The tests are those of the commands on a database, but for those that play the engine or the process that is started.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.contract.served import client_of, served
from tests.unit.cli.argo.test_commands import (  # noqa: F401  # collected here, too
    test_a_workflow_is_shown,
    test_a_wrong_type_is_told_with_its_line,
    test_an_artifact_is_copied,
    test_ending,
    test_logs_have_the_pods_name_before_each_line,
    test_namespaces_stand_anywhere_or_in_the_environment,
    test_node_set_finds_no_suspend_node,
    test_old_spellings_are_converted,
    test_standard_input_and_parameter_files,
    test_suspend_and_resume,
    test_the_archive,
    test_version,
    test_wait,
    test_watch_draws_the_end,
    test_what_list_refuses,
    test_what_submit_refuses,
    test_what_the_runner_cannot_give_is_refused_before_anything_runs,
    test_workflows_are_deleted,
    test_workflows_are_listed,
)
from tests.unit.cli.argo.test_stored import (  # noqa: F401  # collected here, too
    test_a_config_map_is_named_where_it_is_meant,
    test_cluster_templates,
    test_config_maps,
    test_limits_of_semaphores,
    test_lint,
    test_lint_looks_templates_up,
    test_schedules,
    test_secrets_are_shown_where_all_is_asked_for,
    test_templates,
    test_unknown_fields_of_templates,
    test_what_create_refuses,
    write,
)
from tests.unit.cli.conftest import Invoke

from tiphys.cli.main import main
from tiphys.client.connection import Connection
from tiphys.services.backend import LocalBackend


@pytest.fixture
def invoke(backend: LocalBackend, tmp_path: Path) -> Iterator[Invoke]:
    with served(backend) as url, closing(client_of(Connection(url), tmp_path)) as client:

        def call(*arguments: str, code: int = 0, input: str | None = None) -> Result:
            result = CliRunner().invoke(main, arguments, obj=client, input=input, catch_exceptions=False)
            assert result.exit_code == code, result.output
            return result

        yield call
