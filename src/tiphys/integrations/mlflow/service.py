"""A deployed model in a user's hands: asked for predictions, stopped, and started again."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from tiphys.errors import ServiceError
from tiphys.integrations.mlflow.config import MLflowDeployerConfig
from tiphys.integrations.mlflow.deployer import MLflowDeployer
from tiphys.records.base import Query
from tiphys.records.stacks import Service
from tiphys.sdk.session import current_backend

#: Keys of a request's body as MLflow defines them.
_PAYLOADS = frozenset({"dataframe_split", "dataframe_records", "instances", "inputs"})


class MLflowService:
    """A model server that a pipeline deployed.

    Args:
        record: What is known of it. The handle looks for a newer record each time it is asked, so one that was loaded
            from an artifact knows of a restart.
    """

    def __init__(self, record: Service) -> None:
        self._record = record

    def __repr__(self) -> str:
        return f"<MLflowService {self._record.model_name or self._record.name} {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MLflowService) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def id(self) -> str:
        """Id of the service."""
        return self._record.id

    @property
    def record(self) -> Service:
        """What is recorded of it now."""
        found = current_backend().find(Query.of(Service, id=self.id, limit=1))
        if found:
            self._record = found[0]
        return self._record

    @property
    def model_name(self) -> str:
        """Name of the model that it serves."""
        return self._record.model_name

    @property
    def is_running(self) -> bool:
        """Whether it answers."""
        return _deployer().is_running(self.record)

    @property
    def prediction_url(self) -> str | None:
        """Where predictions are asked for (`http://…/invocations`), if it runs."""
        return _deployer().prediction_url(self.record)

    def predict(self, data: Any, *, timeout: float = 60) -> Any:
        """Ask for predictions.

        Args:
            data: A DataFrame; an array or list of rows, in the order of the columns that the model was fitted with; or
                a body as MLflow wants it (`{"dataframe_split": …}`, `{"inputs": …}`, …).
            timeout: Seconds to wait.

        Returns:
            The predictions, as an array where they are a list of numbers or texts.

        Raises:
            ServiceError: it does not run, or refuses the data.
        """
        url = self.prediction_url
        if url is None:
            raise ServiceError(f"The service '{self._record.name}' does not run.", hint="Start it: service.start()")
        body = json.dumps(_payload(data, self._record.state.get("columns")), default=_plain).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310  http
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=timeout) as answer:
                predictions = json.load(answer)["predictions"]
        except urllib.error.HTTPError as error:
            raise ServiceError(f"The service '{self._record.name}' refused: {_explanation(error)}") from error
        except (urllib.error.URLError, OSError) as error:
            raise ServiceError(f"The service '{self._record.name}' did not answer: {error}.") from error
        return _as_array(predictions)

    def start(self, timeout: float = 300) -> None:
        """Start it again, if it was stopped."""
        self._record = current_backend().stacks.save_service(_deployer().start(self.record, timeout=timeout))

    def stop(self, timeout: float = 10) -> None:
        """End it; after `timeout` seconds by force."""
        self._record = current_backend().stacks.save_service(_deployer().stop(self.record, timeout=timeout))

    def get_logs(self, *, follow: bool = False) -> Iterator[str]:
        """Lines of its log; with `follow` until it ends."""
        return _deployer().logs(self.record, follow=follow)


def _deployer() -> MLflowDeployer:
    """Enough for a service that was deployed: its record says everything else."""
    return MLflowDeployer(name="mlflow", config=MLflowDeployerConfig())


def _payload(data: Any, columns: list[str] | None) -> Mapping[str, Any]:
    if isinstance(data, Mapping) and _PAYLOADS & data.keys():
        return data
    if hasattr(data, "to_dict") and hasattr(data, "columns"):
        split = data.to_dict(orient="split")
        return {"dataframe_split": {"columns": split["columns"], "data": split["data"]}}
    rows = data.tolist() if hasattr(data, "tolist") else data
    if columns and isinstance(rows, list) and rows and all(isinstance(row, list | tuple) for row in rows):
        return {"dataframe_split": {"columns": columns, "data": rows}}
    return {"inputs": rows}


def _plain(value: Any) -> Any:
    """What JSON does not know: times as ISO text, NumPy's scalars as Python's, anything else (pandas' NA) as null."""
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else None


def _explanation(error: urllib.error.HTTPError) -> str:
    text = error.read().decode(errors="replace")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {text[:500]}"


def _as_array(predictions: Any) -> Any:
    if isinstance(predictions, list) and not any(isinstance(each, Mapping) for each in predictions):
        import numpy as np

        return np.asarray(predictions)
    return predictions
