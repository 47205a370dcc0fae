"""`tiphys run`: runs a pipeline from a Python file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tiphys.cli.lazy import Command
from tiphys.cli.options import output_option
from tiphys.cli.output import emit, only_the_answer
from tiphys.cli.session import backend


@click.command(
    cls=Command,
    examples=[
        "tiphys run train.py",
        "tiphys run train.py:churn -p epochs=3 -p 'layers=[64, 32]' --no-cache",
        "tiphys run train.py --config prod.yaml --runner process --parallelism 4",
    ],
)
@click.argument("target", metavar="FILE[:PIPELINE]")
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="KEY=VALUE", help="JSON, else text.")
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="YAML configuration.")
@click.option("--name", help="Name of the run; may hold {date} and {time}.")
@click.option("--no-cache", is_flag=True, help="Execute every step, whatever was done before.")
@click.option("--no-resume", is_flag=True, help="Start anew, though an interrupted run of the same could be taken up.")
@click.option("--runner", type=click.Choice(["inline", "process"]), help="Steps in this process, or each in its own.")
@click.option("--parallelism", type=click.IntRange(min=1), help="Most steps at once.")
@click.option("--remote", is_flag=True, help="Have the server carry it out; the project's code is sent along.")
@click.option(
    "--code",
    type=click.Choice(["archive", "git"]),
    help="With --remote: send the project's files (archive), or have the server fetch its commit from git.",
)
@click.option("--stack", help="Run with this stack instead of the active one.")
@output_option
def run(target: str, parameters: tuple[str, ...], no_cache: bool, no_resume: bool, output: str, **given: Any) -> None:
    """Run a pipeline that FILE defines.

    The file is imported, not executed as a script: what stands under `if __name__ == "__main__"` does not run. Where it
    has several pipelines, name one. Ends with 0 if the run completed, with 1 if it failed.
    """
    from tiphys.cli.programs import choose, import_file, parse_parameters, pipelines_of, split_target
    from tiphys.sdk.session import use_backend

    path, wanted = split_target(target)
    session = backend()
    with use_backend(session), only_the_answer(output):
        pipeline = choose(pipelines_of(import_file(path)), wanted, path)
        options = {
            "enable_cache": False if no_cache else None,
            "resume": False if no_resume else None,
            "config_path": given["config"],
            "run_name": given["name"],
            "runner": given["runner"],
            "parallelism": given["parallelism"],
            "stack": given["stack"],
            "remote": given["remote"] or None,
            "code": given["code"],
        }
        configured = pipeline.with_options(**{key: value for key, value in options.items() if value is not None})
        ended = configured(**parse_parameters(parameters, configured))
    if output in ("json", "yaml"):
        emit(ended.record, output)
    elif output == "name":
        click.echo(ended.name)
