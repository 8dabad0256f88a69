"""Who was recorded, when and by whom: what a file of NWB asks for and no recording says of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from .errors import ExportError
from .names import Identity

UNKNOWN = "unknown"
#: NCBI's own name of what nobody has identified: NWB takes a Latin name or a link, and no "unknown".
UNIDENTIFIED = "http://purl.obolibrary.org/obo/NCBITaxon_32644"
#: ISO 8601: from no days on, whatever it was.
ANY_AGE = "P0D/"
SEXES = ("M", "F", "O", "U")
_SPECIES = re.compile(r"[A-Z][a-z]+ [a-z]+|http://purl\.obolibrary\.org/obo/NCBITaxon_\d+")
_DURATION = r"P(?!$)(\d+(\.\d+)?Y)?(\d+(\.\d+)?M)?(\d+(\.\d+)?W)?(\d+(\.\d+)?D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?"
_AGE = re.compile(f"{_DURATION}(/({_DURATION})?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFacts:
    """What is known of a session beside its recording. What is left out is exported as unknown.

    Parameters
    ----------
    subject_id : str, optional
    species : str, optional
        In Latin, such as ``Mus musculus``, or a link to NCBI's taxonomy.
    sex : {"M", "F", "O", "U"}, optional
    age : str, optional
        ISO 8601: ``P90D`` are 90 days, ``P12W/P14W`` 12 to 14 weeks.
    session_id : str, optional
    session_start_time : datetime, optional
        With a time zone; UTC if it has none.
    session_description, experiment_description, experimenter, lab, institution : str, optional

    Raises
    ------
    ValueError
        If a value cannot be used; the message names the field, the value and the choices.
    """

    subject_id: str | None = None
    species: str | None = None
    sex: str | None = None
    age: str | None = None
    session_id: str | None = None
    session_start_time: datetime | None = None
    session_description: str | None = None
    experiment_description: str | None = None
    experimenter: str | None = None
    lab: str | None = None
    institution: str | None = None

    def __post_init__(self) -> None:
        for name in ("subject_id", "session_id"):
            if "/" in (getattr(self, name) or ""):
                raise ValueError(f"{name} must be without a slash, got {getattr(self, name)!r}")
        if self.species is not None and not _SPECIES.fullmatch(self.species):
            raise ValueError(f"species must be a Latin name such as Mus musculus, got {self.species!r}")
        if self.sex is not None and self.sex not in SEXES:
            raise ValueError(f"sex must be one of {', '.join(SEXES)}, got {self.sex!r}")
        if self.age is not None and not _AGE.fullmatch(self.age):
            raise ValueError(f"age must be an ISO 8601 duration such as P90D or P12W/P14W, got {self.age!r}")
        if self.session_start_time is not None and self.session_start_time.tzinfo is None:
            object.__setattr__(self, "session_start_time", self.session_start_time.replace(tzinfo=UTC))

    @classmethod
    def from_mapping(cls, values: Mapping[str, str]) -> SessionFacts:
        """Read facts from text, by the names of the fields.

        Raises
        ------
        ExportError
            If a name is not known, or a value cannot be used.
        """
        known = [field.name for field in fields(cls)]
        if strange := [name for name in values if name not in known]:
            raise ExportError(
                strange[0], f"{strange[0]!r} is not known of a session", f"Choose from {', '.join(known)}."
            )
        given: dict[str, Any] = dict(values)
        try:
            if "session_start_time" in given:
                given["session_start_time"] = _read_moment(given["session_start_time"])
            return cls(**given)
        except ValueError as error:
            raise ExportError("about", str(error), "Write it as KEY=VALUE, or leave it out.") from error

    def complete(self, identity: Identity) -> SessionFacts:
        """Take what is not given from what a run knows."""
        return replace(self, subject_id=self.subject_id or (identity.subject or "").replace("/", "-") or None)

    @property
    def unknown(self) -> list[str]:
        """What NWB asks for and is not given."""
        return [
            name
            for name in ("subject_id", "species", "sex", "age", "session_start_time")
            if getattr(self, name) is None
        ]


def _read_moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"session_start_time must be written as 2026-11-21T08:00+01:00, got {text!r}") from error
