"""Which files and runs are found, and what is told of them.

What is found is of two kinds: each file with the run that it came to, and each run that no file tells of (an earlier
one, with other parameters). Both are asked for with the same filter, and put in order together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    UnaryExpression,
    and_,
    asc,
    desc,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import Session, aliased, contains_eager, joinedload, selectinload

from .conditions import SIGNS, columns_of, compile_filter, fields_of, join, select_where, tables_of
from .filter_values import Span, Whole
from .filters import EVERYTHING, And, Comparison, Filter, Or, Value, parse_filter
from .provenance import RunRecord
from .rows import read_record
from .schema import Fate, File, Run, Sitting, Subject

# Whether it is a file, and the number of the file or of the run.
Key: TypeAlias = tuple[bool, int]
# So many rows are loaded by their numbers in one statement.
_BATCH = 5000
# Among so many of the newest, or of those that come first in another order, is looked first.
_FIRST = 3000


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
    if question.limit is None:
        dialect = session.get_bind().dialect.name
        return [tuple(row[2 : 2 + len(fields)]) for row in session.execute(_write(dialect, question, fields))]
    # A few are put in order by what that takes: all that is told of them is looked up for no others.
    keys = _find_keys(session, question)
    found: dict[Key, tuple[Any, ...]] = {}
    for files, runs in _in_batches(keys):
        for own, numbers in ((File, files), (Run, runs)):
            is_file = own is File
            columns = columns_of(is_file)
            query = select(own.id, *(columns[field].label(f"field_{place}") for place, field in enumerate(fields)))
            query = join(query.select_from(own), is_file, tables_of(columns, fields)).where(own.id.in_(numbers))
            found |= {(is_file, row[0]): tuple(row[1:]) for row in session.execute(query)}
    return [found[key] for key in keys]


def find_records(session: Session, question: Question) -> list[RunRecord]:
    """Return all that is known of what is found."""
    keys = _find_keys(session, question)
    found: dict[Key, RunRecord] = {}
    for file_numbers, run_numbers in _in_batches(keys):
        files = select(File).where(File.id.in_(file_numbers))
        runs = select(Run).where(Run.id.in_(run_numbers))
        who = joinedload(File.session).joinedload(Sitting.subject)
        for file in session.scalars(files.options(who, joinedload(File.run).options(*_whole_run()))):
            found[True, file.id] = read_record(file, file.run, is_turn_of_file=True)
        for run in session.scalars(runs.join(Run.file).options(contains_eager(Run.file).options(who), *_whole_run())):
            found[False, run.id] = read_record(run.file, run, is_turn_of_file=False)
        session.expunge_all()
    return [found[key] for key in keys]


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


def _find_keys(session: Session, question: Question) -> list[Key]:
    """Return the kind and number of what is found, in order."""
    dialect = session.get_bind().dialect.name

    def ask(asked: Question, since: datetime | None = None) -> list[Key]:
        return [(bool(row[0]), int(row[1])) for row in session.execute(_write(dialect, asked, (), since=since))]

    if question.limit and question.where != EVERYTHING and question.sort[0] == ("changed", True):
        # What most are found by is found among the newest, without a look at years of others.
        among_newest = ask(question, _find_newest(session, question.where, dialect))
        if len(among_newest) >= question.limit:
            return among_newest
    if question.limit and (bound := _find_bound(session, question)):
        # As well those that come first in another order, without putting all in it.
        among_first = ask(replace(question, where=And((*_parts_of(question.where), bound))))
        if len(among_first) >= question.limit:
            return among_first
    return ask(question)


def _in_batches(keys: Sequence[Key]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the numbers of files, and those of runs."""
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        yield [number for is_file, number in batch if is_file], [number for is_file, number in batch if not is_file]


def _find_newest(session: Session, where: Filter, dialect: str) -> datetime:
    """Return the time since when at most so many files, and so many runs, have changed that are not too new."""
    nth = (
        select(table.changed_at)
        .where(_is_old_enough(where, table, dialect))
        .order_by(table.changed_at.desc())
        .offset(_FIRST)
        .limit(1)
        for table in (File, Run)
    )
    return max((found for query in nth if (found := session.scalar(query))), default=datetime.max.replace(tzinfo=UTC))


