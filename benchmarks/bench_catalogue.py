"""Time what is asked of a catalogue with 100,000 recordings and 300,000 runs.

Each question is asked by the calls that its command makes. With `--url` the tables are made in an
empty database of PostgreSQL instead of a SQLite file::

    python benchmarks/bench_catalogue.py --url postgresql://user@host/empty
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline import scratch
from side_by_side import Finding, Report, describe_machine, make_parser, publish, rounds_of, take_turns
from years_of_a_lab import N_STEPS_OF_RUN, RUN_WITH_HISTORY, fill, name_file, name_run

from facehog_core.catalogue import COLUMNS, Catalogue
from facehog_core.comparison import Verdict, compare_runs
from facehog_core.filter_values import FIELDS
from facehog_core.filters import And, parse_filter

N_FILES, N_RUNS = 100_000, 300_000
LISTED = 100
# By which all that there is is put in order.
ORDERS = ("-corrupt,name", "name", "-size")
MOST_MS, MOST_LISTED_MS = 100, 300

# Lists of the newest answers first, as they come if nothing else is said.
QUESTIONS = {
    "the newest": "",
    "older ones, a page": "changed<2021-06-01",
    "a subject since a month, by quality": "subject=CSE120 and date>=2021-11 and corrupt<1%",
    "a run by the beginning of its name": f"run={name_run(7)[:6]}",
    "a path": f"path={name_file(7)}",
    "names by a pattern with a beginning": "name=20210302*",
    "what failed since a day": "state=failed,quarantined and changed>=2022-11-01",
    "what needs somebody": "state=failed,quarantined or warnings>0",
    "with warnings, of one crop": 'warnings>0 and crop="53,22,916,475"',
    "a few by quality, from all": "corrupt>9% and dropped>8",
    "names by a pattern without a beginning": "name=*plane7*",
    "subjects by a pattern, or not": "not (subject=CSE1?? or state=finished)",
    "nobody's": "subject=none",
    "of another version of facehog": "state=finished and not facehog=0.1.*",
    "of a machine since a day": "host=rig2 and seen>=2022-11-01",
    "nothing at all, from all": "corrupt>99% or frames<0",
    "dark, out of focus and moved, from all": "brightness<40 and focus<5 and moved>10",
    "finished and never verified": "state=finished and verified=never",
    "not verified since a month": "state=finished and verified<2021-02",
    "not verified this year, or wrong": "state=finished and (verified<2021-02 or verified=never or verdict=wrong)",
    "wrong, and since when": "verdict=wrong and wrong_since>=2021-06",
}
# Those that are put in another order.
SORTED = (
    ("state=finished", "-moved"),
    ("subject=CSE120", "-corrupt,name"),
    ("warnings>0", "subject,date"),
)


def main() -> None:
    parser = make_parser(__doc__, rounds=7)
    parser.add_argument("--url", help="an empty database, instead of a SQLite file")
    options = parser.parse_args()
    n_files, n_runs = (N_FILES // 20, N_RUNS // 20) if options.quick else (N_FILES, N_RUNS)
    with scratch() as folder:
        url = options.url or f"sqlite:///{folder / 'catalogue.db'}"
        fill(url, n_files, n_runs)
        with Catalogue(url) as catalogue:
            asked, listed = make_questions(catalogue), make_listings(catalogue)
            times = take_turns(asked | listed, rounds_of(options), per=1e-3, unit="ms")
    slowest = max((times[name] for name in asked), key=lambda time: time.median)
    listing = max((times[name] for name in listed), key=lambda time: time.median)
    report = Report(
        title="How long does the catalogue take to answer?",
        setting=f"{n_files:,} files, {n_runs:,} runs and {n_files + N_STEPS_OF_RUN * n_runs:,} steps in "
        f"{'PostgreSQL' if options.url else 'SQLite'}; the first {LISTED} answers, {rounds_of(options)} rounds, in an "
        "open catalogue",
        machine=describe_machine(),
        measures=tuple(times.values()),
        findings=(
            Finding(what=f"the slowest question: {slowest.name}", value=slowest.median, unit="ms", at_most=MOST_MS),
            Finding(
                what=f"the slowest listing: {listing.name}", value=listing.median, unit="ms", at_most=MOST_LISTED_MS
            ),
        ),
    )
    publish(report, options)


def make_questions(catalogue: Catalogue) -> dict[str, Callable[[], object]]:
    """Return what is asked, by name: as `find`, `show`, `why` and `diff` ask it."""
    run, other = name_run(RUN_WITH_HISTORY), name_run(RUN_WITH_HISTORY + 40)
    return {
        **{name: partial(find, catalogue, where) for name, where in QUESTIONS.items()},
        **{f"{where}, sorted by {sort}": partial(find, catalogue, where, sort) for where, sort in SORTED},
        "what may be compared with a run": partial(find_comparable, catalogue, run),
        "show: a run that was verified 60 times": partial(catalogue.run_with_history, run[:10]),
        "why: the story of a file": partial(catalogue.whole_story, Path(name_file(7))),
        "diff: two runs": partial(diff, catalogue, run[:10], other[:10]),
    }


def make_listings(catalogue: Catalogue) -> dict[str, Callable[[], object]]:
    """Return what is listed, by name."""
    return {
        **{f"all, sorted by {order}": partial(find, catalogue, "", order) for order in ORDERS},
        f"{LISTED} in all fields": partial(catalogue.rows, limit=LISTED + 1, columns=tuple(FIELDS)),
        f"{LISTED} in full, as JSON": partial(catalogue.records, limit=LISTED),
        f"{LISTED} in full of a subject, sorted": partial(
            catalogue.records, "subject=CSE120", sort="-corrupt,name", limit=LISTED
        ),
    }


def find(catalogue: Catalogue, where: str, sort: str = "-changed") -> object:
    """Ask as `facehog find` does: for one more than are shown."""
    return catalogue.rows(parse_filter(where), sort=sort, columns=COLUMNS, limit=LISTED + 1)


def find_comparable(catalogue: Catalogue, run: str) -> object:
    """Ask as `facehog find --comparable-with` does."""
    wanted = And((parse_filter(""), catalogue.comparable_with(run)))
    return catalogue.rows(wanted, columns=COLUMNS, limit=LISTED + 1)


def diff(catalogue: Catalogue, first: str, second: str) -> Verdict:
    """Compare as `facehog diff` does."""
    return compare_runs(catalogue.run(first), catalogue.run(second))


if __name__ == "__main__":
    main()
