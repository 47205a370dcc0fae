"""What the runner asks of the pod server and what it hears: plain JSON, so that nothing is converted on the way."""

from __future__ import annotations

from typing import TypedDict

from tiphys.sdk.pods.containers import ContainerEnd


class ProbeOrder(TypedDict):
    """When a container counts as ready; exactly one of `argv`, `port` is set."""

    #: A program that ends with 0 if it is; started as the container is.
    argv: list[str] | None
    #: Its absolute path.
    program: str
    #: A port of this machine that takes connections,
    port: int | None
    #: and, if not None, answers a GET of this path with 200 to 399.
    path: str | None
    host: str
    headers: dict[str, str]
    #: Seconds.
    delay: float
    period: float
    timeout: float
    #: Successes in a row that it takes.
    successes: int


class ContainerOrder(TypedDict):
    """A process to be started."""

    name: str
    #: "init": one after another before all else; "main"; "sidecar": stopped when all mains have ended.
    role: str
    #: Absolute path; of a sandboxed container bubblewrap's.
    program: str
    argv: list[str]
    env: dict[str, str]
    #: Working directory.
    folder: str
    #: File that standard output and error are appended to.
    log: str
    #: Whether standard output is the node's result too.
    result: bool
    #: Whether the program stands behind bubblewrap, which passes no signals on.
    sandboxed: bool
    #: Mains that must have ended well before this one starts.
    after: list[str]
    #: How often it is executed at most, and seconds between two times.
    tries: int
    pause: float
    probe: ProbeOrder | None


class PodOrder(TypedDict):
    """A task to be carried out."""

    id: str
    #: The task's folder, which must not exist.
    folder: str
    #: A folder that was prepared for it and becomes it, or None.
    staged: str | None
    #: Seconds that sidecars have between SIGTERM and SIGKILL.
    grace: float
    #: File that is held by those who need the pod, which ends when nobody does; None: it ends when it is told to.
    leash: str | None
    #: Whether it is to be told when all containers are ready.
    daemon: bool
    containers: list[ContainerOrder]


class PodResult(TypedDict):
    """How a pod ended: the second line of a pod's `state`."""

    #: Epoch seconds.
    started: float
    finished: float
    containers: list[ContainerEnd]
    #: Standard output of the container that gives the result.
    result: str | None
    cancelled: bool
    #: Whether it was told to be ready.
    ready: bool
