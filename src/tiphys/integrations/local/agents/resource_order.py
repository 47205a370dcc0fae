"""What a `resource` template asks for: an action, and the object that manifest and flags name.

Manifest and flags mean what kubectl makes of them (argo-workflows v4.1, workflow/executor/resource.go:
getKubectlArguments). Of kubectl's flags those are known that choose objects or change what becomes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tiphys.errors import SpecError
from tiphys.ports.object_keeper import Deletion, Kind
from tiphys.spec import yaml
from tiphys.spec.template import ResourceTemplate

ACTIONS = ("get", "create", "apply", "delete", "replace", "patch")

#: Flag → what it is kept as; with a value.
_WITH_VALUE = {
    "-n": "namespace",
    "--namespace": "namespace",
    "-l": "selector",
    "--selector": "selector",
    "--grace-period": "grace",
}
#: Flags that are there or not. Nothing is validated beyond what is always: `--validate` changes nothing.
_SWITCHES = {
    "--all": "all",
    "--cascade": "cascade",
    "--force-conflicts": "force",
    "--ignore-not-found": "ignore",
    "--server-side": "server-side",
    "--validate": "validate",
    "--wait": "wait",
}
_CASCADES = ("background", "foreground", "orphan")
_ON = frozenset({"", "true", "1", "t"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An action on an object, or on those that a selector means."""

    action: str
    #: As manifest or flags name it.
    kind: Kind
    namespace: str
    #: Empty if `metadata.generateName` or a selector stands for it.
    name: str = ""
    #: Label selector; None if a name is given.
    selector: str | None = None
    #: The manifest as JSON: an object, or a list of operations; None if there is none.
    content: Any = None
    #: Of a patch: strategic, merge or json.
    strategy: str = "strategic"
    #: Whether nothing is given where the object is not there.
    ignore_missing: bool = False
    #: Whether fields that somebody else has set are taken over when something is applied.
    force: bool = True
    deletion: Deletion = field(default_factory=Deletion)
    #: Whether the end of an object that is deleted is waited for.
    wait: bool = True

    def __str__(self) -> str:
        return f"{self.kind.name} '{self.name}'" if self.name else f"objects of the kind {self.kind.name}"


@dataclass(slots=True)
class _Flags:
    """kubectl's arguments, read."""

    words: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)

    def on(self, switch: str, default: str = "false") -> bool:
        return self.values.get(switch, default).lower() in _ON


def read_order(resource: ResourceTemplate, manifest: str, *, namespace: str) -> Order:
    """What is to be done.

    Args:
        resource: The template's body.
        manifest: YAML text; may be empty.
        namespace: The workflow's.

    Raises:
        SpecError: that cannot be made out.
    """
    action = resource.action or ""
    if action not in ACTIONS:
        raise SpecError(f"resource.action: '{action}' is not one of {', '.join(ACTIONS)}.")
    flags = _read_flags(resource.flags or ())
    content = _read_manifest(manifest)
    if content is None and not flags.words:
        raise SpecError("resource: there is neither a manifest nor are there flags that name an object.")
    strategy = resource.merge_strategy or "strategic"
    # As kubectl is called: a patch that does not say its kind is about the object that the flags name.
    described = content if action != "patch" or _describes(content, flags, strategy) else None
    kind, name = _target(action, described, flags)
    selector = flags.values.get("selector", "" if flags.on("all") else None)
    if name and selector is not None:
        raise SpecError(f"resource: '{name}' is named, and the flags select objects.", hint="Give one of the two.")
    order = Order(
        action=action,
        kind=kind,
        namespace=_namespace(described, flags, namespace),
        name=name,
        selector=selector,
        content=content,
        strategy=strategy,
        ignore_missing=action == "delete" or flags.on("ignore"),
        # What kubectl applies itself has always its way; the server asks first.
        force=flags.on("force") or not flags.on("server-side"),
        deletion=_deletion(flags),
        wait=flags.on("wait", "true"),
    )
    _check(order, described)
    return order


