"""From a task to an order for the pod server: containers, their commands, environments, files and file views.

Nothing is written here; paths are those of the task's folder as it will be, or, for preparing, as it is staged.
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from tiphys.errors import SpecError
from tiphys.integrations.local.pods.environment import SEARCH, whole_environment_of
from tiphys.integrations.local.pods.folder import MARK, PodFolder
from tiphys.integrations.local.pods.images import Image, find_image
from tiphys.integrations.local.pods.orders import ContainerOrder, PodOrder, ProbeOrder
from tiphys.integrations.local.pods.view import (
    SHIMS,
    View,
    replaced_folder,
    replacing_mounts,
    sandbox_arguments,
)
from tiphys.lang.gojson import go_json
from tiphys.ports.runner import Task
from tiphys.sdk.pods.containers import SCRIPT_FILE, containers_of, main_of, tries_of
from tiphys.sdk.pods.context import PodContext
from tiphys.sdk.pods.environment import LONGEST_STRING, OFFLOADED, PROGRESS_FILE, TEMPLATE_FILE, expand
from tiphys.sdk.pods.objects import Objects
from tiphys.sdk.pods.probe import probe_of
from tiphys.sdk.pods.volumes import Volume, binds_of, mounted_volumes

Flavour = Literal["process", "sandbox"]


class ProgramMissingError(SpecError):
    """A container's program is not on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What all pods of a runner have in common."""

    home: str
    flavour: Flavour
    #: Folder of shims on this machine.
    shims: str
    objects: Objects
    #: The settings' own images.
    images: Mapping[str, Image] = field(default_factory=dict)
    #: Path of bubblewrap, for sandboxes.
    bwrap: str = ""
    #: Whether namespaces can be made without one for users.
    as_root: bool = False

    @property
    def shims_seen(self) -> str:
        """The folder of shims as containers see it."""
        return self.shims if self.flavour == "process" else SHIMS


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a task is carried out."""

    task: Task
    folder: PodFolder
    context: PodContext
    flavour: Flavour
    #: All containers of the pod, each with a role.
    containers: tuple[tuple[str, Mapping[str, Any]], ...]
    volumes: Mapping[str, Volume]
    #: File views by container, and the folders of this machine that they replace.
    views: Mapping[str, View]
    replaced: Mapping[str, tuple[str, ...]]
    #: Files to be written before the start: (container, its path, text, mode).
    files: tuple[tuple[str, str, str, int], ...]
    order: PodOrder

    @property
    def main(self) -> str:
        """Name of the container that has the inputs and outputs."""
        return main_of(self.task.body)

    @property
    def progress_file(self) -> str:
        """Where main reports its progress, on this machine."""
        view = self.views[self.main]
        return view.locate(PROGRESS_FILE if view.root is not None else "progress")

    def log_of(self, container: str) -> str:
        """Log of a container."""
        return self.context.log_of(container, f"{self.folder.path}.")


def make_plan(task: Task, machine: Machine, *, started: bool = False) -> Plan:
    """How `task` is carried out.

    Args:
        task: The task.
        machine: Where.
        started: Whether it has been started before, so that only the places of its files are of interest: what its
            environment and volumes were made of may be gone.

    Raises:
        ProgramMissingError: a program is not on this machine.
        SpecError: something that it refers to does not exist, or cannot be had here.
    """
    template, context = task.body, PodContext.of(task)
    folder = PodFolder(machine.home, task.id)
    containers = containers_of(template)
    volumes = mounted_volumes(template, folder.path, context, machine.objects, contents=not started)
    replaced = _replaced(template, containers, machine)
    text = go_json(template)
    long = len(text.encode()) + 64 > LONGEST_STRING
    # A host process works in the task's folder itself, unless there must be other files in that.
    prepared = long or "script" in template or bool((template.get("inputs") or {}).get("artifacts"))
    work = f"{folder.path}/work" if prepared else folder.path
    views = _views(folder.path, work, containers, volumes, replaced, machine)
    files = [] if not long else [(c["name"], TEMPLATE_FILE, text, 0o644) for _, c in containers]
    maker = _Maker(task, context, machine, folder, OFFLOADED if long else text, files)
    orders = [] if started else [maker.order(role, each, views[each["name"]]) for role, each in containers]
    order: PodOrder = {
        "id": task.id,
        "folder": folder.path,
        "staged": None,
        "grace": context.grace,
        "leash": context.leash,
        "daemon": bool(template.get("daemon")),
        "containers": orders,
    }
    return Plan(
        task=task,
        folder=folder,
        context=context,
        flavour=machine.flavour,
        containers=tuple(containers),
        volumes=volumes,
        views=views,
        replaced=replaced,
        files=tuple(files),
        order=order,
    )


def views_in(plan: Plan, base: str) -> dict[str, View]:
    """The file views of a plan with another folder in the place of the task's."""
    own = plan.folder.path

    def moved(path: str) -> str:
        return base + path[len(own) :] if path.startswith(f"{own}/") else path

    return {
        name: View(
            None if view.root is None else moved(view.root),
            moved(view.work),
            tuple(mount._replace(source=moved(mount.source)) for mount in view.mounts),
        )
        for name, view in plan.views.items()
    }


