"""Who was recorded and when: subject, session date, plane and camera, read from the name of a recording."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

#: Reads ``20211105_CSE020_plane1_-587.325``, ``2021-11-05_CSE020_cam0`` and, without a subject, ``20211105_cam0``.
DEFAULT_PATTERN = (
    r"(?P<date>\d{4}-?\d\d-?\d\d)(?=_)(_(?P<subject>(?!(plane|cam|camera)\d)[^_]+))?"
    r"(_plane(?P<plane>[^_]+))?(_cam(era)?(?P<camera>[^_]+))?(_.*)?"
)
# The parts that a pattern may name. A date is one part, or three.
_PARTS = ("subject", "date", "year", "month", "day", "plane", "camera")
#: The keys of an `Identity`, and what completes the sentence "<key> must be ...".
IDENTITY_KEYS = {
    "subject": "a name, such as 'CSE020'",
    "session_date": "a day, such as 2021-11-05",
    "plane": "a name, such as '1'",
    "camera": "a name, such as '0'",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who was recorded and when, as far as it is known.

    Parameters
    ----------
    subject : str, optional
        The mouse.
    session_date : date, optional
        The day of the session.
    plane, camera : str, optional
        Of the recordings of one session, which this one is.

    Raises
    ------
    ValueError
        If a value is none of these.
    """

    subject: str | None = None
    session_date: date | None = None
    plane: str | None = None
    camera: str | None = None

    def __post_init__(self) -> None:
        for name in ("subject", "plane", "camera"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value.strip()):
                raise ValueError(f"{name} must be {IDENTITY_KEYS[name]}, got {value!r}")
        # A time of day is a date too, to Python.
        if self.session_date is not None and type(self.session_date) is not date:
            raise ValueError(f"session_date must be {IDENTITY_KEYS['session_date']}, got {self.session_date!r}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Identity:
        """Rebuild it from `as_dict`, or from what TOML has under the keys of `IDENTITY_KEYS`.

        Raises
        ------
        ValueError
            If a value is wrong.
        """
        known = {name: values[name] for name in IDENTITY_KEYS if values.get(name) is not None}
        if isinstance(day := known.get("session_date"), str):
            known["session_date"] = date.fromisoformat(day)
        return cls(**known)

    def as_dict(self) -> dict[str, str | None]:
        """Return it as JSON values."""
        day = self.session_date
        told = {name: getattr(self, name) for name in IDENTITY_KEYS}
        return told | {"session_date": None if day is None else day.isoformat()}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamePattern:
    """How the names of recordings say who was recorded and when.

    Parameters
    ----------
    text : str, optional
        A regular expression for the whole name without its suffix, with named groups: ``subject``, ``plane``,
        ``camera``, and ``date`` (20211105 or 2021-11-05) or ``year``, ``month`` and ``day``.

    Raises
    ------
    ValueError
        If it is no regular expression, names nothing, or names something else.
    """

    text: str = DEFAULT_PATTERN
    _compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            compiled = re.compile(self.text)
        except re.error as error:
            raise ValueError(f"it is no regular expression: {error}") from error
        named = set(compiled.groupindex)
        if unknown := sorted(named - set(_PARTS)):
            raise ValueError(f"it names {', '.join(unknown)}, and may name {', '.join(_PARTS)}")
        if not named:
            raise ValueError(f"it names none of {', '.join(_PARTS)}")
        if len(named & {"year", "month", "day"}) not in (0, 3) or named >= {"date", "year"}:
            raise ValueError("a day is named by date alone, or by year, month and day together")
        object.__setattr__(self, "_compiled", compiled)

    def read(self, name: str) -> Identity:
        """Return what a name says; nothing is known of one that does not fit, or names a day that there is not."""
        match = self._compiled.fullmatch(name)
        if match is None:
            return Identity()
        parts = {part: value for part, value in match.groupdict().items() if value}
        try:
            return Identity(
                session_date=_read_day(parts),
                **{part: parts[part] for part in ("subject", "plane", "camera") if part in parts},
            )
        except ValueError:
            return Identity()


def _read_day(parts: Mapping[str, str]) -> date | None:
    if "date" in parts:
        return date.fromisoformat(parts["date"])
    if "year" not in parts:
        return None
    year = int(parts["year"])
    return date(year + 2000 if len(parts["year"]) == 2 else year, int(parts["month"]), int(parts["day"]))
