"""From a task to the containers of its pod: images, commands, environments, files and limits. Nothing is done here."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tiphys.errors import SpecError
from tiphys.integrations.docker.engine import Bind
from tiphys.integrations.docker.pods.context import PodContext
from tiphys.integrations.docker.pods.environment import (
    LONGEST_STRING,
    OFFLOADED,
    PROGRESS_FILE,
    TEMPLATE_FILE,
    amount,
    environment_of,
    expand,
)
from tiphys.integrations.docker.pods.objects import Objects
from tiphys.integrations.docker.pods.volumes import Volume, resolve
from tiphys.lang.duration import parse_duration
from tiphys.lang.gojson import go_json
from tiphys.ports.runner import Task

#: Where a script's source is, as in Argo.
SCRIPT_FILE = "/argo/staging/script"
MAIN = "main"
_PULL = ("IfNotPresent", "Always", "Never")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """When a container counts as ready; exactly one of `command`, `port` is set."""

    #: A program of the container that ends with 0 if it is.
    command: tuple[str, ...] = ()
    #: A port of the pod that takes connections,
    port: int = 0
    #: and, if not None, answers a GET of this path with 200 to 399.
    path: str | None = None
    #: Empty: the pod's.
    host: str = ""
    headers: Mapping[str, str]
    #: Seconds.
    delay: float
    period: float
    timeout: float
    #: Successes in a row that it takes.
    successes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPlan:
    """A container of a pod."""

    name: str
    #: "init": one after another before all else; "main"; "sidecar": stopped when all mains have ended.
    role: str
    image: str
    pull: str
    #: None: the image's own.
    entrypoint: tuple[str, ...] | None
    arguments: tuple[str, ...] | None
    env: Mapping[str, str]
    folder: str
    user: str
    binds: tuple[Bind, ...]
    #: Limits and rights, as in the API's HostConfig.
    host: Mapping[str, Any]
    #: File for standard output and error.
    log: str
    #: Whether standard output is the node's result too.
    result: bool
    #: Mains that must have ended well before this one starts.
    after: tuple[str, ...]
    #: How often it is executed at most, and seconds between two times.
    tries: int
    pause: float
    probe: Probe | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a task is carried out."""

    task: Task
    context: PodContext
    #: The task's folder.
    folder: str
    containers: tuple[ContainerPlan, ...]
    volumes: Mapping[str, Volume]
    #: Files to be written before the start: (path on this machine, text, mode).
    files: tuple[tuple[str, str, int], ...]
    #: Input artifact → where on this machine it is put.
    places: Mapping[str, str]

    @property
    def main(self) -> str:
        """Name of the container that has the inputs and outputs."""
        return main_of(self.task.body)

    @property
    def progress_file(self) -> str:
        """Where containers report their progress, on this machine."""
        return f"{self.folder}/progress/{posixpath.basename(PROGRESS_FILE)}"

    def container(self, name: str) -> ContainerPlan:
        """The container of a name."""
        return next(each for each in self.containers if each.name == name)


def name_of(task_id: str) -> str:
    """Names a task on this machine: a folder, and the beginning of its containers' names."""
    return hashlib.sha256(task_id.encode()).hexdigest()[:32]


def main_of(template: Mapping[str, Any]) -> str:
    """Name of the container that has the inputs and outputs: `main`, or of a set without one its first."""
    names = [each.get("name") for each in (template.get("containerSet") or {}).get("containers") or ()]
    return MAIN if not names or MAIN in names else str(names[0])


