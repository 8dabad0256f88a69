"""The language of filters: what it reads, what it prints, and that the catalogue finds what it says."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from facehog_core import queries
from facehog_core.catalogue import Catalogue
from facehog_core.errors import FilterError
from facehog_core.filter_values import FIELDS
from facehog_core.filters import EVERYTHING, And, Comparison, Filter, Not, Or, Value, parse_filter
from facehog_core.names import Identity
from facehog_core.provenance import RunRecord
from facehog_core.schema import Fate
from facehog_core.source import Signature
from facehog_core.verifications import Verification

LOOK = Signature(size_bytes=1, mtime_ns=1, inode=1)
NOON = datetime(2021, 11, 5, 12, tzinfo=UTC)
NAMES = ("m12.mp4", "M12.mp4", "20211105_CSE020.mp4", "a b.mkv", "it's.mp4", 'say "m".mp4', "50%.mp4", "ümlaut_1.mov")


# -- what is read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("subject=CSE020 and date>=2021-11 and corrupt<1%", "subject=CSE020 and date>=2021-11 and corrupt<1%"),
        ("state=finished name=*m12*", "state=finished and name=*m12*"),
        ("a b".replace("a", "plane=1").replace("b", "NOT camera = 2"), "plane=1 and not camera=2"),
        ("plane=1 or plane=2 and camera=0", "plane=1 or plane=2 and camera=0"),
        ("(plane=1 or plane=2) and camera=0", "(plane=1 or plane=2) and camera=0"),
        ("not (plane=1 camera=0)", "not (plane=1 and camera=0)"),
        ("not not plane=1", "not not plane=1"),
        ("state = finished , failed", "state=finished,failed"),
        ('path="/data/my videos/*"', 'path="/data/my videos/*"'),
        ("((plane='\"'))", "plane='\"'"),
        ("", ""),
        ("  ", ""),
    ],
)
def test_filters_are_read_as_they_are_meant(text: str, printed: str) -> None:
    assert str(parse_filter(text)) == printed


def test_what_binds_closest_is_read_first() -> None:
    plane, camera, grey = (parse_filter(text) for text in ("plane=1", "camera=0", "grey=rgb"))

    assert parse_filter("plane=1 or camera=0 and not grey=rgb") == Or((plane, And((camera, Not(grey)))))
    assert parse_filter("not plane=1 and camera=0") == And((Not(plane), camera))


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("subjekt=CSE020", 0, "there is no field 'subjekt'. Did you mean subject? Choose from state, name"),
        ("state=finished and corrupt<", 27, "a value is missing after corrupt<. Write it as corrupt<1%"),
        ("state=finished and and", 19, "'and' stands where a field is expected"),
        ("state=finished or", 17, "the filter ends where a field is expected"),
        ("(state=finished", 0, "this bracket is not closed"),
        ("state=finished)", 14, "no bracket is open here"),
        ('name="m12', 5, "this quotation mark is not closed"),
        ("state=done", 6, "state is never 'done', but waiting, queued"),
        ("mice", 0, "there is no field 'mice'"),
        ("name", 4, "name is compared with nothing. Write it as name=*m12*"),
        ("name and", 5, "name is compared with nothing"),
        ("name>m12", 5, "name is compared by = and != alone"),
        ("frames<none", 7, "frames is compared by = and != alone"),
        ("frames<1,2", 8, "several values fit < in no way"),
        ("frames=many", 7, "'many' is no number"),
        ("frames=1%", 7, "'%' is no unit of it: it is a number alone"),
        ("size>1PB", 5, "'PB' is no unit of it, but B, kB"),
        ("corrupt<1kB", 8, "'kB' is no unit of it"),
        ("date>=2021-13", 6, "'2021-13' is no day that there is"),
        ("date=9999-12-31", 5, "is no day that there is"),
        ("date=2021-11-05T08", 5, "is no day: 2021, 2021-11, 2021-11-05, today and today-7 are understood"),
        ("changed>tomorrow", 8, "'tomorrow' is no time"),
        ("current=true", 8, "current is never 'true', but yes, no"),
        (
            "name=a mouse",
            7,
            "A value with spaces stands in quotation marks, and the filter in others: '...=\"a mouse\"'",
        ),
        ("changed>2021-11-05T25", 8, "is no time that there is"),
        ("name=m[12", 5, "a [ is not closed"),
        ("name=[z-a]", 5, "the range z-a goes backwards"),
        ("name='a\nb'", 5, "it holds what cannot be printed"),
        ("plane=or", 6, 'Write it in quotation marks: "or"'),
        ("name=m12;name=m13", 13, "'=' stands where a field is expected"),
        ("name=!m12", 5, "'!' has no meaning here"),
        ("(" * 99 + "plane=1" + ")" * 99, 51, "this is nested too deeply"),
        ("not " * 99 + "plane=1", 4 * 51, "this is nested too deeply"),
        ("plane=" + ",".join("1" * 300), 6 + 2 * 200, "these are too many values"),
    ],
)
def test_a_filter_that_cannot_be_read_is_answered_at_its_place(text: str, at: int, said: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    first, shown, caret = str(caught.value).splitlines()
    assert said in first
    assert shown[2:] == text.replace("\n", " ")
    assert caret == " " * (at + 2) + "^"


@given(st.lists(st.sampled_from([*"ab=<>!()[],'\"%*? \n1-:Té", "state=", "and ", "date<2021"])).map("".join))
def test_any_text_is_read_or_answered_in_words(text: str) -> None:
    try:
        read = parse_filter(text)
    except FilterError as said:
        place = said.args[3]
    else:
        assert parse_filter(str(read)) == read
        place = len(text)
    assert 0 <= place <= len(text)


# -- what is found ----------------------------------------------------------------------------------------


def make_quality(brightness: float, focus: float, moved: float | None = None) -> dict[str, Any]:
    known = {"brightness": brightness, "saturated": brightness / 1000, "focus": focus, "moved": moved}
    return {name: {"median": value, "least": 0, "most": 200} for name, value in known.items() if value is not None}


def make_records() -> list[RunRecord]:
    """Make records of all sorts, the same each time."""
    random = Random(12)
    records = []
    for number in range(60):
        is_done = random.random() < 0.7
        n_frames = random.choice([100, 300, 1000]) if is_done else None
        crop = random.choice([None, [0, 0, 64, 64], [8, 8, 64, 64]])
        grey = random.choice(["rgb", "luma"])
        moment = NOON + timedelta(hours=random.randrange(-2000, 2000), seconds=random.randrange(3600))
        recipe = {"hog": {}, "crop": crop, "with_images": False, "grey": grey}
        record = RunRecord(
            path=Path(f"/data/{number % 5}") / f"{number}{random.choice(NAMES)}",
            state=Fate.FINISHED if is_done else random.choice([Fate.FAILED, Fate.QUARANTINED, Fate.RUNNING]),
            reason=random.choice(["it is HEVC", "300 frames are described", "disk I/O error"]),
            changed_at=moment,
            size_bytes=random.choice([10**6, 1_500_000_000, 2 * 10**9]),
            run_id=f"{number % 7:04x}{number:08x}-{len(grey)}{len(str(crop)):07x}",
            digest=f"{number % 7:04x}{number:08x}",
            stream={"width": random.choice([640, 1280]), "height": 480, "duration_s": 0.5 * random.randrange(2000)}
            if random.random() < 0.8
            else {},
            recipe=recipe,
            software={"facehog": random.choice(["0.1.0", "0.2.0"])} if is_done else {},
            host={"name": random.choice(["rig1", "rig2"])},
            attempt=random.randrange(4),
            started_at=moment - timedelta(minutes=5),
            finished_at=moment if is_done else None,
            n_frames=n_frames,
            n_corrupt=random.choice([0, 3, n_frames // 10]) if n_frames else None,
            n_dropped=random.choice([None, 0, 3]) if is_done else None,
            store=Path(f"/data/store/{number}.zarr") if is_done else None,
            store_size_bytes=1 if is_done else None,
            warnings=["look"] * random.randrange(3),
            quality=random.choice([{}, make_quality(41.5, 12.25, 30.125), make_quality(39, 4)]) if is_done else {},
            flow_run_id=random.choice([None, "flow-1"]),
            identity=Identity(
                subject=random.choice([None, "CSE020", "CSE021", "none"]),
                session_date=random.choice([None, date(2021, 11, 5), date(2021, 12, 31), date(2022, 1, 1)]),
                plane=random.choice([None, "1", "2"]),
                camera=random.choice([None, "0"]),
            ),
        )
        records.append(record)
    earlier = [
        replace(record, run_id=f"ffff{number:08x}-0", digest=f"ffff{number:08x}")
        for number, record in enumerate(records[:15])
    ]
    # 0.07 * 10000 is more than 700.
    done = next(record for record in records if record.n_frames)
    limit = replace(done, path=Path("/data/limit.mp4"), run_id="eeee-0", digest="eeee", n_frames=10_000, n_corrupt=7)
    return [*earlier, *records, limit]


RECORDS = make_records()
# The run that each file came to in the end.
LAST_OF = {record.path: record.run_id for record in RECORDS}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def catalogue(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    make_catalogue_url: Callable[[str, Path], str],
) -> Iterator[Catalogue]:
    with Catalogue(make_catalogue_url(request.param, tmp_path_factory.mktemp("filters")), create=True) as made:
        for record in RECORDS:
            made.record(record)
            made.note_verifications(str(record.run_id), history_of(record))
        made.set_fate(Path("/data/0/new.mp4"), Fate.WAITING, "is new", signature=LOOK)
        yield made


def history_of(record: RunRecord) -> list[Verification]:
    """Make up when a store was verified: never, once, or by two, of which the last or both find something."""
    number = int(str(record.run_id)[4:12], 16)
    if record.store is None or number % 4 == 0:
        return []
    found = [[], ["a bit has changed"], ["a bit has changed"]][: number % 4]
    return [
        Verification(at=record.changed_at + timedelta(days=day), is_deep=False, source="unchanged", problems=problems)
        for day, problems in enumerate(found, 1)
    ]


def standing_of(record: RunRecord) -> dict[str, Any]:
    """Return how its store stands, as the history was made up."""
    history = history_of(record)
    if not history:
        return {"verified": None, "verdict": None, "wrong_since": None}
    last, *_ = reversed(history)
    is_wrong = len(history) > 1
    return {
        "verified": last.at,
        "verdict": "wrong" if is_wrong else "sound",
        "wrong_since": record.changed_at + timedelta(days=2) if is_wrong else None,
    }


def told_of(record: RunRecord) -> dict[str, Any]:
    """Return the fields of a record, as somebody would who knows no database."""
    crop = record.recipe["crop"]
    who = record.identity
    return {
        "state": str(record.state),
        "current": "yes" if LAST_OF[record.path] == record.run_id else "no",
        "name": record.path.name,
        "path": str(record.path),
        "subject": who.subject,
        "date": who.session_date,
        "plane": who.plane,
        "camera": who.camera,
        "run": record.run_id,
        "digest": record.digest,
        "parameters": str(record.run_id).split("-")[1],
        "crop": crop and ",".join(map(str, crop)),
        "grey": record.recipe["grey"],
        "frames": record.n_frames,
        "corrupt": record.n_corrupt,
        "dropped": record.n_dropped,
        "warnings": len(record.warnings),
        **{name: record.quality.get(name, {}).get("median") for name in ("brightness", "saturated", "focus", "moved")},
        "size": record.size_bytes,
        "width": record.stream.get("width"),
        "height": record.stream.get("height"),
        "duration": record.stream.get("duration_s"),
        "changed": record.changed_at,
        "started": record.started_at,
        "finished": record.finished_at,
        **standing_of(record),
        "attempt": record.attempt,
        "facehog": record.software.get("facehog"),
        "host": record.host.get("name"),
        "store": record.store and str(record.store),
        "flow_run": record.flow_run_id,
        "reason": record.reason,
    }


SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MOMENTS = ("changed", "started", "finished", "verified", "wrong_since")
UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "MiB": 2**20, "GiB": 2**30, "min": 60, "s": 1, "h": 3600, "": 1}


def holds(where: Filter, told: dict[str, Any]) -> bool:
    """Say whether a filter holds, from its text alone."""
    match where:
        case Not():
            return not holds(where.part, told)
        case And():
            return all(holds(part, told) for part in where.parts)
        case Or():
            return any(holds(part, told) for part in where.parts)
    if where.sign == "!=":
        return not holds(replace(where, sign="="), told)
    return any(fits(where.field, where.sign, value.text, value.is_quoted, told) for value in where.values)


def fits(field: str, sign: str, text: str, is_quoted: bool, told: dict[str, Any]) -> bool:
    value = told[field]
    if text in ("none", "never" if field == "verified" else "none") and not is_quoted:
        return value is None
    if value is None:
        return False
    if field in ("run", "digest", "parameters"):
        return str(value).startswith(text)
    if field in ("date", *MOMENTS):
        # Such as 2021-11: as many digits of the time as there are of the text.
        shown = value.isoformat() if field == "date" else value.astimezone().strftime("%Y-%m-%dT%H:%M:%S")
        return SIGNS[sign](shown[: len(text)], text)
    if text.endswith("%") and field in ("corrupt", "dropped"):
        return told["frames"] is not None and SIGNS[sign](Fraction(100 * value, told["frames"]), Fraction(text[:-1]))
    if field == "saturated" and text.endswith("%"):
        return SIGNS[sign](value, float(text[:-1]) / 100)
    if isinstance(value, int | float):
        number, unit = re.fullmatch(r"([-\d.]+)(\D*)", text).groups()  # type: ignore[union-attr]
        return SIGNS[sign](value, float(number) * UNITS[unit])
    return fnmatch.fnmatchcase(value, text.replace("[^", "[!"))


TIMES = st.sampled_from([record.changed_at.astimezone().strftime("%Y-%m-%dT%H:%M:%S") for record in RECORDS])
CUT_TIMES = st.builds(lambda text, stop: text[:stop], TIMES, st.sampled_from([4, 7, 10, 13, 16, 19]))
PATTERNS = st.sampled_from(
    ["*m12*", "*.mp4", "?*.m[op]?", "*[^a-z].mp4", "*'*", '*"*', "*%*", "*[!0-9]", "*ü*", "[0-9]*", "*", "??????.mp4"]
)


def texts_of(field: str) -> st.SearchStrategy[str]:
    known = sorted({str(value) for record in RECORDS if (value := told_of(record)[field]) is not None})
    match field:
        case "date":
            return st.sampled_from(["2021", "2021-11", "2021-11-05", "2021-12-31", "2022", "1999-01", "2021-12"])
        case moment if moment in MOMENTS:
            return CUT_TIMES
        case "run" | "digest" | "parameters":
            return st.builds(lambda text, stop: text[:stop], st.sampled_from(known), st.integers(1, 12))
        case "corrupt" | "dropped":
            return st.sampled_from(["0", "3", "10", "1%", "0.3%", "0.07%", "10%", "0%", "2.5"])
        case "saturated":
            return st.sampled_from([*known, "4%", "3.9%", "0", "0.04", "100%"])
        case "size":
            return st.sampled_from(["1MB", "1.5GB", "1GiB", "7", "2GB", "0.5kB", "999999999999999999GB"])
        case "duration":
            return st.sampled_from(["5min", "0.1h", "300s", "12.5", "0"])
        case "frames" | "warnings" | "attempt" | "width" | "height" | "brightness" | "focus" | "moved":
            return st.sampled_from([*known, "299.5", "-1", "0"])
        case "state" | "current" | "verdict":
            return st.sampled_from(FIELDS[field].choices)
        case _:
            literal = st.sampled_from(known).map(lambda text: re.sub(r"[*?[]", r"[\g<0>]", text))
            return literal | PATTERNS


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    field = draw(st.sampled_from([name for name in FIELDS if name != "seen"]))
    sign = draw(st.sampled_from(FIELDS[field].signs))
    n_values = draw(st.integers(1, 3)) if sign in ("=", "!=") else 1
    texts = [draw(texts_of(field)) for _ in range(n_values)]
    if sign in ("=", "!=") and draw(st.booleans()):
        texts.append("never" if field == "verified" and draw(st.booleans()) else "none")
    values = []
    for text in texts:
        is_odd = re.search(r"""[\s()<>=!,"']""", text) is not None
        if '"' in text and "'" in text:
            continue
        values.append(
            Value(text=text, is_quoted=is_odd or (text not in ("none", "never") and draw(st.booleans())), known=None)
        )
    written = Comparison(
        field=field, sign=sign, values=tuple(values) or (Value(text="1", is_quoted=False, known=None),)
    )
    read = parse_filter(str(written))
    assert isinstance(read, Comparison)
    return read


