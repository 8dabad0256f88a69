"""Timestamps that were written beside a recording: one a frame, in a text file.

Numbers are read exactly as they are written: nanoseconds since 1970 have more digits than a float64. Nothing is
subtracted from them, and nothing is repaired: a line that is no number is an error.
"""

from __future__ import annotations

import csv
import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from io import BufferedReader, TextIOWrapper
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .disk import lies_with_the_file
from .errors import ChangedError, TimestampsError
from .source import measure_file, name_recording, open_file

UNITS = {"s": Fraction(1), "ms": Fraction(1, 10**3), "us": Fraction(1, 10**6), "ns": Fraction(1, 10**9)}
# What a pattern may name of a recording.
PLACES = ("stem", "name")

_NUMBER = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?", re.ASCII)
# With a decimal comma, or with a comma between thousands: another number of the column has to tell.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
# Far more than any clock has: digits of a number, powers of ten, characters of a line.
_MOST_DIGITS = 60
_MOST_TENS = 40
_MOST_CHARACTERS = 2**16
UNREADABLE_TIMESTAMPS = "the timestamps cannot be read"
_REMEDY = "Mend the file, or `timestamps` (file, column, unit), then process the recording again."


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampsSource:
    """Where the timestamps of recordings are, and how they are written.

    Parameters
    ----------
    file : str
        Path, from the recording's folder. ``{stem}`` stands for the recording's name without its suffix (that of a
        folder of images is whole), ``{name}`` for all of it: ``{name}/times.csv`` lies among the images.
    column : str or int, optional
        Name of the column in the first line, or its number, counted from 1. Not needed where there is one alone.
    unit : {"s", "ms", "us", "ns"}, optional
        Unit of the numbers.

    Raises
    ------
    ValueError
        If a value is none of those; the message says which are.
    """

    file: str
    column: str | int | None = None
    unit: str = "s"

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit must be one of {', '.join(UNITS)}, got {self.unit!r}")
        if not _is_column(self.column):
            raise ValueError(f"column must be a name, or a number from 1 on, got {self.column!r}")
        if not isinstance(self.file, str) or not self.file or "\0" in self.file or not is_pattern(self.file):
            raise ValueError(f"file must be a path with {{stem}} or {{name}} in it, or with neither, got {self.file!r}")

    def path_for(self, recording: Path) -> Path:
        """Return where the timestamps of a recording must be."""
        return recording.parent / self.file.format(stem=name_recording(recording), name=recording.name)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def _is_column(value: object) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and value >= 1
    return value is None or isinstance(value, str)


def is_pattern(text: str) -> bool:
    """Say whether a text names nothing of a recording but its ``{stem}`` and its ``{name}``."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        return False
    return all(
        name is None or (name in PLACES and not form and conversion is None) for _, name, form, conversion in parts
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampsFile:
    """The timestamps of one recording, as they were found.

    Parameters
    ----------
    path : Path
    size_bytes : int
    digest : str
        xxh3_128 of the content.
    """

    path: Path
    size_bytes: int
    digest: str


def find_timestamps(recording: Path, source: TimestampsSource | None) -> TimestampsFile | None:
    """Look for the timestamps of a recording.

    Parameters
    ----------
    recording : Path
    source : TimestampsSource or None
        None where no timestamps are to be looked for.

    Returns
    -------
    TimestampsFile or None
        None where there is no such file.

    Raises
    ------
    TimestampsError
        If there is something else than a file, it may not be read, its name is too long, or it is to lie beside the
        recording and is a link that leads away from there.
    OSError
        If the disk or share fails.
    """
    if source is None:
        return None
    path = source.path_for(recording)
    try:
        size_bytes, digest = measure_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if not lies_with_the_file(error):
            raise
        raise TimestampsError(path, f"{UNREADABLE_TIMESTAMPS}: {error.strerror}", _REMEDY) from error
    if not leaves_folder(source.file) and _leads_away(recording, path):
        fact = f"{UNREADABLE_TIMESTAMPS}: a link leads out of the recording's folder"
        raise TimestampsError(path, fact, "Put the file itself there.")
    return TimestampsFile(path=path, size_bytes=size_bytes, digest=digest)


def leaves_folder(file: str) -> bool:
    """Say whether a pattern of `TimestampsSource` names files outside of the recording's folder."""
    # Of either system: a share is written by both.
    return any(kind(file).anchor or ".." in kind(file).parts for kind in (PurePosixPath, PureWindowsPath))


