"""The fields that the catalogue can be asked for, and how what they are compared with is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from fractions import Fraction

from .provenance import now
from .schema import Fate

_EQUAL = ("=", "!=")
_ALL = ("=", "!=", "<", "<=", ">", ">=")


class Kind(Enum):
    """What a field holds."""

    TEXT = "text"
    BEGINNING = "beginning"
    CHOICE = "choice"
    COUNT = "count"
    SHARE = "share"
    SIZE = "size"
    SECONDS = "seconds"
    NUMBER = "number"
    PART = "part"
    DAY = "day"
    MOMENT = "moment"


@dataclass(frozen=True, slots=True)
class Field:
    """What can be asked for.

    Parameters
    ----------
    kind : Kind
    said : str
        What it is.
    example : str
        A sign and a value.
    never : str, optional
        What says, beside ``none``, that nothing is known.
    choices : tuple of str, optional
        All that it can be, of a choice.
    """

    kind: Kind
    said: str
    example: str
    never: str = "none"
    choices: tuple[str, ...] = ()

    @property
    def signs(self) -> tuple[str, ...]:
        """By what it can be compared."""
        return _EQUAL if self.kind in (Kind.TEXT, Kind.BEGINNING, Kind.CHOICE) else _ALL


#: By name, in the order in which they are told.
FIELDS = {
    "state": Field(
        Kind.CHOICE, f"what became of it: {', '.join(Fate)}", "=failed,quarantined", choices=tuple(map(str, Fate))
    ),
    "name": Field(Kind.TEXT, "name of the recording's file", "=*m12*"),
    "path": Field(Kind.TEXT, "its whole path", "=/data/inbox/*"),
    "current": Field(
        Kind.CHOICE,
        "yes for what became of a file in the end, no for its earlier runs",
        "=yes",
        choices=("yes", "no"),
    ),
    "subject": Field(Kind.TEXT, "the mouse", "=CSE020"),
    "date": Field(Kind.DAY, "day of the session", ">=2021-11"),
    "plane": Field(Kind.TEXT, "plane that was imaged", "=1"),
    "camera": Field(Kind.TEXT, "camera", "=0"),
    "run": Field(Kind.BEGINNING, "name of the run, or its beginning", "=1f0c2a"),
    "digest": Field(Kind.BEGINNING, "digest of the recording's content, or its beginning", "=1f0c2a"),
    "parameters": Field(Kind.BEGINNING, "digest of the parameters, the second half of a run's name", "=5e21c0aa"),
    "crop": Field(
        Kind.TEXT,
        "x,y,width,height of the crop; none for all of it, and without a run",
        '="53,22,916,475"',
    ),
    "grey": Field(Kind.TEXT, "which grey was chosen", "=luma"),
    "frames": Field(Kind.COUNT, "frames that are described", ">=9000"),
    "corrupt": Field(Kind.SHARE, "those of them that are corrupt: how many, or which share", "<1%"),
    "dropped": Field(Kind.SHARE, "frames that the camera dropped: how many, or as a share of those described", "=0"),
    "warnings": Field(Kind.COUNT, "how many warnings there are", ">0"),
    "brightness": Field(Kind.NUMBER, "mean grey level of its frames, 0 to 255 (the median frame)", "<40"),
    "saturated": Field(Kind.PART, "share of their pixels that are white (the median frame)", ">5%"),
    "focus": Field(Kind.NUMBER, "how sharp they are: variance of the Laplacian (the median frame)", "<5"),
    "moved": Field(Kind.NUMBER, "pixels that the face lies from where the reference has it (the median frame)", ">10"),
    "size": Field(Kind.SIZE, "size of the recording", ">1.5GB"),
    "width": Field(Kind.COUNT, "width of its frames in pixels", "=1280"),
    "height": Field(Kind.COUNT, "height of its frames in pixels", "=1024"),
    "duration": Field(Kind.SECONDS, "how long it takes", ">=10min"),
    "changed": Field(Kind.MOMENT, "since when it is in its state", ">=2026-11-21"),
    "seen": Field(
        Kind.MOMENT,
        "when its file was first seen; none if it was made from stores",
        ">=2026-11-21T08:00",
    ),
    "started": Field(Kind.MOMENT, "when its run started, or went on the last time", ">=2026-11"),
    "finished": Field(Kind.MOMENT, "when its run ended", "<2026-11-21"),
    "verified": Field(Kind.MOMENT, "when its store was verified last, or never", "<2026-01", never="never"),
    "verdict": Field(Kind.CHOICE, "what was found then: sound or wrong", "=wrong", choices=("sound", "wrong")),
    "wrong_since": Field(Kind.MOMENT, "the first verification that found it wrong, if it still is", ">=2026-11-21"),
    "attempt": Field(
        Kind.COUNT,
        "how often in a row its run was started, by --force too; 1 again once it got on or what is around it failed",
        ">1",
    ),
    "facehog": Field(Kind.TEXT, "version of facehog that made it", "=0.1.*"),
    "host": Field(Kind.TEXT, "machine that made it", "=rig3"),
    "store": Field(Kind.TEXT, "where its results are", "=/data/store/*"),
    "flow_run": Field(Kind.TEXT, "Prefect's name for its flow run", "=0a1b*"),
    "reason": Field(Kind.TEXT, "why it is in its state", '="*not H264*"'),
}


class Wild(Enum):
    """What stands for anything, and for one character."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text with ``*``, ``?`` and ``[...]`` in it, in its parts: characters, `Wild` and `Chars`."""

    parts: tuple[str | Wild | Chars, ...]