FILTERS = st.recursive(
    comparisons(),
    lambda parts: (
        st.builds(Not, parts)
        | st.builds(
            lambda kind, inside: kind(tuple(inside)),
            st.sampled_from([And, Or]),
            st.lists(parts, min_size=2, max_size=3),
        )
    ),
    max_leaves=5,
)


@given(FILTERS)
def test_what_is_printed_is_read_as_what_it_was(where: Filter) -> None:
    assert parse_filter(str(where)) == where


# By figures alone, which have an index of their own: also of what no run is to be found for.
BY_FIGURES = (
    "corrupt!=0",
    "warnings=0",
    "warnings<1 frames!=0",
    "not corrupt>1%",
    "frames=none or corrupt>0",
    "state=finished and moved>10",
    "warnings>0 or corrupt>9%",
    'crop="8,8,64,64" and dropped=0,3 and brightness<40',
    "state=finished and verdict=wrong",
    "state=finished,duplicate and (verified=never or verified<2026)",
    "not facehog=0.1.*",
    "state=finished and not host=rig*",
)


def with_examples(test: Callable[..., None]) -> Callable[..., None]:
    for text in BY_FIGURES:
        test = example(where=parse_filter(text))(test)
    return test


@with_examples
@given(where=FILTERS)
def test_the_catalogue_finds_what_a_loop_over_all_rows_finds(catalogue: Catalogue, where: Filter) -> None:
    expected = sorted(str(record.run_id) for record in RECORDS if holds(where, told_of(record)))
    # Of the file that has no run, too.
    (new,) = catalogue.rows("run=none", columns=tuple(FIELDS))
    expected += ["none"] * holds(where, dict(zip(FIELDS, new, strict=True)))
    assert sorted(str(run or "none") for (run,) in catalogue.rows(where, columns=["run"])) == expected


