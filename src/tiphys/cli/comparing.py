"""Runs side by side, as data: what each had, and what differs. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tiphys._util import human
from tiphys.cli.lookups import StepView
from tiphys.cli.output import short_digest, value_text
from tiphys.records.runs import ExecutionStatus, Run, StepRun
from tiphys.sdk.caching import Difference, explain

#: Said where a run has no such value.
ABSENT = "-"
_HASH = re.compile(r"(?:sha256:)?\b([0-9a-f]{12})[0-9a-f]{30,}…?")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """All that is known of one run."""

    run: Run
    steps: Mapping[str, StepView]
    #: Metadata of the run, of its model version as `model.…`, of steps as `step.…`.
    metadata: Mapping[str, Any] = field(default_factory=dict)
    #: Metadata of outputs as `step.output.…`, most of it noted by itself.
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One fact about all runs.

    Args:
        section: What kind of fact.
        key: Its name.
        values: One for each run, None where it has none.
        texts: The same for people.
        differs: Whether the values are not all equal.
        change: From the first run to the last, where that is a number.
    """

    section: str
    key: str
    values: tuple[Any, ...]
    texts: tuple[str, ...]
    differs: bool
    change: str = ""


def compare_runs(runs: Sequence[RunFacts]) -> list[Line]:
    """All facts about the runs, section by section."""
    lines = [
        _line("run", "status", [facts.run.status.value for facts in runs]),
        _line("run", "pipeline", [facts.run.pipeline_name for facts in runs]),
        _line("run", "stack", [facts.run.stack for facts in runs]),
        _duration_line("run", "duration", [_run_seconds(facts.run) for facts in runs]),
    ]
    lines += _by_key("parameters", [facts.run.parameters for facts in runs])
    lines += _by_key("metrics", [dict(_numbers(facts.metadata)) for facts in runs])
    # A table of ten columns has forty such facts: what is equal is left out.
    lines += [line for line in _by_key("data", [dict(_numbers(facts.data)) for facts in runs]) if line.differs]
    names = list(dict.fromkeys(name for facts in runs for name in facts.steps))
    for name in names:
        views = [facts.steps.get(name) for facts in runs]
        lines.append(_line("steps", name, [view and view.step.status.value for view in views]))
    for name in names:
        seconds = [_step_seconds(facts.steps.get(name)) for facts in runs]
        if any(value is not None for value in seconds):
            lines.append(_duration_line("durations", name, seconds))
    lines += _by_key("artifacts", [dict(_digests(facts)) for facts in runs], text=short_digest)
    return lines


def _run_seconds(run: Run) -> float | None:
    return (run.finished_at - run.started_at).total_seconds() if run.started_at and run.finished_at else None


def _step_seconds(view: StepView | None) -> float | None:
    if view is None or view.step.status is ExecutionStatus.CACHED:
        return None
    step = view.step
    return (step.finished_at - step.started_at).total_seconds() if step.started_at and step.finished_at else None


def _by_key(section: str, mappings: Sequence[Mapping[str, Any]], *, text: Any = value_text) -> Iterator[Line]:
    for key in dict.fromkeys(key for mapping in mappings for key in mapping):
        yield _line(section, key, [mapping.get(key) for mapping in mappings], text=text)


def _line(section: str, key: str, values: Sequence[Any], *, text: Any = value_text) -> Line:
    texts = tuple(ABSENT if value is None else text(value) for value in values)
    return Line(section, key, tuple(values), texts, any(value != values[0] for value in values), _change(values))


def _duration_line(section: str, key: str, values: Sequence[float | None]) -> Line:
    """Durations always differ; it is said only where it is much."""
    texts = tuple(ABSENT if value is None else human.duration(value) for value in values)
    known = [value for value in values if value is not None]
    longest, shortest = max(known, default=0.0), min(known, default=0.0)
    much = len(known) > 1 and longest - shortest > 0.1 and longest > 1.5 * shortest
    return Line(section, key, tuple(values), texts, much)


def _change(values: Sequence[Any]) -> str:
    first, last = values[0], values[-1]
    if not (_is_number(first) and _is_number(last)) or first == last:
        return ""
    return f"{last - first:+.4g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _numbers(metadata: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in metadata.items():
        if _is_number(value):
            yield prefix + key, value
        elif isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}.")


def _digests(facts: RunFacts) -> Iterator[tuple[str, str]]:
    for name, view in facts.steps.items():
        for output, versions in view.outputs.items():
            yield f"{name}.{output}", " ".join(version.digest for version in versions)


@dataclass(frozen=True, slots=True)
class StepDiff:
    """What differs in one step: lines of text, each beginning with what kind of thing it is."""

    name: str
    changes: tuple[str, ...]


def diff_steps(old: RunFacts, new: RunFacts) -> list[StepDiff]:
    """What differs step by step in code, parameters and inputs; steps without a difference have no changes."""
    found = []
    for name in dict.fromkeys([*old.steps, *new.steps]):
        before, after = old.steps.get(name), new.steps.get(name)
        if before is None or after is None:
            missing = old.run.name if before is None else new.run.name
            found.append(StepDiff(name, (f"not in {missing}",)))
        else:
            found.append(StepDiff(name, tuple(_step_changes(before, after))))
    return found


def _step_changes(before: StepView, after: StepView) -> Iterator[str]:
    old, new = before.step, after.step
    if old.source != new.source:
        yield f"source {old.source} → {new.source}"
    yield from _code_changes(old, new)
    yield from (f"parameter {part}" for part in changed_parts(old.parameters, new.parameters))
    inputs_before = {name: _versions(versions) for name, versions in before.inputs.items()}
    inputs_after = {name: _versions(versions) for name, versions in after.inputs.items()}
    for name in dict.fromkeys([*inputs_before, *inputs_after]):
        was, now = inputs_before.get(name), inputs_after.get(name)
        if was is None or now is None or was[0] != now[0]:
            yield f"input {name}: {was[1] if was else ABSENT} → {now[1] if now else ABSENT}"


def _code_changes(old: StepRun, new: StepRun) -> Iterator[str]:
    """What the parts of the cache keys tell beyond parameters and inputs; the digest alone where there are no parts."""
    if old.cache_parts and new.cache_parts:
        found = [
            part for part in explain(old.cache_parts, new.cache_parts) if part.part not in ("parameters", "inputs")
        ]
        yield from map(difference_text, found)
        if any(part.part in ("code", "code_parts") for part in found):
            return
    if old.code_digest != new.code_digest:
        yield f"code changed: {short_digest(old.code_digest)} → {short_digest(new.code_digest)}"


def difference_text(difference: Difference) -> str:
    """A difference between two cache keys for people, with digests cut."""
    return _HASH.sub(r"\1", str(difference))


def _versions(versions: Sequence[Any]) -> tuple[list[str], str]:
    digests = [version.digest for version in versions]
    return digests, ", ".join(
        f"{version.name}:{version.version} ({short_digest(version.digest)})" for version in versions
    )


def changed_parts(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Named values that differ, each as `name: old → new`; long digests are cut."""
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        if before != after or (key in old) != (key in new):
            yield f"{key}: {_part(old, key)} → {_part(new, key)}"


def _part(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return ABSENT
    text = value_text(values[key])
    hexadecimal = text.removeprefix("sha256:")
    if len(hexadecimal) == 64 and not set(hexadecimal) - set("0123456789abcdef"):
        return hexadecimal[:12]
    return text if len(text) <= 80 else text[:79] + "…"
