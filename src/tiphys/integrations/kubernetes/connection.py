"""Requests to a cluster's API server, and what its refusals mean.

Which errors pass by themselves is argo-workflows v4.1, util/errors/errors.go: isTransientErr.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
from kubernetes.dynamic import DynamicClient
from urllib3.exceptions import HTTPError

from tiphys.errors import AlreadyExistsError, ConflictError, NotFoundError, ServiceError, TiphysError, UsageError
from tiphys.integrations.kubernetes.settings import ClusterSettings
from tiphys.ports.object_keeper import UnavailableError

#: Seconds for a connection to be made, and for the next part of an answer.
_PATIENCE = (10.0, 60.0)
_PASSING = (429, 503, 504)
#: Status → what its message says where it passes by itself.
_PASSING_MESSAGES = {
    403: "exceeded quota",
    409: "Operation cannot be fulfilled on resourcequota",
    500: "resource quota evaluation timed out",
}
_PASSING_ETCD = ("etcdserver: leader changed", "etcdserver: request timed out", "etcdserver: too many requests")


class Connection:
    """An API server, spoken to in JSON.

    Args:
        settings: Where it is, and who speaks.

    Raises:
        UsageError: the kubeconfig cannot be used.
    """

    def __init__(self, settings: ClusterSettings) -> None:
        configuration = Configuration()
        try:
            if settings.kubeconfig is None:
                load_incluster_config(client_configuration=configuration)
            else:
                load_kube_config(settings.kubeconfig, settings.context, client_configuration=configuration)
        except (ConfigException, OSError, yaml.YAMLError) as error:
            where = settings.kubeconfig or "the pod's service account"
            raise UsageError(
                f"{where} cannot be used: {error}.", hint="Look what this says: kubectl config view"
            ) from error
        # What may be tried again is known above; nothing is repeated below.
        configuration.retries = False
        self._host = configuration.host
        # The client's own discovery reads a file below /tmp that anybody may have written (decision 018).
        self._client = DynamicClient(ApiClient(configuration), discoverer=lambda *_: None)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """An answer, as JSON.

        Raises:
            UnavailableError: there was none, or one that passes by itself.
            NotFoundError, AlreadyExistsError, ConflictError, UsageError: the server refused it.
            ServiceError: the server cannot be trusted.
        """
        try:
            return self._client.request(
                method,
                path,
                body=body,
                query_params=list((query or {}).items()),
                content_type=content_type,
                serializer=lambda _, answer: answer,
                _request_timeout=_PATIENCE,
            )
        except ApiException as error:
            if not error.status:
                raise ServiceError(f"The cluster at {self._host} cannot be spoken to: {error.reason}") from error
            raise refusal(error.status, error.body or error.reason) from error
        except HTTPError as error:
            raise UnavailableError(f"the cluster at {self._host} does not answer: {error}") from error


def refusal(status: int, body: bytes | str) -> TiphysError:
    """The error that an answer of the API server stands for, in kubectl's words.

    Args:
        status: Of HTTP.
        body: A Status object as JSON, or any text.
    """
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    reason, message = "", text
    try:
        told = json.loads(text)
        reason, message = str(told.get("reason") or ""), str(told.get("message") or text)
    except (ValueError, AttributeError):
        pass
    said = f"Error from server ({reason or status}): {message.strip()}"
    passing = _PASSING_MESSAGES.get(status)
    if (
        status in _PASSING
        or reason in ("ServerTimeout", "Timeout")
        or (passing is not None and passing in message)
        or any(each in message for each in _PASSING_ETCD)
    ):
        return UnavailableError(said)
    if status == 404:
        return NotFoundError(said)
    if status == 409:
        return AlreadyExistsError(said) if reason == "AlreadyExists" else ConflictError(said)
    return UsageError(said)
