"""Keep the catalogue: look at it in a browser, backups, restoring, copies for others, making it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facehog_core.catalogue import Catalogue
from facehog_core.errors import ConfigError
from flows.cluster import LOOPBACK

from ..display import aside, console
from .common import DONE, FAILED, ConfigOption, configure

# Datasette's own, so that people who know it find it there.
PORT = 8001

app = typer.Typer(no_args_is_help=True, help="Look at the catalogue in a browser, and keep it from harm.")


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(help="An address of this machine, or 0.0.0.0, for others: they need the password.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(help="0 for a free one.", min=0, max=65535)] = PORT,
    config: ConfigOption = None,
) -> None:
    """Show the catalogue in a browser, read only, until Ctrl-C."""
    from ..browse.server import serve_catalogue

    loaded, _ = configure(config)
    serve_catalogue(loaded, host=host, port=port, tell=lambda said: console.print(said, markup=False, soft_wrap=True))


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A new SQLite file, whatever database the catalogue is in.")],
    config: ConfigOption = None,
) -> None:
    """Write all that is in the catalogue into a file, also while facehog works."""
    from facehog_core.archive import back_up

    loaded, _ = configure(config)
    back_up(loaded.catalogue, file)
    console.print(f"all that is in the catalogue is in {file}", markup=False)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `catalogue backup` wrote, or facehog before it upgraded.")],
    config: ConfigOption = None,
) -> None:
    """Make the catalogue of a backup. One that is there must be renamed before."""
    from facehog_core.archive import restore as restore_backup

    loaded, _ = configure(config)
    restore_backup(file, loaded.catalogue)
    console.print(f"the catalogue is as it was in {file}", markup=False)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Ends in .parquet or .csv; or in .db, for a copy of all tables.")],
    where: Annotated[list[str] | None, typer.Argument(metavar="[FILTER...]")] = None,
    config: ConfigOption = None,
) -> None:
    """Write the catalogue to a file for those who must not write to it; an earlier one is replaced."""
    from facehog_core.archive import EXPORTS, back_up, export_rows

    loaded, _ = configure(config)
    if file.suffix not in EXPORTS or (where and file.suffix == ".db"):
        raise ConfigError(file, "it is not known what to write", f"Let it end in {', '.join(EXPORTS)}; .db has all.")
    if file.suffix == ".db":
        back_up(loaded.catalogue, file, force=True)
        console.print(f"a copy of all tables is in {file}", markup=False)
        return
    with Catalogue(loaded.catalogue) as catalogue:
        n_rows = export_rows(catalogue, " ".join(where or []), file)
    console.print(f"{n_rows} rows are in {file}", markup=False)


@app.command()
def rebuild(config: ConfigOption = None) -> None:
    """Make the catalogue from the stores, where there is none: if it was lost, say."""
    from facehog_core.archive import rebuild as rebuild_from_stores

    loaded, _ = configure(config)
    rebuilt = rebuild_from_stores(loaded.store, loaded.catalogue, loaded.identify)
    for said in rebuilt.unread:
        aside.print(said, markup=False)
    console.print(f"the catalogue has {rebuilt.n_runs} runs of {loaded.store}", markup=False)
    raise typer.Exit(FAILED if rebuilt.unread else DONE)


@app.command()
def identify(config: ConfigOption = None) -> None:
    """Read anew who was recorded, and when: after `name_pattern` was changed, or a file beside a recording.

    A recording that is not there keeps what is known of it.
    """
    loaded, _ = configure(config)
    with Catalogue(loaded.catalogue, identify=loaded.identify) as catalogue:
        found = catalogue.identify_all()
    left = f"; {found.n_left} are not there, and keep what is known of them" if found.n_left else ""
    console.print(f"something else is known now of {found.n_changed} files{left}")
