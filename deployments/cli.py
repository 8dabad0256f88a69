"""The command line."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from facehog_core.errors import FacehogError

from .commands import ask, check, export, operate, process, reproduce, service
from .commands.common import FAILED, status_of
from .display import console, print_error

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
    service.demo,
    process.process,
    check.probe,
    ask.find,
    ask.show,
    ask.why,
    check.verify,
    reproduce.reproduce,
    export.export,
    service.doctor,
):
    app.command()(command)


def main() -> None:
    """Run the command line; errors that a user can act on are one line on standard error."""
    try:
        app()
    except FacehogError as error:
        print_error(str(error))
        sys.exit(status_of(error))
    except OSError as error:
        print_error(f"{error.filename or 'the system'}: {error.strerror or error}")
        sys.exit(FAILED)


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
