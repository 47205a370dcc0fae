"""`tiphys argo controller`: what Argo's controller does beside carrying workflows out: schedules, and cleaning up."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from datetime import timedelta

import click

from tiphys.cli.lazy import Command
from tiphys.cli.session import close_backend, local_backend
from tiphys.controller.caretaker import Caretaker

_log = logging.getLogger("tiphys.controller")

#: A single round deals with times that came so shortly before it: whoever calls it each minute misses none.
LOOK_BACK = timedelta(minutes=1)


@click.command(
    cls=Command,
    examples=[
        "tiphys argo controller           until Ctrl-C",
        "tiphys argo controller --once    what is due now, and what came in the last minute (for a crontab)",
    ],
)
@click.option("--once", is_flag=True, help="Do one round, wait for the workflows it carries out, and end.")
def controller(once: bool) -> None:
    """Run schedules, take up workflows whose process died, and clean up, in all namespaces.

    It works on the database of this machine, also after `tiphys login`. Workflows are carried out by this process. When
    it ends, those that are not finished wait for the next one. Several controllers may run at once.
    """
    service = local_backend()
    handler = telling()
    try:
        caretaker = Caretaker(service, look_back=LOOK_BACK if once else timedelta(0))
        if once:
            caretaker.one_round()
        else:
            _run(caretaker)
    finally:
        close_backend(service.home)
        _log.removeHandler(handler)


def _run(caretaker: Caretaker) -> None:
    # A service manager ends it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _log.info("looking after schedules and workflows; Ctrl-C ends")
    try:
        caretaker.run(threading.Event())
    except KeyboardInterrupt:
        left = len(caretaker.carried())
        _log.info("ending; %d workflows go on when a controller runs again", left)


def telling() -> logging.Handler:
    """Have what the controller does printed as plain lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    return handler
