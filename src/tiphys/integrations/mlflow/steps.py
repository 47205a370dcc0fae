"""Ready-made steps for MLflow. Importing them imports nothing of MLflow."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Optional

from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.errors import ServiceError, StackError, UsageError
from tiphys.integrations.mlflow.config import MLflowDeployerConfig
from tiphys.integrations.mlflow.deployer import MLflowDeployer
from tiphys.integrations.mlflow.service import MLflowService
from tiphys.ports.backend import Backend
from tiphys.records.base import Query
from tiphys.records.stacks import ComponentType, Service
from tiphys.sdk.context import StepContext, get_step_context
from tiphys.sdk.session import current_backend
from tiphys.sdk.step import step

_log = logging.getLogger("tiphys.mlflow")
#: Seconds that a replaced server has to finish what it is asked.
_STOP_TIMEOUT = 10


@step(enable_cache=False)
def mlflow_model_deployer_step(
    model: Any,
    deploy_decision: bool = True,
    experiment_name: str | None = None,
    run_name: str | None = None,
    model_name: str = "model",
    workers: int = 1,
    mlserver: bool = False,
    timeout: int = 300,
) -> Optional[MLflowService]:  # noqa: UP045  as in ZenML
    """Serve a model at a URL of this machine.

    The model that is given is served, whether a tracker logged it or not. A stack without a model deployer is enough.

    Args:
        model: A fitted model with a `predict`; with None the existing service is kept.
        deploy_decision: Whether to deploy it; if not, the existing service is kept (and started, if it was stopped).
        experiment_name: MLflow experiment that the model comes from; noted with the service.
        run_name: MLflow run that the model comes from; noted with the service.
        model_name: With pipeline and step the name under which a newer service replaces an older one.
        workers: Processes of the server.
        mlserver: Not supported: the server is always MLflow's own.
        timeout: Seconds that the server has to answer for the first time.

    Returns:
        The service; None if nothing was to be deployed and nothing ever was.

    Raises:
        StackError: the stack's model deployer is of another kind.
        ServiceError: the server ended while it started; an older one goes on.
        StepTimeoutError: the server did not answer in time; an older one goes on.
    """
    if mlserver:
        raise UsageError("mlserver=True is not supported.", hint="Use 'workers' for several processes.")
    context, backend = get_step_context(), current_backend()
    deployer = _deployer(backend, context)
    older = backend.find(
        Query.of(
            Service,
            flavor="mlflow",
            pipeline_name=context.pipeline_name,
            step_name=context.step_name,
            model_name=model_name,
        )
    )
    if model is None or not deploy_decision:
        return _existing(backend, deployer, older, timeout)
    noted = {"mlflow_experiment_name": experiment_name, "mlflow_run_name": run_name}
    service = Service(
        id=new_id(),
        name=model_name,
        flavor="mlflow",
        pipeline_name=context.pipeline_name,
        step_name=context.step_name,
        model_name=model_name,
        run_id=context.run_id,
        state={"workers": workers, **{key: value for key, value in noted.items() if value}},
        created_at=utc_now(),
    )
    deployed = backend.stacks.save_service(deployer.deploy(service, model, timeout=timeout))
    _stop(backend, deployer, [each for each in older if each.id < deployed.id])
    handle = MLflowService(deployed)
    context.log_step_metadata({"prediction_url": handle.prediction_url})
    return handle


def _deployer(backend: Backend, context: StepContext) -> MLflowDeployer:
    stack = context.pipeline_run.stack
    record = backend.stacks.get(stack)
    if not record.components.get(ComponentType.MODEL_DEPLOYER.value):
        return MLflowDeployer(name="mlflow", config=MLflowDeployerConfig())
    found = backend.stacks.component(ComponentType.MODEL_DEPLOYER, stack=stack)
    if not isinstance(found, MLflowDeployer):
        raise StackError(
            f"The model deployer '{found.name}' of the stack '{stack}' is not of the flavor mlflow.",
            hint="Use a stack with an MLflow model deployer, or one without any.",
        )
    return found


def _existing(
    backend: Backend, deployer: MLflowDeployer, older: list[Service], timeout: float
) -> Optional[MLflowService]:  # noqa: UP045  as in ZenML
    if not older:
        _log.warning("Nothing is deployed: the decision was not to, and there is no earlier service of this step.")
        return None
    newest = older[0]
    if not deployer.is_running(newest):
        newest = backend.stacks.save_service(deployer.start(newest, timeout=timeout))
    return MLflowService(newest)


def _stop(backend: Backend, deployer: MLflowDeployer, services: list[Service]) -> None:
    for service in services:
        if service.status != "running":
            continue
        try:
            stopped = deployer.stop(service, timeout=_STOP_TIMEOUT)
        except ServiceError as error:
            _log.warning("%s", error)
            continue
        backend.stacks.save_service(replace(stopped, status="stopped"))