def containers_of(template: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(role, container) of all containers, in the order in which they start; each has a name.

    Raises:
        SpecError: the template has no containers.
    """
    found: list[tuple[str, Mapping[str, Any]]] = [("init", each) for each in template.get("initContainers") or ()]
    group = template.get("containerSet")
    if group:
        shared = group.get("volumeMounts") or []
        found += [
            ("main", {**each, "volumeMounts": [*shared, *(each.get("volumeMounts") or ())]})
            for each in group.get("containers") or ()
        ]
    else:
        body = template.get("container") or template.get("script")
        if body is None:
            raise SpecError(
                f"The template '{template.get('name')}' is neither container, script nor containerSet, so it cannot "
                "be carried out as a pod."
            )
        found.append(("main", {**body, "name": MAIN}))
    for each in template.get("sidecars") or ():
        if each.get("mirrorVolumeMounts"):
            mounts = next(container for role, container in found if role == "main").get("volumeMounts") or []
            each = {**each, "volumeMounts": [*mounts, *(each.get("volumeMounts") or ())]}
        found.append(("sidecar", each))
    return found


def make_plan(task: Task, folder: str, objects: Objects, *, started: bool = False) -> Plan:
    """How `task` is carried out.

    Args:
        task: The task.
        folder: Its folder.
        objects: Where ConfigMaps, Secrets and claims are.
        started: Whether its files have been made before: the contents of its volumes may be gone meanwhile.

    Raises:
        SpecError: something that it refers to does not exist, or cannot be had here.
    """
    template, context = task.body, PodContext.of(task)
    containers = containers_of(template)
    volumes = _volumes(template, containers, folder, context, objects, contents=not started)
    files: list[tuple[str, str, int]] = []
    text = go_json(template)
    maker = _Maker(task, context, folder, objects, volumes, text, files)
    made = tuple(maker.container(role, each) for role, each in containers)
    return Plan(
        task=task,
        context=context,
        folder=folder,
        containers=made,
        volumes=volumes,
        files=tuple(files),
        places=maker.places,
    )


def _volumes(
    template: Mapping[str, Any],
    containers: Sequence[tuple[str, Mapping[str, Any]]],
    base: str,
    context: PodContext,
    objects: Objects,
    *,
    contents: bool,
) -> dict[str, Volume]:
    mounted = {mount.get("name") for _, each in containers for mount in each.get("volumeMounts") or ()}
    given = {each.get("name"): each for each in (*context.volumes, *(template.get("volumes") or ()))}
    for name in sorted(mounted - set(given), key=str):
        raise SpecError(
            f"The template '{template.get('name')}' mounts the volume '{name}', which neither it nor the workflow has."
        )
    return {str(name): resolve(given[name], base, context, objects, contents=contents) for name in mounted}


class _Maker:
    """Makes the containers of a plan."""

    def __init__(
        self,
        task: Task,
        context: PodContext,
        folder: str,
        objects: Objects,
        volumes: Mapping[str, Volume],
        text: str,
        files: list[tuple[str, str, int]],
    ) -> None:
        self._template = task.body
        self._context = context
        self._folder = folder
        self._objects = objects
        self._volumes = volumes
        self._text = text
        self._files = files
        self._main = main_of(task.body)
        self.places: dict[str, str] = {}

    def container(self, role: str, container: Mapping[str, Any]) -> ContainerPlan:
        """A container's plan."""
        name = container["name"]
        where = f"The container '{name}' of the template '{self._template.get('name')}'"
        if not container.get("image"):
            raise SpecError(f"{where} names no image.", hint="Set `image`.")
        binds = [_bind(each, self._volumes[each["name"]], container) for each in container.get("volumeMounts") or ()]
        binds.append(Bind(f"{self._folder}/progress", posixpath.dirname(PROGRESS_FILE)))
        long = len(self._text.encode()) + 64 > LONGEST_STRING
        if long:
            binds.append(self._file(name, TEMPLATE_FILE, self._text, 0o644))
        env = environment_of(
            container, context=self._context, objects=self._objects, template=OFFLOADED if long else self._text
        )
        entrypoint, arguments = self._command(container, env, binds)
        if name == self._main:
            self._place_inputs(binds)
        security = {**(self._template.get("securityContext") or {}), **(container.get("securityContext") or {})}
        group = (self._template.get("containerSet") or {}).get("retryStrategy") or {}
        main = role == "main"
        return ContainerPlan(
            name=name,
            role=role,
            image=container["image"],
            pull=_pull_policy(container, where),
            entrypoint=entrypoint,
            arguments=arguments,
            env=env,
            folder=container.get("workingDir") or "",
            user=_user(security),
            binds=tuple(binds),
            host={**_rights(security), **_limits(container, where)},
            log=log_path(self._folder, self._context, name),
            result=self._context.include_result and main and name == self._main,
            after=tuple(container.get("dependencies") or ()) if main else (),
            # Argo's `retries` counts executions.
            tries=max(1, int(group.get("retries") or 1)) if main else 1,
            pause=parse_duration(group["duration"]) if main and group.get("duration") else 0.0,
            probe=_probe(container) if main and self._template.get("daemon") else None,
        )

    def _command(
        self, container: Mapping[str, Any], env: Mapping[str, str], binds: list[Bind]
    ) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
        """Entry point and arguments; what is too long for the kernel goes to files, as Argo's emissary does it."""
        name, source = container["name"], container.get("source")
        command = [expand(str(each), env) for each in container.get("command") or ()]
        given = container.get("args")
        arguments = None if given is None and not source else [expand(str(each), env) for each in given or ()]
        if source and arguments is not None:
            binds.append(self._file(name, SCRIPT_FILE, source, 0o755))
            arguments.append(SCRIPT_FILE)
        for number, words, index in (
            *((index, command, index) for index in range(len(command))),
            *((len(command) + index, arguments or [], index) for index in range(len(arguments or ()))),
        ):
            if len(words[index].encode()) >= LONGEST_STRING:
                path = f"/tmp/argo_arg_{number}.txt"  # noqa: S108  # in the container
                binds.append(self._file(name, path, words[index], 0o644))
                words[index] = f"@{path}"
        return tuple(command) or None, None if arguments is None else tuple(arguments)

    def _file(self, container: str, target: str, text: str, mode: int) -> Bind:
        path = f"{self._folder}/files/{container}/{posixpath.basename(target)}"
        self._files.append((path, text, mode))
        return Bind(path, target, read_only=True)

    def _place_inputs(self, binds: list[Bind]) -> None:
        """Input artifacts are mounted where they are wanted; within a volume they are put into it, as Argo does.

        An optional one may turn out not to be there: what does not exist is not mounted.
        """
        volumes = list(binds)
        for declared in (self._template.get("inputs") or {}).get("artifacts") or ():
            if not declared.get("path"):
                continue
            target = posixpath.normpath(declared["path"])
            if not target.startswith("/"):
                raise SpecError(f"The path '{target}' of the input artifact '{declared.get('name')}' is not absolute.")
            volume = bind_of(volumes, target)
            if volume is not None:
                self.places[declared["name"]] = volume.source + target[len(volume.target.rstrip("/")) :]
            else:
                source = f"{self._folder}/inputs/{declared['name']}/{posixpath.basename(target)}"
                self.places[declared["name"]] = source
                binds.append(Bind(source, target))


def log_path(folder: str, context: PodContext, container: str) -> str:
    """Where a container's log is."""
    if context.log is None:
        return f"{folder}/{container}.log"
    return context.log if container == MAIN else f"{context.log}.{container}"


def bind_of(binds: Sequence[Bind], path: str) -> Bind | None:
    """The innermost mount that an absolute path lies in, if any."""
    found = [each for each in binds if path == each.target or path.startswith(f"{each.target.rstrip('/')}/")]
    return max(found, key=lambda each: len(each.target), default=None)


def _bind(mount: Mapping[str, Any], volume: Volume, container: Mapping[str, Any]) -> Bind:
    target = posixpath.normpath(posixpath.join("/", mount.get("mountPath") or ""))
    below = mount.get("subPath") or ""
    if mount.get("subPathExpr"):
        plain = {each["name"]: str(each.get("value") or "") for each in container.get("env") or () if each.get("name")}
        below = expand(mount["subPathExpr"], plain)
    if below.startswith("/") or ".." in below.split("/"):
        raise SpecError(
            f"subPath '{below}' of the volume '{mount.get('name')}' in the container '{container['name']}' leads out "
            "of the volume."
        )
    source = posixpath.normpath(posixpath.join(volume.source, below))
    return Bind(source, target, volume.read_only or bool(mount.get("readOnly")))


def _pull_policy(container: Mapping[str, Any], where: str) -> str:
    policy = container.get("imagePullPolicy") or "IfNotPresent"
    if policy not in _PULL:
        raise SpecError(f"{where}: imagePullPolicy is one of {', '.join(_PULL)}, not '{policy}'.")
    return str(policy)


def _user(security: Mapping[str, Any]) -> str:
    user, group = security.get("runAsUser"), security.get("runAsGroup")
    if user is None and group is None:
        return ""
    return f"{0 if user is None else user}" + ("" if group is None else f":{group}")


def _rights(security: Mapping[str, Any]) -> dict[str, Any]:
    capabilities = security.get("capabilities") or {}
    # SELinux would keep containers from the folders that they share with this machine.
    options = ["label=disable"]
    if security.get("allowPrivilegeEscalation") is False:
        options.append("no-new-privileges")
    return {
        "SecurityOpt": options,
        "Privileged": bool(security.get("privileged")),
        "ReadonlyRootfs": bool(security.get("readOnlyRootFilesystem")),
        "CapAdd": list(capabilities.get("add") or ()),
        "CapDrop": list(capabilities.get("drop") or ()),
    }


def _limits(container: Mapping[str, Any], where: str) -> dict[str, int]:
    limits = (container.get("resources") or {}).get("limits") or {}
    found = {}
    if limits.get("cpu") is not None:
        found["NanoCpus"] = int(amount(limits["cpu"], f"{where}: resources.limits.cpu") * 10**9)
    if limits.get("memory") is not None:
        found["Memory"] = int(amount(limits["memory"], f"{where}: resources.limits.memory"))
    return found


def _probe(container: Mapping[str, Any]) -> Probe | None:
    probe = container.get("readinessProbe")
    if not probe:
        return None
    http, tcp = probe.get("httpGet") or {}, probe.get("tcpSocket") or {}
    where = http or tcp
    command = (probe.get("exec") or {}).get("command")
    if not command and not where:
        raise SpecError(f"readinessProbe of '{container['name']}' needs one of exec, httpGet and tcpSocket.")
    return Probe(
        command=tuple(command or ()),
        port=0 if command else _port(where.get("port"), container),
        path=(http.get("path") or "/") if http else None,
        host=where.get("host") or "",
        headers={each["name"]: each.get("value") or "" for each in http.get("httpHeaders") or ()},
        delay=float(probe.get("initialDelaySeconds") or 0),
        period=float(probe.get("periodSeconds") or 1),
        timeout=float(probe.get("timeoutSeconds") or 1),
        successes=int(probe.get("successThreshold") or 1),
    )


def _port(port: Any, container: Mapping[str, Any]) -> int:
    if isinstance(port, int) or str(port).isdigit():
        return int(port)
    for each in container.get("ports") or ():
        if each.get("name") == port:
            return int(each["containerPort"])
    raise SpecError(f"readinessProbe of '{container['name']}': there is no port '{port}'.")
