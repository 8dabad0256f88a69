"""Which files and runs are found, and what is told of them.

What is found is of two kinds: each file with the run that it came to, and each run that no file tells of (an earlier
one, with other parameters). Both are asked for with the same filter, and put in order together.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Row,
    Select,
    and_,
    cast,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased, contains_eager, joinedload, selectinload

from .filter_values import FIELDS, Chars, Kind, Known, Pattern, Share, Span, Whole, Wild
from .filters import EVERYTHING, And, Comparison, Filter, Not, Or
from .provenance import RunRecord
from .rows import read_record
from .schema import Details, Fate, File, Host, Output, Parameters, Recording, Run, Sitting, Software, Subject
from .verifications import WRONG

# Above any character: what begins with a text is less than the text and this.
_LAST = "\U0010ffff"
# So many rows are loaded by their numbers in one statement.
_BATCH = 5000
# Among so many of the newest is looked first.
_NEWEST = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked.

    Parameters
    ----------
    where : Filter, optional
    sort : sequence of (str, bool), optional
        Fields, and whether the greatest comes first. What is not known comes last.
    limit : int, optional
        How many at most.
    """

    where: Filter = EVERYTHING
    sort: Sequence[tuple[str, bool]] = (("changed", True),)
    limit: int | None = None


