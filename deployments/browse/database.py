"""The catalogue as Datasette sees it: the sheets, and nothing else of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from datasette.database import Database

from facehog_core.sheets import SHEETS, add_sheets

NAME = "catalogue"
_NAMES = tuple(sheet.name for sheet in SHEETS)
# How long a reader waits while a copy is renewed, seconds.
_PATIENCE_S = 30


class Sheets(Database):
    """A catalogue's file, which is only read.

    Parameters
    ----------
    datasette : Datasette
    path : Path
        The catalogue, or a copy of it; others may be writing to it.
    """

    def __init__(self, datasette: Any, path: Path) -> None:
        super().__init__(datasette, path=str(path), is_mutable=True)

    def connect(self, write: bool = False) -> sqlite3.Connection:
        """Open it: there is no other way to it than this, which cannot write."""
        # As a URI, in which no sign of the path means anything else.
        uri = f"{Path(self.path).as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=_PATIENCE_S)
        connection.execute("PRAGMA temp_store = MEMORY")
        add_sheets(connection)
        connection.execute("PRAGMA query_only = ON")
        self._all_file_connections.append(connection)
        return connection

    async def table_names(self) -> list[str]:
        """Return none: the tables themselves are nobody's to read."""
        return []

    async def table_exists(self, table: str) -> bool:
        """Say that there is none."""
        return False

    async def hidden_table_names(self) -> list[str]:
        """Return none."""
        return []

    async def attached_databases(self) -> list[Any]:
        """Return none: that the sheets are apart from the tables is nobody's concern."""
        return []

    async def view_names(self) -> list[str]:
        """Return the sheets."""
        return list(_NAMES)

    async def get_view_definition(self, view: str) -> str | None:
        """Return how a sheet is made; None if there is no such sheet."""
        return next((sheet.sql for sheet in SHEETS if sheet.name == view), None)
