"""Steps for Hera's script runner, which imports them by name where they are carried out."""

from pathlib import Path
from typing import Annotated

import hera
from hera.workflows import Artifact, HostPathVolume, NoneArchiveStrategy, Parameter, script
from hera.workflows.artifact import ArtifactLoader

#: Where this module and Hera are: pods have this machine's Python, and of its other files what volumes bring.
PLACES = (Path(__file__).parents[2], Path(hera.__file__).parents[1])


def _step(function):
    where = {f"/code/{number}": str(place) for number, place in enumerate(PLACES)}
    volumes = [HostPathVolume(name=at.replace("/", "-")[1:], path=path, mount_path=at) for at, path in where.items()]
    environment = {"PYTHONPATH": ":".join(where)}
    return script(constructor="runner", image="python", env=environment, volumes=volumes)(function)


@_step
def doubled(
    n: Annotated[int, Parameter(name="n")],
) -> tuple[
    Annotated[int, Parameter(name="twice")],
    Annotated[str, Artifact(name="told", archive=NoneArchiveStrategy())],
]:
    return n * 2, f"{n} is half of it"


@_step
def summed(
    a: Annotated[int, Parameter(name="a")],
    b: Annotated[int, Parameter(name="b")],
    told: Annotated[str, Artifact(name="told", loader=ArtifactLoader.file)],
) -> Annotated[str, Parameter(name="sum")]:
    return f"{a + b}: {told}"