def _read_flags(given: Sequence[str]) -> _Flags:
    flags, rest = _Flags(), list(given)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-"):
            flags.words.append(argument)
            continue
        name, equals, value = argument.partition("=")
        if name in _WITH_VALUE:
            if not equals and not rest:
                raise SpecError(f"resource.flags: '{name}' needs a value.")
            flags.values[_WITH_VALUE[name]] = value if equals else rest.pop(0)
        elif name in _SWITCHES:
            flags.values[_SWITCHES[name]] = value
        else:
            known = ", ".join((*_WITH_VALUE, *_SWITCHES))
            raise SpecError(f"resource.flags: '{name}' is not known.", hint=f"Known are {known}.")
    return flags


def _read_manifest(text: str) -> Any:
    documents = [document for document in yaml.load_all(text, source="resource.manifest") if document is not None]
    if len(documents) > 1:
        raise SpecError(
            f"resource.manifest holds {len(documents)} objects, not one.", hint="Use one template for each of them."
        )
    return documents[0] if documents else None


def _describes(content: Any, flags: _Flags, strategy: str) -> bool:
    """Whether the patch itself says what it is applied to."""
    return strategy != "json" and not (flags.words and isinstance(content, dict) and not content.get("kind"))


def _target(action: str, described: Any, flags: _Flags) -> tuple[Kind, str]:
    """Kind and name of the object; the name may be empty."""
    if described is not None:
        if flags.words:
            raise SpecError(
                f"resource: the manifest names an object, and so do the flags ({' '.join(flags.words)}).",
                hint="Give one of the two.",
            )
        if not isinstance(described, dict):
            raise SpecError("resource.manifest is not an object.")
        kind = Kind(str(described.get("kind") or ""), str(described.get("apiVersion") or ""))
        if not kind.name:
            raise SpecError("resource.manifest has no kind.", hint="Write kind and apiVersion, as kubectl wants them.")
        return kind, str((described.get("metadata") or {}).get("name") or "")
    if action in ("create", "apply", "replace"):
        raise SpecError(f"resource: '{action}' needs a manifest.")
    if not flags.words:
        raise SpecError("resource: a json patch needs flags that name an object.", hint='Write flags: ["wf", "NAME"].')
    word, slash, name = flags.words[0].partition("/")
    names = [*([name] if slash else []), *flags.words[1:]]
    if len(names) > 1:
        raise SpecError(f"resource.flags name several objects: {' '.join(names)}.", hint="Name one.")
    return Kind(word), names[0] if names else ""


def _deletion(flags: _Flags) -> Deletion:
    cascade, grace = flags.values.get("cascade", ""), flags.values.get("grace", "-1")
    if cascade and cascade not in _CASCADES:
        raise SpecError(f"resource.flags: --cascade is {cascade}, and can be {', '.join(_CASCADES)}.")
    if not grace.removeprefix("-").isdecimal():
        raise SpecError(f"resource.flags: --grace-period is {grace}, which is no whole number.")
    return Deletion(cascade=cascade or _CASCADES[0], grace=int(grace) if int(grace) >= 0 else None)


def _namespace(described: Any, flags: _Flags, default: str) -> str:
    written = str(((described or {}).get("metadata") or {}).get("namespace") or "")
    wanted = flags.values.get("namespace", "")
    if written and wanted and written != wanted:
        raise SpecError(f"resource: the manifest's namespace is {written}, and that of the flags {wanted}.")
    return written or wanted or default


def _check(order: Order, described: Any) -> None:
    """See that it is known which object is meant."""
    generated = bool(((described or {}).get("metadata") or {}).get("generateName"))
    if order.action == "patch" and order.content is None:
        raise SpecError("resource: 'patch' needs a manifest: the patch.")
    if (
        order.name
        or (order.action == "create" and generated)
        or (order.action == "delete" and order.selector is not None)
    ):
        return
    raise SpecError(
        f"resource: '{order.action}' needs the name of one object of the kind {order.kind.name}.",
        hint="Write it under metadata.name of the manifest, or after the kind in the flags.",
    )
