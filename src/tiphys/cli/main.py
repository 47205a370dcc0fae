"""Entry point of `tiphys`. Imports nothing but click: `tiphys --help` must answer at once."""

from __future__ import annotations

import click

from tiphys._version import __version__
from tiphys.cli.lazy import Entry, LazyGroup

_RUN, _RECORDS, _STACK, _COMPONENTS = "Run", "Look at what was made", "Set up", "Components of a stack"


def _component(help: str, name: str) -> Entry:
    return Entry("tiphys.cli.components:group", help, _COMPONENTS, name)


ENTRIES = {
    "init": Entry("tiphys.cli.project:init", "Keep this project's runs and artifacts in its own folder.", _RUN),
    "run": Entry("tiphys.cli.run:run", "Run a pipeline from a Python file.", _RUN),
    "status": Entry("tiphys.cli.project:status", "Where everything is kept, and what is running.", _RUN),
    "login": Entry("tiphys.cli.login:login", "Use a server from now on.", _RUN),
    "logout": Entry("tiphys.cli.login:logout", "Use this machine's database again.", _RUN),
    "version": Entry("tiphys.cli.project:version", "Versions of Tiphys and of what it runs on.", _RUN),
    "argo": Entry("tiphys.cli.argo.group:argo", "Workflows in Argo's language: submit, look, stop, retry.", _RUN),
    "server": Entry("tiphys.cli.server:server", "Serve Argo's REST API, and carry workflows out.", _RUN),
    "queue": Entry("tiphys.cli.queue:queue", "Workflows that wait, and how many may run at once.", _RUN),
    "backup": Entry("tiphys.cli.backup:backup", "Write everything to one file, while all goes on.", _STACK),
    "restore": Entry("tiphys.cli.backup:restore", "Make a home what a backup holds.", _STACK),
    "user": Entry("tiphys.cli.users:user", "Who may use a server, and what they may do.", _STACK),
    "api-key": Entry("tiphys.cli.api_keys:api_key", "Keys by which programs use a server.", _STACK),
    "configmap": Entry("tiphys.cli.objects:group", "ConfigMaps that workflows read.", _STACK, "ConfigMap"),
    "secret": Entry("tiphys.cli.objects:group", "Secrets that workflows read.", _STACK, "Secret"),
    "pvc": Entry("tiphys.cli.objects:group", "Volumes that outlive workflows.", _STACK, "PersistentVolumeClaim"),
    "pipeline": Entry("tiphys.cli.pipelines:pipeline", "Pipelines that were run.", _RECORDS),
    "runs": Entry("tiphys.cli.runs:runs", "Runs: look, follow, stop, resume, compare.", _RECORDS),
    "artifact": Entry("tiphys.cli.artifacts:artifact", "Artifacts and their versions.", _RECORDS),
    "model": Entry("tiphys.cli.models:model", "Models, their versions and stages.", _RECORDS),
    "cache": Entry("tiphys.cli.cache:cache", "Why a step was or was not cached.", _RECORDS),
    "event": Entry("tiphys.cli.events:event", "Events: what came in, what is posted to others.", _RECORDS),
    "tag": Entry("tiphys.cli.tags:tag", "Tags.", _RECORDS),
    "stack": Entry("tiphys.cli.stacks:stack", "Stacks: what pipelines run on and with.", _STACK),
    "integration": Entry("tiphys.cli.integrations:integration", "Integrations and what they need.", _STACK),
    "orchestrator": _component("Where pipelines are carried out.", "orchestrator"),
    "artifact-store": _component("Where artifacts' data is kept.", "artifact_store"),
    "experiment-tracker": _component("Where metrics and parameters are logged.", "experiment_tracker"),
    "model-deployer": _component("How models are served, and the services.", "model_deployer"),
    "model-registry": _component("Catalogues of models.", "model_registry"),
    "data-validator": _component("Data checks and drift.", "data_validator"),
    "step-operator": _component("Where single steps are carried out.", "step_operator"),
    "container-registry": _component("Where images are pushed.", "container_registry"),
    "image-builder": _component("How images are built.", "image_builder"),
    "alerter": _component("Who is told what happened.", "alerter"),
    "feature-store": _component("Features for training and serving.", "feature_store"),
    "annotator": _component("Labelling of data.", "annotator"),
    "log-store": _component("Where steps' logs go.", "log_store"),
    "deployer": _component("Pipelines as HTTP services.", "deployer"),
}
#: Commands that are called by ourselves.
HIDDEN = {"step": Entry("tiphys.cli.step:step", "Single steps of an exported pipeline.")}


class _RootGroup(LazyGroup):
    """Knows the hidden commands without listing them."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        hidden = HIDDEN.get(cmd_name)
        return hidden.load() if hidden else super().get_command(ctx, cmd_name)


@click.group(
    cls=_RootGroup,
    entries=ENTRIES,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples=[
        "tiphys run train.py -p epochs=3     run the pipeline in train.py",
        "tiphys runs list                    what ran, and how it ended",
        "tiphys runs compare A B             what differs between two runs",
        "tiphys COMMAND --help               examples for each command",
    ],
)
@click.version_option(__version__, prog_name="tiphys", message="%(prog)s %(version)s")
def main() -> None:
    """ML pipelines on a durable workflow engine."""