def _find_bound(session: Session, question: Question) -> Filter | None:
    """Return what holds of what comes first in the order that is asked for; None if that helps nobody."""
    field, is_descending = question.sort[0]
    if field not in _IN_ORDER or (field in _FIGURES and not _reads_figures(question.where)):
        return None
    (column,) = _IN_ORDER[field].selected_columns
    order = column.desc() if is_descending else column.asc()
    in_order = _IN_ORDER[field].where(column.is_not(None)).order_by(order)
    # Of all that there is, no more are looked at than are wanted.
    is_all = question.where == EVERYTHING
    nth = session.scalar(in_order.offset(question.limit if is_all else _FIRST).limit(1))
    if nth is None:
        return None
    known = Span(nth, nth + timedelta(days=1)) if isinstance(nth, date) else Whole(nth) if isinstance(nth, str) else nth
    sign = ">=" if is_descending else "<="
    bound = Comparison(field=field, sign=sign, values=(Value(text=str(nth), is_quoted=False, known=known),))
    if field == "size" and is_all and len(question.sort) == 1:
        # Of those of one size files come first, and there are enough of them.
        return Or((And((parse_filter("current=yes"), bound)), replace(bound, sign=sign[0])))
    # Of what nearly all have in common nothing comes first.
    is_common = field not in _OF_FILE and nth == session.scalar(in_order.limit(1))
    return None if is_common else bound


def _parts_of(where: Filter) -> tuple[Filter, ...]:
    return where.parts if isinstance(where, And) else (where,)


def _is_old_enough(where: Filter, table: Any, dialect: str) -> ColumnElement[bool]:
    """Return what a filter says of how new anything may be at most."""
    bounds = And(
        tuple(
            part
            for part in _parts_of(where)
            if isinstance(part, Comparison) and part.field == "changed" and part.sign in ("=", "<", "<=")
        )
    )
    return compile_filter(bounds, {"changed": table.changed_at}, dialect)


def _write(dialect: str, question: Question, fields: Sequence[str], *, since: datetime | None = None) -> Select[Any]:
    narrow = _find_narrow(question.where, dialect) if since is None else None
    arms = [_write_one(is_file, dialect, question, fields, since, narrow) for is_file in (True, False)]
    both = union_all(*(select(arm.subquery()) for arm in arms)).subquery()
    return _put_in_order(select(both), question, "is_file", "id")


def _write_one(
    is_file: bool,
    dialect: str,
    question: Question,
    fields: Sequence[str],
    since: datetime | None,
    narrow: CTE | None,
) -> Select[Any]:
    own = File if is_file else Run
    sort = [field for field, _ in question.sort]
    columns = columns_of(is_file)
    told = [columns[field].label(f"field_{place}") for place, field in enumerate(fields)]
    by = [columns[field].label(f"sort_{place}") for place, field in enumerate(sort)]
    query = select(literal(int(is_file)).label("is_file"), own.id.label("id"), *told, *by).select_from(own)
    needed = tables_of(columns, [*fields, *sort], question.where)
    query = join(query, is_file, needed)
    has_run = not is_file or _is_done(question.where)
    if is_file and has_run and Run.__table__ in needed:
        # Said so, the database may begin with the run.
        query = query.where(Run.id.is_not(None))
    if not is_file:
        holder = aliased(File)
        # A file that came to a finished run may be a duplicate, or not finished any more: the run is told beside it.
        tells_it = or_(Run.state != Fate.FINISHED, holder.state == Run.state)
        query = query.where(~select(holder.id).where(holder.run_id == Run.id, tells_it).exists())
    if since is not None:
        # SQLite by their numbers, lest another index be followed.
        newest: Any = aliased(own) if dialect == "sqlite" else own
        is_between = and_(newest.changed_at >= since, _is_old_enough(question.where, newest, dialect))
        query = query.where(is_between if newest is own else own.id.in_(select(newest.id).where(is_between)))
    else:
        # Such that it looks at few rows, or at narrow ones.
        if not is_file:
            query = query.where(_is_of_file(question.where, dialect))
        if narrow is not None:
            run_id: Any = File.run_id if is_file else Run.id
            query = query.where(run_id.in_(select(narrow.c.id)))
    query = query.where(compile_filter(question.where, _by_no_index(columns, dialect), dialect, has_run=has_run))
    if question.where != EVERYTHING and since is None:
        # Apart from their order: databases would rather follow an index that gives it than one that finds the few that
        # are wanted.
        query = select(query.offset(0).subquery())
    return _put_in_order(query, question, "id")