SORTS = st.lists(st.builds(str.__add__, st.sampled_from(["", "-"]), st.sampled_from([*FIELDS])), min_size=1, max_size=2)


@given(where=FILTERS | st.just(EVERYTHING), sort=SORTS.map(",".join), limit=st.integers(1, 30))
@example(where=EVERYTHING, sort="-corrupt,name", limit=5)
@example(where=parse_filter("state=finished"), sort="moved", limit=40)
@example(where=parse_filter("changed<2021-11 and warnings>0"), sort="-changed", limit=3)
@example(where=parse_filter("warnings>=0"), sort="subject,date", limit=5)
@example(where=EVERYTHING, sort="-date,name", limit=5)
@example(where=EVERYTHING, sort="-size", limit=3)
@example(where=EVERYTHING, sort="-size,-name", limit=3)
def test_the_first_ones_are_the_first_of_all(catalogue: Catalogue, where: Filter, sort: str, limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # So few are looked at first: those that are wanted may be among them, or not.
        patch.setattr(queries, "_FIRST", 8)
        first = catalogue.rows(where, sort=sort, columns=tuple(FIELDS), limit=limit)
    every = catalogue.rows(where, sort=sort, columns=tuple(FIELDS))
    assert first == every[:limit]
    assert [record.run_id for record in catalogue.records(where, sort=sort, limit=limit)] == [
        row[list(FIELDS).index("run")] for row in first
    ]


@pytest.mark.parametrize("sign", [*SIGNS, "!="])
@pytest.mark.parametrize("share", ["0.07%", "0.3%", "1%"])
def test_a_share_is_compared_exactly(catalogue: Catalogue, sign: str, share: str) -> None:
    where = parse_filter(f"corrupt{sign}{share}")
    expected = sorted(str(record.run_id) for record in RECORDS if holds(where, told_of(record)))
    assert (
        sorted(run for (run,) in catalogue.rows(And((where, parse_filter("run!=none"))), columns=["run"])) == expected
    )


def test_every_field_is_found_where_something_is_known_of_it(catalogue: Catalogue) -> None:
    for field in FIELDS:
        (told,) = zip(*catalogue.rows(f"{field}!=none", columns=[field]), strict=True)
        assert told
        assert None not in told
    assert [str(path) for (path,) in catalogue.rows("run=none", columns=["path"])] == ["/data/0/new.mp4"]


DOCUMENTATION = (Path(__file__).resolve().parents[2] / "docs" / "catalogue.md").read_text("utf-8")


def test_the_documentation_names_every_field_with_an_example_that_is_read() -> None:
    rows = [row.split(" | ") for row in DOCUMENTATION.splitlines() if row.startswith("| `")]
    assert [(name[3:-1], said, example) for name, said, example in rows if name[3:-1] in FIELDS] == [
        (name, field.said, f"`{name}{field.example}` |") for name, field in FIELDS.items()
    ]
    for name, field in FIELDS.items():
        assert str(parse_filter(name + field.example)) == name + field.example


def test_the_filters_of_the_documentation_are_read(catalogue: Catalogue) -> None:
    filters = re.findall(r'facehog find "([^"]+)"', DOCUMENTATION)
    assert len(filters) >= 4
    for where in [*filters, *re.findall(r"facehog find (\w+=\w+)", DOCUMENTATION)]:
        catalogue.rows(where)
