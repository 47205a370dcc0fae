"""Serves models by MLflow's own scoring server: one detached process group a service, on a port of this machine.

MLflow itself is imported where a model is saved, not where services are listed, asked or stopped.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tiphys.errors import ServiceError, StepTimeoutError
from tiphys.integrations.mlflow.config import MLflowDeployerConfig
from tiphys.integrations.mlflow.process import Detached, start_detached
from tiphys.plugins.loading import load
from tiphys.ports.ml_components import ModelDeployer
from tiphys.records.stacks import Service

#: Lines of a server's log that an error shows.
_TAIL = 20
#: MLflow's name for the variable with the model's folder.
_MODEL_VARIABLE = "__pyfunc_model_path__"
#: Of this script's own MLflow runs; a server has nothing to do with them.
_NOT_FOR_SERVERS = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")


class MLflowDeployer(ModelDeployer):
    """Local model servers. `Service.state` holds pid, start, machine, host, port, folder, workers and log file."""

    config: MLflowDeployerConfig

    def deploy(self, service: Service, model: Any, *, timeout: float) -> Service:
        """Save `model` as an MLflow model, start a server for it and wait until it answers.

        Raises:
            DefinitionError: the model has no `predict`.
            ServiceError: the server ended at once; the message shows the end of its log.
            StepTimeoutError: it did not answer in `timeout` seconds; it was stopped again.
        """
        folder = self.config.folder / service.id
        try:
            saved = load("tiphys.integrations.mlflow.saving:save_model")(model, folder / "model")
            state = {
                "folder": str(folder),
                "log": str(folder / "server.log"),
                "host": self.config.host,
                "workers": self.config.workers,
                "model_flavor": saved.flavor,
                "columns": saved.columns,
                **service.state,
            }
            return self._launch(replace(service, state=state), timeout)
        except BaseException:
            # The log stays: the error names it.
            shutil.rmtree(folder / "model", ignore_errors=True)
            raise

    def start(self, service: Service, *, timeout: float) -> Service:
        """Start a stopped service again, on its former port if that is free.

        Raises:
            ServiceError: its files are gone, or the server ended at once.
            StepTimeoutError: it did not answer in time.
        """
        if self.is_running(service):
            return service
        self._require_here(service)
        folder = Path(str(service.state.get("folder", "")))
        if not (folder / "model").is_dir():
            raise ServiceError(
                f"The model of service '{service.name}' is no longer at {folder}.", hint="Deploy the model again."
            )
        process = _process_of(service.state)
        if process is not None:
            process.end(5)
        return self._launch(service, timeout)

    def stop(self, service: Service, *, timeout: float) -> Service:
        """End the server and all of its workers: first asked, after `timeout` seconds forced."""
        process = _process_of(service.state)
        if process is not None:
            self._require_here(service)
            process.end(timeout)
        return replace(service, status="stopped")

    def is_running(self, service: Service) -> bool:
        """Whether its process runs and answers."""
        process = _process_of(service.state)
        return process is not None and _is_here(service) and process.is_alive() and _answers(service.state)

    def prediction_url(self, service: Service) -> str | None:
        """`http://…/invocations`, if the server runs."""
        return f"{_base_url(service.state)}/invocations" if self.is_running(service) else None

    def logs(self, service: Service, *, follow: bool = False) -> Iterator[str]:
        """Lines of the server's log; with `follow` until it ends."""
        path = Path(str(service.state.get("log", "")))
        if not path.is_file():
            return
        process = _process_of(service.state)
        with path.open(encoding="utf-8", errors="replace") as log:
            rest = ""
            while True:
                ended = not follow or process is None or not process.is_alive()
                # Read after the question, so that nothing written before the end is missed.
                *lines, rest = (rest + log.read()).split("\n")
                yield from lines
                if ended:
                    break
                time.sleep(0.2)
            if rest:
                yield rest

    def _launch(self, service: Service, timeout: float) -> Service:
        state = dict(service.state)
        log = Path(state["log"])
        written = log.stat().st_size if log.exists() else 0
        with _bound_socket(state["host"], state.get("port")) as bound:
            state["port"] = bound.getsockname()[1]
            process = start_detached(
                [
                    *(sys.executable, "-m", "tiphys.integrations.mlflow.serve"),
                    *(str(bound.fileno()), str(state["workers"])),
                ],
                environment=_environment(Path(state["folder"]) / "model"),
                log=log,
                descriptors=[bound.fileno()],
            )
        state |= {"pid": process.pid, "started": process.started, "machine": platform.node()}
        try:
            self._await_answer(service, state, process, timeout=timeout, written=written)
        except BaseException:
            process.end(2)
            raise
        return replace(service, state=state, status="running")

    def _await_answer(
        self, service: Service, state: Mapping[str, Any], process: Detached, *, timeout: float, written: int
    ) -> None:
        deadline = time.monotonic() + timeout
        while not _answers(state):
            if not process.is_alive():
                raise ServiceError(
                    f"The model server of '{service.name}' ended while it started. {_tail(state, written)}",
                    hint="The log says why: often a module that the model needs and this environment lacks.",
                )
            if time.monotonic() > deadline:
                raise StepTimeoutError(
                    f"The model server of '{service.name}' did not answer at {_base_url(state)}/ping in "
                    f"{timeout:g} s. It was stopped. {_tail(state, written)}",
                    hint="Give it more time with 'timeout', if the log shows no error.",
                )
            time.sleep(0.05)

    def _require_here(self, service: Service) -> None:
        if not _is_here(service):
            raise ServiceError(
                f"Service '{service.name}' runs on the machine '{service.state['machine']}', not on this one.",
                hint="Run the command there.",
            )


def _is_here(service: Service) -> bool:
    return bool(service.state.get("machine", platform.node()) == platform.node())


def _process_of(state: Mapping[str, Any]) -> Detached | None:
    return Detached(state["pid"], state["started"]) if "pid" in state else None


def _base_url(state: Mapping[str, Any]) -> str:
    host = str(state["host"])
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104  compared, not bound
    return f"http://{reachable}:{state['port']}"


def _answers(state: Mapping[str, Any]) -> bool:
    # A proxy of the environment has no part in this: the server is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        # Anything but success is raised.
        opener.open(f"{_base_url(state)}/ping", timeout=2).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


def _bound_socket(host: str, port: int | None) -> socket.socket:
    """A socket on `port` of `host` if that is free, else on a port that the system chooses."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port or 0))
    except OSError:
        if not port:
            bound.close()
            raise
        bound.bind((host, 0))
    return bound


def _environment(model: Path) -> dict[str, str]:
    """This process's own, so that the server finds every module that the model was made of."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_SERVERS}
    paths = [os.path.abspath(path or ".") for path in sys.path]  # noqa: PTH100  zip files stay as they are
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "MLFLOW_DISABLE_TELEMETRY": environment.get("MLFLOW_DISABLE_TELEMETRY", "true"),
        _MODEL_VARIABLE: str(model),
    }


def _tail(state: Mapping[str, Any], written: int) -> str:
    with Path(state["log"]).open("rb") as log:
        log.seek(written)
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join([f"The end of its log ({state['log']}):", *(f"    {line}" for line in lines[-_TAIL:])])