def _leads_away(recording: Path, path: Path) -> bool:
    """Say whether a link is on the way to a file that whoever fills an inbox has put there.

    What it leads to is perhaps not theirs to read, and errors quote it. A recording that is a link itself was named by
    hand, and what belongs to it may lie where it does.
    """
    return not recording.is_symlink() and not path.resolve().is_relative_to(recording.parent.resolve())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timestamps:
    """The numbers of a file, exactly: whole ticks.

    Parameters
    ----------
    ticks : ndarray of int64, or of Python's own integers where 64 bits do not hold them
        One for each line, in the order of the file.
    unit : Fraction
        Seconds in a tick: the last digit that was written.
    """

    ticks: NDArray[Any]
    unit: Fraction


def read_timestamps(file: TimestampsFile, source: TimestampsSource) -> Timestamps:
    """Read timestamps from a text file.

    Columns may be separated by commas, tabs, semicolons or blanks; where it is not by commas, numbers may have a
    decimal comma, unless all that have a comma could as well be thousands (1,234). A first line that is no number is a
    header. Empty lines are passed over, and lines that begin with ``#`` or ``%``: the last of those before the numbers
    may be the header.

    Parameters
    ----------
    file : TimestampsFile
    source : TimestampsSource

    Raises
    ------
    TimestampsError
        If there is no such column, a line is no number or could be two (it is named), or there is none at all.
    ChangedError
        If it is not the file any more that was found.
    OSError
        If the disk or share fails.
    """
    try:
        ticks, exponent = _gather(_read_numbers(file.path, source.column))
    except FileNotFoundError as error:
        raise _changed(file) from error
    if measure_file(file.path) != (file.size_bytes, file.digest):
        raise _changed(file)
    if not ticks:
        raise TimestampsError(file.path, "it holds no timestamps", _REMEDY)
    fits = max(map(abs, ticks)) < 2**63
    return Timestamps(
        ticks=np.array(ticks, np.int64 if fits else object), unit=UNITS[source.unit] * Fraction(10) ** exponent
    )


def _changed(file: TimestampsFile) -> ChangedError:
    return ChangedError(
        file.path,
        "the timestamps changed while they were being read",
        "They will be looked at again with the recording.",
    )


def _gather(numbers: Iterable[tuple[int, int]]) -> tuple[list[int], int]:
    """Bring numbers, each a whole one times a power of ten, to the smallest power among them."""
    values: list[int] = []
    finest = 0
    for value, exponent in numbers:
        if exponent < finest:
            factor = 10 ** (finest - exponent)
            values = [known * factor for known in values]
            finest = exponent
        values.append(value * 10 ** (exponent - finest))
    return values, finest


def _read_numbers(path: Path, column: str | int | None) -> Iterator[tuple[int, int]]:
    """Yield each number as a whole one and the power of ten that it is to be multiplied with."""
    with BufferedReader(open_file(path)) as binary:
        bom = binary.read(2)
        binary.seek(0)
        encoding = "utf-16" if bom in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        # Letters that cannot be read are in headers and remarks; numbers have none.
        with TextIOWrapper(binary, encoding, errors="replace") as text:
            yield from _parse(path, _cells(path, _lines(path, text), column))