def _replaced(
    template: Mapping[str, Any], containers: Sequence[tuple[str, Mapping[str, Any]]], machine: Machine
) -> dict[str, tuple[str, ...]]:
    """Folders of this machine in which something is to appear, by container."""
    if machine.flavour == "process":
        return {}
    found: dict[str, set[str]] = {}
    main = main_of(template)
    for _, container in containers:
        paths = [mount["mountPath"] for mount in container.get("volumeMounts") or ()]
        if container["name"] == main:
            paths += [
                each["path"] for each in (template.get("inputs") or {}).get("artifacts") or () if each.get("path")
            ]
        for path in paths:
            folder = replaced_folder(posixpath.normpath(path))
            if folder is not None:
                found.setdefault(container["name"], set()).add(folder)
    return {name: tuple(sorted(folders)) for name, folders in found.items()}


def _views(
    base: str,
    work: str,
    containers: Sequence[tuple[str, Mapping[str, Any]]],
    volumes: Mapping[str, Volume],
    replaced: Mapping[str, tuple[str, ...]],
    machine: Machine,
) -> dict[str, View]:
    if machine.flavour == "process":
        return {each["name"]: View(None, work) for _, each in containers}
    views = {}
    for _, container in containers:
        root = f"{base}/root-{container['name']}"
        mounts = list(binds_of(container, volumes))
        for folder in replaced.get(container["name"], ()):
            mounts += replacing_mounts(root, folder)
        mounts.sort(key=lambda mount: len(mount.target), reverse=True)
        views[container["name"]] = View(root, root, tuple(mounts))
    return views


