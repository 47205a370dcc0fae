"""From a task to the containers of its pod: images, commands, environments, files and limits. Nothing is done here."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tiphys.errors import SpecError
from tiphys.lang.gojson import go_json
from tiphys.ports.runner import Task
from tiphys.sdk.pods.containers import SCRIPT_FILE, containers_of, main_of, tries_of
from tiphys.sdk.pods.context import PodContext
from tiphys.sdk.pods.environment import (
    LONGEST_STRING,
    OFFLOADED,
    PROGRESS_FILE,
    TEMPLATE_FILE,
    amount,
    environment_of,
    expand,
)
from tiphys.sdk.pods.objects import Objects
from tiphys.sdk.pods.probe import Probe, probe_of
from tiphys.sdk.pods.volumes import Bind, Volume, binds_of, mounted_volumes

_PULL = ("IfNotPresent", "Always", "Never")


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
    volumes = mounted_volumes(template, folder, context, objects, contents=not started)
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
        binds = list(binds_of(container, self._volumes))
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
        main = role == "main"
        tries, pause = tries_of(self._template) if main else (1, 0.0)
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
            log=self._context.log_of(name, f"{self._folder}/"),
            result=self._context.include_result and main and name == self._main,
            after=tuple(container.get("dependencies") or ()) if main else (),
            tries=tries,
            pause=pause,
            probe=probe_of(container) if main and self._template.get("daemon") else None,
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


def bind_of(binds: Sequence[Bind], path: str) -> Bind | None:
    """The innermost mount that an absolute path lies in, if any."""
    found = [each for each in binds if path == each.target or path.startswith(f"{each.target.rstrip('/')}/")]
    return max(found, key=lambda each: len(each.target), default=None)


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
