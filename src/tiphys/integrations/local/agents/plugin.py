"""A template that an executor plugin carries out.

As argo-workflows v4.1: workflow/executor/agent.go, executePluginTemplate, and workflow/util/plugin/plugin.go.
The plugins are asked one after the other until one answers with a node; one that answers 404 is not asked again in the
same workflow. What is transient (no connection, no answer in time, 503) is tried again; any other problem fails the
node. After a crash the plugin is asked again: it is asked at least once.
"""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Generator

from tiphys.engine.model import Phase
from tiphys.errors import ServiceError, SpecError
from tiphys.integrations.local.agents.answers import Answer, Pause, Work
from tiphys.integrations.local.agents.outside import ObjectActions
from tiphys.integrations.local.agents.plugin_host import PluginHost
from tiphys.integrations.local.agents.plugin_reply import Refusal, question, read_reply
from tiphys.integrations.local.agents.plugins import Plugin, find_plugins
from tiphys.ports.runner import Task
from tiphys.sdk.pods.context import PodContext

#: Seconds that a plugin has for an answer.
TIMEOUT = 30.0
#: How often a plugin is asked in spite of transient problems, seconds before the second time (then twice as long each
#: time), and what chance adds to them.
TRIES, FIRST_PAUSE, JITTER = 5, 1.0, 0.2
_METHOD = "/api/v1/template.execute"
_ADDRESS = "127.0.0.1"


class _FatalError(ServiceError):
    """A plugin was asked in vain."""


class _TransientError(_FatalError):
    """It may answer the next time."""


class PluginAgent:
    """Asks executor plugins.

    Args:
        objects: Where they are installed.
        host: What runs them.
    """

    def __init__(self, objects: ObjectActions, host: PluginHost) -> None:
        self._objects, self._host = objects, host
        #: Workflows and the plugins that said they do not carry templates out.
        self._unable: set[tuple[str, str]] = set()

    def carry_out(self, task: Task, context: PodContext) -> Work:
        """Have a task's template carried out.

        Raises:
            TiphysError: the plugins are not as they must be, or cannot be started.
        """
        key = next(iter(task.body["plugin"]), "")
        plugins = find_plugins(key, context.namespace, task.context.get("executor_plugins") or (), self._objects)
        body = question(task, context)
        while True:
            try:
                outcome = yield from self._ask_all(task, body, plugins)
            except (_FatalError, SpecError) as error:
                return Answer(Phase.FAILED, str(error))
            if isinstance(outcome, Refusal):
                return Answer(Phase.FAILED, _nobody(key, plugins, context.namespace))
            if isinstance(outcome, Answer):
                return outcome
            yield outcome

    def close(self) -> None:
        """Let go of the plugins."""
        self._host.close()

    def _ask_all(
        self, task: Task, body: bytes, plugins: list[Plugin]
    ) -> Generator[Pause, None, Answer | Pause | Refusal]:
        for plugin in plugins:
            if (task.workflow_uid, plugin.name) in self._unable:
                continue
            reply = yield from self._ask(plugin, body, task.deadline)
            if reply is None:
                self._unable.add((task.workflow_uid, plugin.name))
                continue
            outcome = read_reply(reply, plugin.name)
            if not isinstance(outcome, Refusal):
                return outcome
        return Refusal()

    def _ask(self, plugin: Plugin, body: bytes, deadline: float | None) -> Generator[Pause, None, bytes | None]:
        """What a plugin answers; None if it does not know the question."""
        pause = FIRST_PAUSE
        for left in reversed(range(TRIES)):
            yield from self._host.started(plugin)
            rest = TIMEOUT if deadline is None else min(TIMEOUT, deadline - time.time())
            try:
                return _post(plugin, self._host.place_of(plugin).token(), body, max(rest, 0.001))
            except _TransientError:
                if not left:
                    raise
            yield Pause(pause * (1 + random.random() * JITTER), f"the executor plugin '{plugin.name}'")  # noqa: S311
            pause *= 2
        return None


def _post(plugin: Plugin, token: str, body: bytes, timeout: float) -> bytes | None:
    """Ask once.

    Raises:
        _TransientError: there was no answer, or none that is meant for good.
        _FatalError: the plugin refused.
    """
    connection = http.client.HTTPConnection(_ADDRESS, plugin.port, timeout=timeout)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    where = f"executor plugin '{plugin.name}', POST http://{_ADDRESS}:{plugin.port}{_METHOD}"
    try:
        connection.request("POST", _METHOD, body, headers)
        response = connection.getresponse()
        content = response.read()
    except TimeoutError:
        raise _TransientError(f"{where}: there was no answer within {timeout:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(f"{where}: {str(error) or type(error).__name__}") from error
    finally:
        connection.close()
    if response.status == http.client.OK:
        return content
    if response.status == http.client.NOT_FOUND:
        return None
    told = f"{where}: {response.status} {response.reason}: {content.decode('utf-8', 'replace').strip()}"
    raise _TransientError(told) if response.status == http.client.SERVICE_UNAVAILABLE else _FatalError(told)


def _nobody(key: str, plugins: list[Plugin], namespace: str) -> str:
    asked = ", ".join(f"'{plugin.name}'" for plugin in plugins)
    found = f"asked were: {asked}" if asked else f"none is installed in the namespace {namespace}"
    return (
        f"no plugin executed the template: it is of the plugin '{key}', and {found}\n"
        "  Install one with: tiphys configmap create -f FILE (made by: tiphys argo executor-plugin build DIR)"
    )
