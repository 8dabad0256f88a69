"""Make runs a second time, and compare."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facehog_core.catalogue import Catalogue
from facehog_core.errors import CatalogueError
from facehog_core.path_text import as_text

from ..display import aside, console, plain, print_json
from .common import DONE, FAILED, ConfigOption, JsonOption, configure

# A command imports what it needs, when it is given.
if TYPE_CHECKING:
    from facehog_core.reproduce import Reproduction


def reproduce(
    run: Annotated[str, typer.Argument(help="Name of a run, or its beginning.")],
    scratch: Annotated[
        Path | None, typer.Option(help="Folder with as much room as the store takes; the system's if left out.")
    ] = None,
    by_hand: Annotated[bool, typer.Option("--by-hand", help="Only write the program that does it by hand.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a run a second time from what was recorded, and say array by array and frame by frame what differs."""
    from facehog_core.reproduce import Reproduction, reproduce_run, tell_by_hand

    loaded, _ = configure(config)
    with Catalogue(loaded.catalogue, stores=loaded.store) as catalogue:
        record = catalogue.run(run)
    if record.store is None:
        raise CatalogueError(run, f"the run is {record.state}: {record.reason}", "Finished runs can be reproduced.")
    if by_hand:
        sys.stdout.write(tell_by_hand(record))
        return
    with aside.status(f"reads {plain(as_text(record.path.name))}") as status:
        for found in reproduce_run(record.store, scratch):
            if isinstance(found, Reproduction):
                break
            status.update(f"{plain(as_text(record.path.name))}: {found.doing} frames, {found.n_done} of {found.n_all}")
    if as_json:
        print_json(found.as_dict())
    else:
        for array in found.arrays:
            console.print(f"[{'green' if array.is_same else 'red'}]{plain(array)}[/]", soft_wrap=True)
        for text in (*found.told, *(f"another version: {text}" for text in found.versions)):
            console.print(plain(text), soft_wrap=True)
        console.print(_conclude(found), soft_wrap=True)
    raise typer.Exit(DONE if found.is_same else FAILED)


def _conclude(found: Reproduction) -> str:
    if found.is_same:
        return f"{found.run_id} is reproduced: all results are the same to the last bit."
    if found.versions:
        return f"{found.run_id} is not reproduced. Other versions may be why: --by-hand says how to use those of then."
    return (
        f"{found.run_id} is not reproduced, though all versions are those of then: memory or disk of this machine, or "
        "of the one that made it, may be at fault. Try another one."
    )