def _lines(path: Path, text: TextIOWrapper) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is not empty."""
    number = 0
    while line := text.readline(_MOST_CHARACTERS):
        number += 1
        if len(line) >= _MOST_CHARACTERS:
            raise TimestampsError(path, f"line {number} has no end: this is no list of timestamps", _REMEDY)
        if line := line.strip():
            yield number, line


def _cells(
    path: Path, lines: Iterator[tuple[int, str]], column: str | int | None
) -> Iterator[tuple[int, str, str | None]]:
    """Yield the number of each line that is no header, its cell in the column, and what separates the columns."""
    remark = ""
    delimiter: str | None = None
    place: int | None = None
    for number, line in lines:
        if line[0] in "#%":
            remark = line.lstrip("#% \t")
            continue
        if place is None:
            delimiter = _find_delimiter(line)
            place, is_header = _find_place(path, line, remark, delimiter, column)
            if is_header:
                continue
        cells = _split(line, delimiter)
        if column is None and len(cells) > 1:
            told = f"line {number} has {len(cells)} columns, and none is chosen"
            remedy = "Choose one by `column` of `timestamps`, or --column: its name, or its number from 1 on."
            if delimiter == ",":
                remedy += " If that is a decimal comma, write points."
            raise TimestampsError(path, told, remedy)
        if place >= len(cells):
            told = f"line {number} has {len(cells)} columns, and column {place + 1} is wanted"
            raise TimestampsError(path, told, _REMEDY)
        yield number, cells[place], delimiter


def _parse(path: Path, cells: Iterator[tuple[int, str, str | None]]) -> Iterator[tuple[int, int]]:
    doubtful: tuple[int, str] | None = None
    has_decimal_commas = False
    for number, text, delimiter in cells:
        value = _read_number(text, delimiter)
        if value is None:
            raise TimestampsError(path, f"line {number}: {text[:40]!r} is no number", _REMEDY)
        if "," in text and _THOUSANDS.fullmatch(text):
            doubtful = doubtful or (number, text)
        elif "," in text:
            has_decimal_commas = True
        yield value
    if doubtful and not has_decimal_commas:
        number, text = doubtful
        either = f"{text.replace(',', '.')} and may be {text.replace(',', '')}"
        told = f"line {number}: {text!r} may be {either}"
        raise TimestampsError(path, told, "Write points for decimals, and nothing between thousands.")


def _find_delimiter(line: str) -> str | None:
    """Return what separates the columns; None for blanks."""
    return next((sign for sign in "\t;," if sign in line), None)


def _split(line: str, delimiter: str | None) -> list[str]:
    if '"' in line:
        cells = next(csv.reader([line], delimiter=delimiter or " ", skipinitialspace=True))
    else:
        cells = line.split(delimiter)
    cells = [cell.strip() for cell in cells]
    # A separator at the end of the line begins no column.
    return cells[:-1] if len(cells) > 1 and not cells[-1] else cells


def _find_place(
    path: Path, line: str, remark: str, delimiter: str | None, column: str | int | None
) -> tuple[int, bool]:
    """Return the place of a column, counted from 0, and whether the first line is a header."""
    cells = _split(line, delimiter)
    if not isinstance(column, str):
        place = 0 if column is None else column - 1
        return place, place >= len(cells) or _read_number(cells[place], delimiter) is None
    for header, is_first_line in ((cells, True), (_split(remark, _find_delimiter(remark)), False)):
        if column in header:
            if header.count(column) > 1:
                told = f"{header.count(column)} columns are named {column!r}"
                raise TimestampsError(path, told, "Give the column by its number, counted from 1.")
            return header.index(column), is_first_line
    raise TimestampsError(path, f"no column is named {column!r} (but {', '.join(cells)})"[:400], _REMEDY)


def _read_number(text: str, delimiter: str | None) -> tuple[int, int] | None:
    """Read a number as a whole one and a power of ten; None if it is none."""
    if delimiter != "," and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    found = _NUMBER.fullmatch(text)
    if found is None or len(text) > _MOST_DIGITS:
        return None
    sign, whole, fraction, exponent = found.groups(default="")
    if not whole + fraction or abs(tens := int(exponent or 0)) > _MOST_TENS:
        return None
    return int(f"{sign}{whole}{fraction}"), tens - len(fraction)