def find_rows(session: Session, question: Question, fields: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return some fields of what is found."""
    return [tuple(row[2 : 2 + len(fields)]) for row in _ask(session, question, fields)]


def find_records(session: Session, question: Question) -> list[RunRecord]:
    """Return all that is known of what is found."""
    keys = [(bool(row[0]), int(row[1])) for row in _ask(session, question, ())]
    found: dict[tuple[bool, int], RunRecord] = {}
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        files = select(File).where(File.id.in_([number for is_file, number in batch if is_file]))
        runs = select(Run).where(Run.id.in_([number for is_file, number in batch if not is_file]))
        who = joinedload(File.session).joinedload(Sitting.subject)
        for file in session.scalars(files.options(who, joinedload(File.run).options(*_whole_run()))):
            found[True, file.id] = read_record(file, file.run, is_turn_of_file=True)
        for run in session.scalars(runs.join(Run.file).options(contains_eager(Run.file).options(who), *_whole_run())):
            found[False, run.id] = read_record(run.file, run, is_turn_of_file=False)
        session.expunge_all()
    return [found[key] for key in keys]


def begins_with(column: ColumnElement[str] | InstrumentedAttribute[str], text: str) -> ColumnElement[bool]:
    """Return a condition that an index on the column serves."""
    return and_(column >= text, column < text + _LAST)


def _whole_run() -> tuple[Any, ...]:
    return (
        joinedload(Run.recording),
        joinedload(Run.parameters),
        joinedload(Run.software),
        joinedload(Run.host),
        joinedload(Run.details),
        joinedload(Run.output),
        selectinload(Run.warnings),
    )


def _ask(session: Session, question: Question, fields: Sequence[str]) -> Sequence[Row[Any]]:
    """Return the kind and number of what is found, and its fields, in order."""
    dialect = session.get_bind().dialect.name
    if question.limit and question.where != EVERYTHING and question.sort[0] == ("changed", True):
        # What most are found by is found among the newest, without a look at years of others.
        among_newest = session.execute(_write(dialect, question, fields, since=_find_newest(session))).all()
        if len(among_newest) >= question.limit:
            return among_newest
    return session.execute(_write(dialect, question, fields)).all()


def _find_newest(session: Session) -> datetime:
    """Return the time since when at most so many files, and so many runs, have changed."""
    nth = (select(table.changed_at).order_by(table.changed_at.desc()).offset(_NEWEST).limit(1) for table in (File, Run))
    return max((found for query in nth if (found := session.scalar(query))), default=datetime.max.replace(tzinfo=UTC))


def _write(dialect: str, question: Question, fields: Sequence[str], *, since: datetime | None = None) -> Select[Any]:
    arms = [_write_one(is_file, dialect, question, fields, since) for is_file in (True, False)]
    both = union_all(*(select(arm.subquery()) for arm in arms)).subquery()
    order = [
        _order(both.c[f"sort_{place}"], field, is_descending)
        for place, (field, is_descending) in enumerate(question.sort)
    ]
    return select(both).order_by(*order, both.c.is_file.desc(), both.c.id.desc()).limit(question.limit)


def _write_one(
    is_file: bool, dialect: str, question: Question, fields: Sequence[str], since: datetime | None
) -> Select[Any]:
    own = File if is_file else Run
    sort = [field for field, _ in question.sort]
    columns = _columns(is_file)
    told = [columns[field].label(f"field_{place}") for place, field in enumerate(fields)]
    by = [columns[field].label(f"sort_{place}") for place, field in enumerate(sort)]
    query = select(literal(int(is_file)).label("is_file"), own.id.label("id"), *told, *by).select_from(own)
    query = _join(query, is_file, {*fields, *sort, *_fields_of(question.where)})
    if not is_file:
        holder = aliased(File)
        # A file that came to a finished run may be a duplicate, or not finished any more: the run is told beside it.
        tells_it = or_(Run.state != Fate.FINISHED, holder.state == Run.state)
        query = query.where(~select(holder.id).where(holder.run_id == Run.id, tells_it).exists())
    if since is not None:
        # By their numbers, lest another index be followed.
        newest: Any = aliased(own)
        query = query.where(own.id.in_(select(newest.id).where(newest.changed_at >= since)))
    elif dialect == "sqlite" and (narrow := _find_narrow(question.where)):
        run_id: Any = File.run_id if is_file else Run.id
        query = query.where(run_id.in_(_write_narrow(narrow, dialect)))
    # SQLite would rather follow an index that gives the order than one that finds the few that are wanted.
    is_walk = dialect != "sqlite" or since is not None or question.where == EVERYTHING
    order = [
        _order(columns[field] if is_walk else func.ifnull(columns[field], None), field, is_descending)
        for field, is_descending in question.sort
    ]
    where = _compile(question.where, columns, dialect)
    return query.where(where).order_by(*order, own.id.desc()).limit(question.limit)


def _order(column: ColumnElement[Any], field: str, is_descending: bool) -> ColumnElement[Any]:
    ordered = column.desc() if is_descending else column.asc()
    # Where something is always known, an index serves the order as it is.
    return ordered if field in _ALWAYS_KNOWN else ordered.nulls_last()


_ALWAYS_KNOWN = ("state", "name", "path", "warnings", "size", "changed", "seen", "attempt", "reason")


def _columns(is_file: bool) -> Mapping[str, Any]:
    """Return what each field is, of a file with its run or of a run alone."""
    turn = File if is_file else Run
    return {
        "state": turn.state,
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
        "warnings": func.coalesce(Run.n_warnings, 0),
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


def _fields_of(where: Filter) -> set[str]:
    match where:
        case Comparison():
            return {where.field}
        case Not():
            return _fields_of(where.part)
        case And() | Or():
            return set[str]().union(*map(_fields_of, where.parts))


def _join(query: Select[Any], is_file: bool, fields: set[str]) -> Select[Any]:
    """Join the tables that the fields need, and no others: a join that is of no use costs as much as one that is."""
    columns = _columns(is_file)
    needed = {table for field in fields for table in columns[field]._from_objects}
    if needed & {Subject.__table__, Sitting.__table__}:
        needed |= {File.__table__, Sitting.__table__}
    if needed & {table.__table__ for table in (Recording, Parameters, Software, Host, Output, Details)}:
        needed |= {Run.__table__}
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


# Fields that an index of its own has of each run (`ix_runs_figures`), and those of the parameters that it begins with.
_FIGURES = {"frames", "corrupt", "dropped", "warnings", "brightness", "saturated", "focus", "moved"}
_NARROW = _FIGURES | {"parameters", "crop", "grey"}


def _find_narrow(where: Filter) -> And | None:
    """Return the parts of a filter that need nothing but that index; None where it is of no use."""
    parts = where.parts if isinstance(where, And) else (where,)
    narrow = And(tuple(filter(_is_narrow, parts)))
    # Whatever else is asked for, a subject say, may find far fewer; but for the state, which most have in common.
    others = _fields_of(And(tuple(part for part in parts if part not in narrow.parts)))
    return narrow if _fields_of(narrow) & _FIGURES and others <= {"state"} else None


def _is_narrow(where: Filter) -> bool:
    """Say whether a part holds for nothing but runs that the index finds: not for a file that came to none."""
    match where:
        case Comparison(sign="!="):
            return False
        case Comparison(field="warnings"):
            numbers: list[Any] = [value.known for value in where.values]
            # A file without a run has none.
            return not any(number is None or _SIGNS[where.sign](0, number) for number in numbers)
        case Comparison():
            return where.field in _NARROW and all(value.known is not None for value in where.values)
        case And() | Or():
            return bool(where.parts) and all(map(_is_narrow, where.parts))
        case _:
            return False


def _write_narrow(where: And, dialect: str) -> Select[Any]:
    query = _join(select(Run.id).select_from(Run), False, _fields_of(where))
    return query.where(_compile(where, _columns(False), dialect)).correlate(None)


# Fields that are another table away from files or runs.
_BETWEEN = {
    "subject": Sitting.id,
    "digest": Run.id,
    "parameters": Run.id,
    "crop": Run.id,
    "grey": Run.id,
    "facehog": Run.id,
    "host": Run.id,
    "store": Run.id,
}
_SIGNS = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def _compile(where: Filter, columns: Mapping[str, Any], dialect: str) -> ColumnElement[bool]:
    match where:
        case Not():
            return not_(_compile(where.part, columns, dialect))
        case And():
            return and_(true(), *(_compile(part, columns, dialect) for part in where.parts))
        case Or():
            return or_(false(), *(_compile(part, columns, dialect) for part in where.parts))
        case Comparison(sign="!="):
            return not_(_compile(replace(where, sign="="), columns, dialect))
        case Comparison():
            # As one list: a thousand conditions joined by "or" are nested deeper than SQLite takes.
            whole = [value.known for value in where.values if isinstance(value.known, Whole)]
            known = [value.known for value in where.values if not isinstance(value.known, Whole)]
            told = [*known, whole] if whole else known
            return or_(false(), *(_fits(where.field, where.sign, one, columns, dialect) for one in told))


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
            # Not percent * frames: 0.07 * 10000 is more than 700. Of no frames there is no share.
            share = _SIGNS[sign](100.0 * cast(column, Float) / func.nullif(cast(frames, Float), 0.0), known.percent)
            return and_(column.is_not(None), frames.is_not(None), frames > 0, share)
        case Span():
            fits = _fits_span(column, sign, known)
        case Pattern():
            fits = _fits_pattern(column, known, dialect)
        case list():
            fits = column.in_([one.text for one in known])
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
            fits = _SIGNS[sign](column, literal(known, BigInteger if is_exact else Float))
    # Said of the table between as well, it lets the database begin with the last of them.
    between = _BETWEEN[field] > 0 if field in _BETWEEN else true()
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
