"""`tiphys backup` and `tiphys restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tiphys.cli.lazy import Command

if TYPE_CHECKING:
    from tiphys.server.backups import Backup

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    cls=Command,
    examples=[
        "tiphys backup nightly.tar                the database",
        "tiphys backup --artifacts whole.tar      and artifacts, volumes and logs of this home",
    ],
)
@click.argument("file", type=_FILE)
@click.option("--artifacts", is_flag=True, help="Also artifacts, volumes and logs that are kept in the home.")
def backup(file: Path, artifacts: bool) -> None:
    """Write all that there is to FILE, while servers and runs go on.

    It holds the secrets that are stored, as they are: only its owner can read it. PostgreSQL is read by `pg_dump`.
    """
    from tiphys.bootstrap import read_settings
    from tiphys.server.backups import back_up

    settings = read_settings()
    made = back_up(settings.home, settings.db_url, file, artifacts=artifacts)
    click.echo(f"{file}: {file.stat().st_size} bytes, verified")
    _show(made)


@click.command(
    cls=Command,
    examples=[
        "tiphys restore --dry-run nightly.tar     what it holds, and whether it is whole",
        "tiphys restore nightly.tar               into an empty home",
    ],
)
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Even if that loses what the database has.")
@click.option("--dry-run", is_flag=True, help="Only verify the backup, and show what it holds.")
def restore(file: Path, force: bool, dry_run: bool) -> None:
    """Make this home's database what FILE holds, with the artifacts that are in it.

    No server may run meanwhile. Workflows that had not ended go on when one runs again.
    """
    from tiphys.bootstrap import read_settings
    from tiphys.server import backups

    settings = read_settings()
    if dry_run:
        for _ in backups.verified(file):
            pass
        click.echo(f"{file}: verified, nothing was restored")
        _show(backups.read(file))
        return
    made = backups.restore(settings.home, settings.db_url, file, force=force)
    click.echo(f"Restored to {settings.home}")
    _show(made)


def _show(backup: Backup) -> None:
    click.echo(f"{backup.kind}, schema {backup.schema}, written by Tiphys {backup.version} at {backup.created_at}")
    for name, count in backup.rows.items():
        click.echo(f"  {count:>9} {name}")
    click.echo(f"  {len(backup.files):>9} files")
