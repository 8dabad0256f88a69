"""The command line."""

from __future__ import annotations

import sys
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer

from facehog_core.errors import FacehogError

from .commands import ask, backfill, check, compare, export, keep, operate, process, reproduce, service
from .commands.common import FAILED, status_of
from .display import console, print_error, print_json

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="HOG descriptors of a mouse's face, from each recording as soon as it lands.",
    epilog="Exit status: 0 done; 1 failed; 2 wrong usage or configuration; 3 the recording was refused.",
)
# In the order of the help.
for command in (
    service.init,
    service.up,
    operate.status,
    operate.stop,
    operate.service,
    operate.notify,
    operate.prefect,
    service.demo,
    process.process,
    backfill.backfill,
    check.probe,
    ask.find,
    ask.show,
    ask.why,
    compare.diff,
    check.verify,
    reproduce.reproduce,
    export.export,
    export.provenance,
    service.doctor,
):
    app.command()(command)
app.add_typer(keep.app, name="catalogue")


def main() -> None:
    """Run the command line; errors that a user can act on are one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that knows few letters gets the numbers of others.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except FacehogError as error:
        _end(str(error), status_of(error), about=error.path, fact=error.fact, remedy=error.remedy)
    except OSError as error:
        about, fact = str(error.filename or "the system"), error.strerror or str(error)
        _end(f"{about}: {fact}", FAILED, about=about, fact=fact, remedy="")


def _end(said: str, status: int, **parts: str) -> NoReturn:
    print_error(said)
    if "--json" in sys.argv[1:]:
        # A program that reads the answer is not to read people's words.
        print_json({"error": {**parts, "status": status}})
    sys.exit(status)


def _show_version(wanted: bool) -> None:
    if wanted:
        console.print(f"facehog {version('facehog')}")
        raise typer.Exit


@app.callback()
def facehog(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """HOG descriptors of a mouse's face, from each recording as soon as it lands."""


if __name__ == "__main__":
    main()