@dataclass(frozen=True, slots=True)
class Chars:
    """One character that is, or is not, one of these ranges."""

    ranges: tuple[tuple[str, str], ...]
    is_not: bool


@dataclass(frozen=True, slots=True)
class Share:
    """A share in percent."""

    percent: float


@dataclass(frozen=True, slots=True)
class Span:
    """From a time on, before another: a year, a month, a day, an hour, a minute or a second."""

    start: date
    stop: date


@dataclass(frozen=True, slots=True)
class Whole:
    """A text that is meant as it is and not as a beginning, where the field is found by that."""

    text: str


Known = str | int | float | Share | Span | Pattern | Whole | None

_SIZES = {"": 1, "B": 1} | {
    f"{letter}{mark}": base**power
    for power, letter in enumerate("kMGT", 1)
    for mark, base in (("B", 1000), ("iB", 1024))
}
_SECONDS = {"": 1, "s": 1, "min": 60, "h": 3600}
_NUMBER = re.compile(r"([+-]?\d{1,18}(?:\.\d{1,18})?)\s*([A-Za-z%]*)", re.ASCII)
_FROM_NOW = re.compile(r"(yesterday)|today(?:-(\d{1,4}))?", re.ASCII)
_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d))?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)


def read_value(field: str, text: str) -> Known:
    """Read what a field is compared with.

    Returns
    -------
    Known
        A text, a `Pattern`, a number, a `Share` or a `Span`, as the field has it.

    Raises
    ------
    ValueError
        If it cannot be.
    """
    if not text.isprintable():
        raise ValueError("it holds what cannot be printed")
    match FIELDS[field].kind:
        case Kind.TEXT:
            return read_pattern(text)
        case Kind.BEGINNING:
            return text
        case Kind.CHOICE:
            if text not in FIELDS[field].choices:
                raise ValueError(f"{field} is never {text!r}, but {', '.join(FIELDS[field].choices)}")
            return text
        case Kind.COUNT | Kind.NUMBER:
            return _read_number(text, {"": 1})
        case Kind.PART:
            return _read_number(text, {"": 1, "%": Fraction(1, 100)})
        case Kind.SHARE:
            return Share(_read_number(text, {"%": 1})) if text.endswith("%") else _read_number(text, {"": 1})
        case Kind.SIZE:
            return _read_number(text, _SIZES)
        case Kind.SECONDS:
            return _read_number(text, _SECONDS)
        case Kind.DAY:
            return _read_days(text)
        case Kind.MOMENT:
            return _read_moments(text)


def _read_number(text: str, units: Mapping[str, int | Fraction]) -> float:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no number")
    number, unit = match.groups()
    if unit not in units:
        known = ", ".join(filter(None, units))
        raise ValueError(f"{unit!r} is no unit of it" + (f", but {known}" if known else ": it is a number alone"))
    value = Fraction(number) * units[unit]
    return int(value) if value.denominator == 1 else float(value)


