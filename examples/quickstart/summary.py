"""What the quickstart prints at its end. Everything is asked of the runs: nothing was kept on the way."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Wide enough for the tables: a narrow terminal wraps lines, it does not lose their ends.
console = Console(highlight=False, soft_wrap=True, width=max(Console().width, 120))


def show(runs: list[Any]) -> None:
    """Print what the runs did, what they made, and where it is."""
    last = runs[-1]
    show_runs(runs)
    show_artifacts(last)
    show_model(last)
    show_service(last)
    show_next()


def show_runs(runs: list[Any]) -> None:
    """Which steps were executed, and which were not."""
    heading("Runs")
    table = Table.grid(padding=(0, 2))
    for run in runs:
        steps = list(run.steps.values())
        executed = [step.name for step in steps if str(step.status) == "completed"]
        cached = sum(str(step.status) == "cached" for step in steps)
        seconds = (run.end_time - run.start_time).total_seconds()
        names = f": {', '.join(executed)}" if 0 < len(executed) <= 2 else ""
        counts = f"{cached} cached, {len(executed)} executed{names}"
        table.add_row("", run.name, str(run.status), f"{seconds:.1f} s", counts)
    console.print(table)


def show_artifacts(run: Any) -> None:
    """The values that steps returned: names, versions, and digests under which they are kept."""
    artifacts = sorted(run.artifact_versions, key=lambda artifact: artifact.id)
    uri = artifacts[0].uri
    place = uri.rpartition("/trees/")[0] if "://" in uri else Path(uri).parents[1]
    heading(f"Artifacts [not bold]in {place}, by the digest of their content")
    table = Table.grid(padding=(0, 2))
    for artifact in artifacts:
        kind = artifact.data_type.rpartition(".")[2]
        digest = artifact.digest.removeprefix("sha256:")[:12]
        size = f"{artifact.size / 1000:,.1f} kB" if artifact.size >= 1000 else f"{artifact.size} B"
        name = artifact.name.removeprefix("quickstart::").removesuffix("::output")
        table.add_row("", name, f"v{artifact.version}", kind, size, digest)
    console.print(table)


def show_model(run: Any) -> None:
    """What is gathered under the model's version, and how good it is."""
    version = run.model_version
    rmse = run.steps["evaluate"].output.load()
    heading("Model")
    console.print(f"  diabetes, version {version.version}: root mean squared error {rmse:.1f}")
    if "warn" in run.steps and run.steps["warn"].outputs:
        console.print(f"  [yellow]drift:[/] {run.steps['warn'].output.load()}")


def show_service(run: Any) -> None:
    """Ask the model server for a prediction."""
    heading("Service")
    deployment = run.steps["mlflow_model_deployer_step"]
    if not deployment.outputs:
        console.print("  [yellow]The model was not good enough to be deployed.[/]")
        return
    service = deployment.output.load()
    patient = run.steps["split"].outputs["test_set"].load().head(1)
    measured = patient.pop("target").item()
    (predicted,) = service.predict(patient)
    facts = ", ".join(f"{name} {value:g}" for name, value in patient.iloc[0].head(4).items())
    console.print(f"  [cyan]{service.prediction_url}[/] answers also after this script has ended")
    console.print(f"  a patient with {facts}, …: predicted {predicted:.0f}, measured {measured:.0f}")


def show_next() -> None:
    """What to try now."""
    heading("Next")
    table = Table.grid(padding=(0, 2))
    tiphys = "tiphys" if shutil.which("tiphys") else os.path.relpath(Path(sys.executable).with_name("tiphys"))
    for command, what in (
        ("runs show", "the last run: steps, times, parameters"),
        ("runs list", "all runs"),
        ("artifact visualize report --open", "the drift report, in the browser"),
        ("model list", "models and their versions"),
        ("cache explain latest train", "why a step was cached, or what changed"),
        ("model-deployer stop diabetes", "end the model server"),
    ):
        table.add_row("", Text(f"{tiphys} {command}", style="cyan"), what)
    console.print(table)
    console.print(
        "  Or change something in run.py, say 'min_samples_leaf', and run it again: what depends on it follows."
    )


def heading(title: str) -> None:
    """Begin a part."""
    console.print(f"\n[bold]{title}[/]")