class _Maker:
    """Makes orders of containers."""

    def __init__(
        self,
        task: Task,
        context: PodContext,
        machine: Machine,
        folder: PodFolder,
        template_text: str,
        files: list[tuple[str, str, str, int]],
    ) -> None:
        self._template = task.body
        self._context = context
        self._machine = machine
        self._folder = folder
        self._text = template_text
        self._files = files
        self._main = main_of(task.body)

    def order(self, role: str, container: Mapping[str, Any], view: View) -> ContainerOrder:
        """A container's order."""
        name = container["name"]
        plain = self._machine.flavour == "process"
        env = whole_environment_of(
            container,
            context=self._context,
            objects=self._machine.objects,
            template=self._text,
            shims=self._machine.shims_seen,
            progress=f"{view.work}/progress" if plain else PROGRESS_FILE,
        )
        env[MARK] = self._folder.path
        command = self._shortened(name, [expand(each, env) for each in self._command(container)])
        before, program, folder = self._start(container, command, env, view)
        tries, pause = tries_of(self._template) if role == "main" else (1, 0.0)
        return {
            "name": name,
            "role": role,
            "program": before[0] if before else program,
            "argv": [*before, *command],
            "env": env,
            "folder": folder,
            "log": self._context.log_of(name, f"{self._folder.path}."),
            "result": self._context.include_result and role == "main" and name == self._main,
            "sandboxed": bool(before),
            "after": list(container.get("dependencies") or ()) if role == "main" else [],
            "tries": tries,
            "pause": pause,
            "probe": self._probe(container, before, env),
        }

    def _command(self, container: Mapping[str, Any]) -> list[str]:
        """Command and arguments; of a script with its source's file as the last."""
        command, arguments = container.get("command") or [], container.get("args")
        image = find_image(container.get("image") or "", self._machine.images)
        if command and image is not None and image.entrypoint and command[0] == image.path:
            command = [*image.entrypoint, *command[1:]]
        if not command:
            if image is None or image.entrypoint is None:
                raise SpecError(
                    f"The container '{container['name']}' of the template '{self._template.get('name')}' has no "
                    f"`command`, and what the image '{container.get('image')}' would run is not known on this machine.",
                    hint="Set `command`, or add the image to `images` in the settings.",
                )
            command = list(image.entrypoint)
            arguments = list(image.arguments) if arguments is None and not container.get("source") else arguments
            if not command and arguments is None:
                command = list(image.arguments)
        words = [str(each) for each in (*command, *(arguments or ()))]
        if not words:
            raise SpecError(f"The container '{container['name']}' has nothing to run.", hint="Set `command`.")
        if container.get("source"):
            words.append(self._script(container))
        return words

    def _script(self, container: Mapping[str, Any]) -> str:
        plain = self._machine.flavour == "process"
        path = f"{self._folder.path}/script" if plain else SCRIPT_FILE
        self._files.append((container["name"], path, container["source"], 0o755))
        return path

    def _shortened(self, name: str, words: list[str]) -> list[str]:
        """Arguments too long for the kernel go to files, as Argo's emissary does it."""
        for number, word in enumerate(words):
            if len(word) * 4 >= LONGEST_STRING and len(word.encode()) >= LONGEST_STRING:
                plain = self._machine.flavour == "process"
                path = f"{self._folder.path}/argo_arg_{number}.txt" if plain else f"/tmp/argo_arg_{number}.txt"  # noqa: S108
                self._files.append((name, path, word, 0o644))
                words[number] = f"@{path}"
        return words

    def _start(
        self, container: Mapping[str, Any], command: Sequence[str], env: Mapping[str, str], view: View
    ) -> tuple[list[str], str, str]:
        """What stands before the command, the program's path, and the working directory of the process to start."""
        if self._machine.flavour == "process":
            return [], self._program(container, command[0], env["PATH"].split(":")), view.work
        seen = [each for each in env["PATH"].split(":") if each != SHIMS]
        if not any(view.mount_of(each) for each in seen):
            self._program(container, command[0], [self._machine.shims, *seen])
        image = find_image(container.get("image") or "", self._machine.images)
        before = sandbox_arguments(
            view,
            bwrap=self._machine.bwrap,
            shims=self._machine.shims,
            shell=_shell() if image is not None and image.busybox else None,
            folder=container.get("workingDir") or "/",
            as_root=self._machine.as_root,
        )
        return before, self._machine.bwrap, "/"

    def _program(self, container: Mapping[str, Any], name: str, search: Sequence[str]) -> str:
        if "/" in name:
            return name
        found = _which(name, ":".join(search))
        if found is None:
            raise ProgramMissingError(
                f"{container['name']}: Error (exit code 64): there is no program '{name}' on this machine, which "
                f"stands for the image '{container.get('image')}'",
                hint=f"Install '{name}', or run this template where its image can be had.",
            )
        return found

    def _probe(self, container: Mapping[str, Any], before: Sequence[str], env: Mapping[str, str]) -> ProbeOrder | None:
        probe = probe_of(container) if self._template.get("daemon") else None
        if probe is None:
            return None
        program = before[0] if before else ""
        if probe.command and not before:
            program = self._program(container, probe.command[0], env["PATH"].split(":"))
        return {
            "argv": [*before, *probe.command] if probe.command else None,
            "program": program,
            "port": None if probe.command else probe.port,
            "path": probe.path,
            "host": probe.host or "127.0.0.1",
            "headers": dict(probe.headers),
            "delay": probe.delay,
            "period": probe.period,
            "timeout": probe.timeout,
            "successes": probe.successes,
        }


@lru_cache(maxsize=1)
def _shell() -> str | None:
    """Bash, which can what busybox's shell can beyond POSIX."""
    return shutil.which("bash", path=":".join(SEARCH))


@lru_cache(maxsize=1024)
def _found(name: str, search: str) -> str:
    path = shutil.which(name, path=search)
    if path is None:
        raise FileNotFoundError(name)
    return path


def _which(name: str, search: str) -> str | None:
    """Path of a program; only what was found is remembered."""
    try:
        return _found(name, search)
    except FileNotFoundError:
        return None


def needs_staging(plan: Plan) -> bool:
    """Whether something must be on disk before the pod starts."""
    inputs = plan.task.body.get("inputs") or {}
    return plan.flavour == "sandbox" or bool(plan.files) or bool(inputs.get("artifacts"))