def read_pattern(text: str) -> Pattern | str:
    """Read a text with ``*``, ``?`` and ``[...]``; one that fits itself alone comes back as what it fits.

    Raises
    ------
    ValueError
        If a bracket is not closed, or a range goes backwards.
    """
    parts: list[str | Wild | Chars] = []
    at = 0
    while at < len(text):
        match text[at]:
            case "*":
                parts.append(Wild.ANY)
            case "?":
                parts.append(Wild.ONE)
            case "[":
                # A closing bracket right at the beginning is one of the characters.
                is_not = text[at + 1 : at + 2] in ("!", "^")
                stop = text.find("]", at + 2 + is_not)
                if stop < 0:
                    raise ValueError("a [ is not closed: [abc] is one of these characters, [[] is the bracket itself")
                ranges = _read_ranges(text[at + 1 + is_not : stop])
                is_one = len(ranges) == 1 and ranges[0][0] == ranges[0][1] and not is_not
                parts.append(ranges[0][0] if is_one else Chars(tuple(ranges), is_not))
                at = stop
            case char:
                parts.append(char)
        at += 1
    literal = [part for part in parts if isinstance(part, str)]
    return "".join(literal) if len(literal) == len(parts) else Pattern(tuple(parts))


def _read_ranges(chars: str) -> list[tuple[str, str]]:
    ranges = []
    while chars:
        if len(chars) > 2 and chars[1] == "-":
            ranges.append((chars[0], chars[2]))
            chars = chars[3:]
        else:
            ranges.append((chars[0], chars[0]))
            chars = chars[1:]
    if backwards := next((found for found in ranges if found[0] > found[1]), None):
        raise ValueError(f"the range {'-'.join(backwards)} goes backwards")
    return ranges


def _read_days(text: str) -> Span:
    if told := _read_day_from_now(text):
        return Span(told, told + timedelta(days=1))
    match = _TIME.fullmatch(text)
    if match is None or match.group(4):
        raise ValueError(f"{text!r} is no day: 2021, 2021-11, 2021-11-05, today and today-7 are understood")
    year, month, day = (int(part) if part else None for part in match.groups()[:3])
    try:
        start = date(int(year or 0), month or 1, day or 1)
        return Span(start, _after(start, year, month, day))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is no day that there is") from error


def _read_day_from_now(text: str) -> date | None:
    """Return the day of ``today``, ``yesterday`` or ``today-7`` by this machine's clock; None if it is none of them."""
    match = _FROM_NOW.fullmatch(text)
    if match is None:
        return None
    n_days = 1 if match.group(1) == "yesterday" else int(match.group(2) or 0)
    return now().astimezone().date() - timedelta(days=n_days)


def _after(start: date, year: int | None, month: int | None, day: int | None) -> date:
    if day:
        return start + timedelta(days=1)
    if month:
        return date(start.year + month // 12, month % 12 + 1, 1)
    return date(start.year + 1, 1, 1)


def _read_moments(text: str) -> Span:
    if told := _read_day_from_now(text):
        text = told.isoformat()
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is no time: 2026, 2026-11, 2026-11-21, 2026-11-21T08:00, +01:00, today, yesterday and today-7 "
            "are understood"
        )
    *numbers, zone = match.groups()
    year, month, day, hour, minute, second = (int(part) if part else None for part in numbers)
    try:
        start = datetime(int(year or 0), month or 1, day or 1, hour or 0, minute or 0, second or 0)
        if hour is None:
            stop = datetime.combine(_after(start.date(), year, month, day), datetime.min.time())
        else:
            small = second is not None, minute is not None
            stop = start + timedelta(seconds=1 if small[0] else 60 if small[1] else 3600)
        return Span(_in_utc(start, zone), _in_utc(stop, zone))
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"{text!r} is no time that there is") from error


def _in_utc(moment: datetime, zone: str | None) -> datetime:
    """Return a time in UTC; one without a zone is by this machine's clock, as times are shown."""
    if zone:
        moment = datetime.fromisoformat(f"{moment.isoformat()}{zone}")
    return moment.astimezone(UTC)
