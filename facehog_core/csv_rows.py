"""Rows of the catalogue as CSV: the same from every command that writes it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, TextIO


def write_rows(file: TextIO, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Write a line of names, and a line a row; times are in UTC, as ISO 8601 has them."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([as_plain(value) for value in row] for row in rows)


def as_plain(value: Any) -> Any:
    """Return a value as CSV and JSON take it."""
    return value.isoformat() if isinstance(value, date) else value