def _put_in_order(query: Select[Any], question: Question, *then: str) -> Select[Any]:
    """Put what is found in the order that is asked for; of what is alike there, the greatest comes first."""
    order = []
    for place, (field, is_descending) in enumerate(question.sort):
        by: UnaryExpression[Any] = (desc if is_descending else asc)(f"sort_{place}")
        # Where something is always known, an index serves the order as it is.
        order.append(by if field in _ALWAYS_KNOWN else by.nulls_last())
    return query.order_by(*order, *map(desc, then)).limit(question.limit)


_ALWAYS_KNOWN = ("state", "name", "path", "warnings", "size", "changed", "attempt", "reason")


# Fields that an index of its own has of each run (`ix_runs_figures`), and those of the parameters that it begins with.
_FIGURES = {"frames", "corrupt", "dropped", "warnings", "brightness", "saturated", "focus", "moved"}
_NARROW = _FIGURES | {"parameters", "crop", "grey"}
# Fields of files alone.
_OF_FILE = {"name", "path", "subject", "date", "plane", "camera", "seen"}
# What indexes have in order.
_IN_ORDER = {
    **{field: select(columns_of(is_file=False)[field]) for field in sorted(_FIGURES)},
    "name": select(File.name),
    "path": select(File.path),
    "size": select(File.size_bytes),
    # In this order, which SQLite would not choose.
    "subject": select(Subject.name).outerjoin(Sitting).outerjoin(File),
    "date": select(Sitting.date).outerjoin(File),
}


def _split(where: Filter) -> tuple[And, And, And]:
    """Return the parts of a filter that need nothing but that index, those about files alone, and the others."""
    parts = _parts_of(where)
    narrow = tuple(filter(_is_narrow, parts))
    of_file = tuple(part for part in parts if fields_of(part) and fields_of(part) <= _OF_FILE)
    return And(narrow), And(of_file), And(tuple(part for part in parts if part not in narrow))


def _reads_figures(where: Filter) -> bool:
    """Say whether runs are to be found by their figures: nothing is asked for by which far fewer may be found."""
    # But for the state, which most have in common.
    return fields_of(_split(where)[2]) <= {"state"}


def _find_narrow(where: Filter, dialect: str) -> CTE | None:
    """Find runs by their figures: once for both, files with runs and runs alone. None if that helps nobody."""
    narrow, _, _ = _split(where)
    if not (fields_of(narrow) & _FIGURES and _reads_figures(where)):
        return None
    # One figure is found by its own index. That would be followed by a look at the whole row for each other one: all
    # of them are read from the index that has all.
    columns = columns_of(is_file=False)
    if len(fields_of(narrow)) > 1:
        columns = _by_no_index(columns, dialect)
    return select_where(Run, narrow, dialect, columns).cte("narrow")


def _by_no_index(columns: Mapping[str, Any], dialect: str) -> Mapping[str, Any]:
    """Hide figures from SQLite, which does not know how many runs have one in common."""
    if dialect != "sqlite":
        return columns
    return {**columns, **{field: func.ifnull(columns[field], None) for field in _FIGURES}}


def _is_of_file(where: Filter, dialect: str) -> ColumnElement[bool]:
    """Say again of a run what a filter says of its file: then the files are looked at before."""
    _, of_file, _ = _split(where)
    return Run.file_id.in_(select_where(File, of_file, dialect)) if of_file.parts else true()


def _is_done(where: Filter) -> bool:
    """Say whether a filter holds for no file that came to no run."""
    return any(
        isinstance(part, Comparison)
        and (part.field, part.sign) == ("state", "=")
        and {value.known for value in part.values} <= {Fate.FINISHED, Fate.DUPLICATE}
        for part in _parts_of(where)
    )


def _is_narrow(where: Filter) -> bool:
    """Say whether a part holds for nothing but runs that the index finds: not for a file that came to none."""
    match where:
        case Comparison(sign="!="):
            return False
        case Comparison(field="warnings"):
            numbers: list[Any] = [value.known for value in where.values]
            # A file without a run has none.
            return not any(number is None or SIGNS[where.sign](0, number) for number in numbers)
        case Comparison():
            return where.field in _NARROW and all(value.known is not None for value in where.values)
        case And() | Or():
            return bool(where.parts) and all(map(_is_narrow, where.parts))
        case _:
            return False
