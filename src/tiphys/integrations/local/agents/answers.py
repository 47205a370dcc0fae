"""What carrying a task out comes to: an answer at once, or one that must be waited for."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from tiphys.engine.model import ArtifactValue, Phase, Reason


@dataclass(frozen=True, slots=True)
class Answer:
    """How a task ended."""

    #: Succeeded, or Failed: the answer was no. What could not be carried out is an error that is raised.
    phase: Phase
    message: str = ""
    result: str | None = None
    #: Output parameters and artifacts by name.
    parameters: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, ArtifactValue] = field(default_factory=dict)
    exit_code: int | None = None
    reason: Reason = Reason.NONE


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing can be done before some time has passed; meanwhile no thread is needed."""

    seconds: float
    #: What is waited for, as a sentence goes on after "while waiting for".
    what: str
    #: How far it is ("n/m"), and what there is to be told of it; "" where nothing new is known.
    progress: str = ""
    message: str = ""


#: Goes on after each pause, from any thread, until it gives its answer.
Work = Generator[Pause, None, Answer]


def exceeded(what: str) -> Answer:
    """The answer of a task whose deadline passed; the message begins as Argo's does.

    Args:
        what: What it was doing, as a clause: "while waiting for …".
    """
    return Answer(Phase.FAILED, f"Step exceeded its deadline {what}", reason=Reason.TIMED_OUT)
