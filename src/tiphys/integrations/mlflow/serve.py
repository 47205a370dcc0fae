"""Runs MLflow's scoring server on a socket that the caller has bound: no other process can take the port in between.

Started as `python -m tiphys.integrations.mlflow.serve <descriptor of the socket> <workers>`, with the model's folder in
the environment as MLflow wants it.
"""

from __future__ import annotations

import copy
import inspect
import logging
import socket
import sys
from typing import Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG
from uvicorn.supervisors import Multiprocess

_APP = "mlflow.pyfunc.scoring_server.app:app"


class NoPings(logging.Filter):
    """Keeps the questions whether the server runs out of its log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be written."""
        return '"GET /ping ' not in record.getMessage()


def main(descriptor: int, workers: int) -> None:
    """Serve until a signal comes."""
    bound = socket.socket(fileno=descriptor)
    log_config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    log_config["filters"] = {"no_pings": {"()": f"{NoPings.__module__}.{NoPings.__qualname__}"}}
    log_config["handlers"]["access"]["filters"] = ["no_pings"]
    config = uvicorn.Config(_APP, workers=workers, log_config=log_config)
    server = uvicorn.Server(config)
    if workers == 1:
        server.run(sockets=[bound])
        return
    # Releases of uvicorn differ in whether they want to be told what a worker does.
    wanted = inspect.signature(Multiprocess).parameters
    options: dict[str, Any] = {"target": server.run} if "target" in wanted else {}
    Multiprocess(config, sockets=[bound], **options).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
