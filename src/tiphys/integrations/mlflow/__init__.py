"""MLflow: experiment tracking, a model registry, and local model servers. Nothing of MLflow is imported here."""

from __future__ import annotations

from tiphys.ports.component import Flavor, Integration
from tiphys.records.stacks import ComponentType

_HERE = "tiphys.integrations.mlflow"

INTEGRATION = Integration(
    name="mlflow",
    requires=("mlflow",),
    flavors=(
        Flavor(
            name="mlflow",
            type=ComponentType.EXPERIMENT_TRACKER,
            config=f"{_HERE}.config:MLflowTrackerConfig",
            implementation=f"{_HERE}.tracker:MLflowTracker",
            description="Runs, parameters and metrics in MLflow: on a server, or in a local SQLite file.",
        ),
        Flavor(
            name="mlflow",
            type=ComponentType.MODEL_REGISTRY,
            config=f"{_HERE}.config:MLflowRegistryConfig",
            implementation=f"{_HERE}.registry:MLflowModelRegistry",
            description="MLflow's catalogue of models.",
        ),
        Flavor(
            name="mlflow",
            type=ComponentType.MODEL_DEPLOYER,
            config=f"{_HERE}.config:MLflowDeployerConfig",
            implementation=f"{_HERE}.deployer:MLflowDeployer",
            description="MLflow's scoring server as a process of this machine, one for each model.",
        ),
    ),
    materializers={f"{_HERE}.service.MLflowService": f"{_HERE}.materializer:MLflowServiceMaterializer"},
)
