"""A filter as conditions of SQL on the catalogue's tables."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Select,
    and_,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.orm import InstrumentedAttribute

from .filter_values import FIELDS, Chars, Kind, Known, Pattern, Share, Span, Whole, Wild
from .filters import EVERYTHING, And, Comparison, Filter, Not, Or
from .schema import Details, Fate, File, Host, Output, Parameters, Recording, Run, Sitting, Software, Subject
from .verifications import WRONG

# Above any character: what begins with a text is less than the text and this.
_LAST = "\U0010ffff"


def begins_with(column: ColumnElement[str] | InstrumentedAttribute[str], text: str) -> ColumnElement[bool]:
    """Return a condition that an index on the column serves."""
    return and_(column >= text, column < text + _LAST)


def columns_of(is_file: bool) -> Mapping[str, Any]:
    """Return what each field is, of a file with its run or of a run alone."""
    turn = File if is_file else Run
    return {
        "state": turn.state,
        "current": literal("yes" if is_file else "no"),
        "name": File.name,
        "path": File.path,
        "subject": Subject.name,
        "date": Sitting.date,
        "plane": File.plane,
        "camera": File.camera,
        "run": Run.run_id,
        "digest": Recording.digest,
        "parameters": Parameters.digest,
        "crop": Parameters.crop,
        "grey": Parameters.grey,
        "frames": Run.n_frames,
        "corrupt": Run.n_corrupt,
        "dropped": Run.n_dropped,
        "warnings": func.coalesce(Run.n_warnings, 0) if is_file else Run.n_warnings,
        "brightness": Run.brightness,
        "saturated": Run.saturated,
        "focus": Run.focus,
        "moved": Run.moved,
        "size": File.size_bytes if is_file else Recording.size_bytes,
        "width": Run.width,
        "height": Run.height,
        "duration": Run.duration_s,
        "changed": turn.changed_at,
        "seen": File.first_seen_at,
        "started": Run.started_at,
        "finished": Run.finished_at,
        "verified": Run.verified_at,
        "verdict": Run.verdict,
        "wrong_since": Run.wrong_since,
        "attempt": turn.attempt,
        "facehog": Software.facehog,
        "host": Host.name,
        "store": Output.store,
        "flow_run": turn.flow_run_id,
        "reason": turn.reason,
        # Nobody's question, but of those that ask what may be compared. Older runs did not say it where it was 0.
        "rotation": func.coalesce(Details.stream["rotation"].as_integer(), 0),
    }


def fields_of(where: Filter) -> set[str]:
    """Return the fields that a filter compares."""
    match where:
        case Comparison():
            return {where.field}
        case Not():
            return fields_of(where.part)
        case And() | Or():
            return set[str]().union(*map(fields_of, where.parts))


def tables_of(columns: Mapping[str, Any], fields: Iterable[str], where: Filter = EVERYTHING) -> set[Any]:
    """Return the tables that have the fields, and what a filter compares."""
    told = {table for field in fields for table in columns[field]._from_objects}
    compared = (_ELSEWHERE[field].own if field in _ELSEWHERE else columns[field] for field in fields_of(where))
    return told.union(*(column._from_objects for column in compared))


def join(query: Select[Any], is_file: bool, needed: set[Any]) -> Select[Any]:
    """Join the tables that are needed, and no others: a join that is of no use costs as much as one that is."""
    if needed & {Subject.__table__, Sitting.__table__}:
        needed = needed | {File.__table__, Sitting.__table__}
    if needed & {table.__table__ for table in (Recording, Parameters, Software, Host, Output, Details)}:
        needed = needed | {Run.__table__}
    joins = (
        (Run, Run.id == File.run_id) if is_file else (File, File.id == Run.file_id),
        (Sitting, Sitting.id == File.session_id),
        (Subject, Subject.id == Sitting.subject_id),
        (Recording, Recording.id == Run.recording_id),
        (Parameters, Parameters.id == Run.parameters_id),
        (Software, Software.id == Run.software_id),
        (Host, Host.id == Run.host_id),
        (Output, Output.run_id == Run.id),
        (Details, Details.run_id == Run.id),
    )
    for table, on in joins:
        if table.__table__ in needed:
            # A run has all of these; said so, the database may begin with any of them.
            is_there = not is_file and table in (File, Recording, Parameters, Software, Host)
            query = query.join(table, on, isouter=not is_there)
    return query


def select_where(own: Any, where: Filter, dialect: str, columns: Mapping[str, Any] | None = None) -> Select[Any]:
    """Return the numbers of the files, or of the runs, for which a filter holds."""
    columns = columns or columns_of(own is File)
    query = join(select(own.id).select_from(own), own is File, tables_of(columns, (), where))
    return query.where(compile_filter(where, columns, dialect)).correlate(None)


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """Where a field is that many rows share.

    Parameters
    ----------
    own : column
        Of files or runs: names the row that has it.
    query : Select
        The numbers of such rows.
    """

    own: Any
    query: Select[Any]


_ELSEWHERE = {
    "parameters": _Elsewhere(Run.parameters_id, select(Parameters.id)),
    "crop": _Elsewhere(Run.parameters_id, select(Parameters.id)),
    "grey": _Elsewhere(Run.parameters_id, select(Parameters.id)),
    "facehog": _Elsewhere(Run.software_id, select(Software.id)),
    "host": _Elsewhere(Run.host_id, select(Host.id)),
    "subject": _Elsewhere(File.session_id, select(Sitting.id).outerjoin(Sitting.subject)),
    "date": _Elsewhere(File.session_id, select(Sitting.id)),
}
SIGNS = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def compile_filter(
    where: Filter, columns: Mapping[str, Any], dialect: str, *, has_run: bool = False
) -> ColumnElement[bool]:
    """Return a filter as a condition that is true or false, and never unknown.

    Parameters
    ----------
    where : Filter
    columns : mapping of str to column
        What each field is.
    dialect : str
    has_run : bool, optional
        Whether it is asked of nothing but runs, and files with one. It changes no answer: indexes serve what is said
        of a run if nothing is said of those without one.
    """
    compiled = partial(compile_filter, columns=columns, dialect=dialect, has_run=has_run)
    match where:
        case Not(Comparison(sign="=" | "!=") as part):
            return compiled(replace(part, sign="!=" if part.sign == "=" else "="))
        case Not():
            return not_(compiled(where.part))
        case And():
            return and_(true(), *map(compiled, where.parts))
        case Or():
            return or_(false(), *map(compiled, where.parts))
        case Comparison(sign="!=") if where.field not in _ELSEWHERE:
            return not_(compiled(replace(where, sign="=")))
        case Comparison():
            # As one list: a thousand conditions joined by "or" are nested deeper than SQLite takes.
            whole = [value.known for value in where.values if isinstance(value.known, Whole)]
            known = [value.known for value in where.values if not isinstance(value.known, Whole)]
            told = [*known, whole] if whole else known
            is_not = where.sign == "!="
            sign = "=" if is_not else where.sign
            fits = or_(false(), *(_fits(where.field, sign, one, columns, dialect) for one in told))
            if (elsewhere := _ELSEWHERE.get(where.field)) is None:
                return fits
            # Found among the few that are shared, and not anew for each row that shares them: what does not fit, too.
            has_it = elsewhere.own.in_(elsewhere.query.where(not_(fits) if is_not else fits).correlate(None))
            is_shared = elsewhere.own.is_not(None)
            if has_run and elsewhere.own.class_ is Run:
                return and_(is_shared, has_it)
            is_none = elsewhere.own.is_(None) if (None in known) is not is_not else false()
            return or_(is_none, and_(is_shared, has_it))


def _fits(
    field: str, sign: str, known: Known | list[Whole], columns: Mapping[str, Any], dialect: str
) -> ColumnElement[bool]:
    """Return a condition that is true or false, and never unknown: then its opposite is what it seems."""
    column = columns[field]
    fits: ColumnElement[bool]
    match known:
        case None:
            fits = column.is_(None)
            return fits
        case Share():
            frames = columns["frames"]
            # Not percent * frames: 0.07 * 10000 is more than 700. Of no frames there is no share, which SQLite says by
            # itself. That of each run may be computed, so no more than it must. "/" itself: SQLAlchemy would make
            # decimal numbers of them on a server.
            divisor = frames if dialect == "sqlite" else func.nullif(frames, 0)
            percent: ColumnElement[Any] = (100.0 * column).op("/")(divisor)
            share = SIGNS[sign](percent, known.percent)
            return and_(column.is_not(None), frames.is_not(None), frames > 0, share)
        case Span():
            fits = _fits_span(column, sign, known)
        case Pattern():
            fits = _fits_pattern(column, known, dialect)
        case list():
            fits = column.in_([one.text for one in known]) if sign == "=" else SIGNS[sign](column, known[0].text)
        case str() if FIELDS[field].kind is Kind.BEGINNING:
            fits = begins_with(column, known)
        case str():
            # Nearly all are finished, and few are wrong: SQLite knows neither.
            is_common = dialect == "sqlite" and known == Fate.FINISHED
            fits = (func.ifnull(column, None) if is_common else column) == known
            if field == "verdict" and known == WRONG:
                fits = and_(fits, Run.wrong_since.is_not(None))
        case _:
            # As a number of its own, and not of the column's type: 1.5 is not to be rounded to whole frames.
            is_exact = isinstance(known, int) and abs(known) < 2**63
            fits = SIGNS[sign](column, literal(known, BigInteger if is_exact else Float))
    # Said of the table between as well, it lets the database begin with the other one.
    between = Run.id > 0 if field in ("digest", "store") else true()
    return and_(between, column.is_not(None), fits)


def _fits_span(column: Any, sign: str, span: Span) -> ColumnElement[bool]:
    compare, bound = {
        "<": (operator.lt, span.start),
        "<=": (operator.lt, span.stop),
        ">": (operator.ge, span.stop),
        ">=": (operator.ge, span.start),
    }.get(sign, (None, span.start))
    if compare is None:
        return and_(column >= span.start, column < span.stop)
    fits: ColumnElement[bool] = compare(column, bound)
    return fits


def _fits_pattern(column: Any, pattern: Pattern, dialect: str) -> ColumnElement[bool]:
    fits: ColumnElement[bool]
    if dialect == "sqlite" and not any(isinstance(part, Chars) for part in pattern.parts):
        # Its regular expressions are Python's, called for each row; its GLOB takes other characters as it likes.
        fits = column.op("GLOB", is_comparison=True)("".join(map(_as_glob, pattern.parts)))
    else:
        # An expression that Python and PostgreSQL read alike.
        fits = column.regexp_match(rf"(?s)\A{''.join(map(_as_regex, pattern.parts))}\Z")
    return fits


def _as_glob(part: str | Wild | Chars) -> str:
    match part:
        case Wild():
            return str(part.value)
        case _:
            return f"[{part}]" if str(part) in "*?[" else str(part)


def _as_regex(part: str | Wild | Chars) -> str:
    match part:
        case Wild.ANY:
            return ".*"
        case Wild.ONE:
            return "."
        case Chars():
            ranges = "".join(f"{_escape(first)}-{_escape(last)}" for first, last in part.ranges)
            return f"[{'^' * part.is_not}{ranges}]"
        case _:
            return _escape(str(part))


def _escape(char: str) -> str:
    return f"\\{char}" if char.isascii() and not char.isalnum() else char
