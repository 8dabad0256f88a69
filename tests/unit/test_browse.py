"""The catalogue in a browser: what is shown, to whom, and that nothing can be changed from there."""

from __future__ import annotations

import asyncio
import csv
import io
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from catalogue_users import INBOX, LOOK, NOON, make_record, running
from PIL import Image
from runs import make_store, make_work

from deployments.browse import copies
from deployments.browse.door import App, Door
from deployments.browse.pages import tell_duration, tell_size
from deployments.browse.server import open_app
from deployments.config_file import load_config
from deployments.display import tell_time
from facehog_core import Catalogue, open_session
from facehog_core.names import Identity
from facehog_core.schema import Fate
from facehog_core.sealed import read_record
from facehog_core.sheets import SHEETS
from facehog_core.verifications import Verification

Ask = Callable[..., httpx.Response]

CSE020 = Identity.from_dict({"subject": "CSE020", "session_date": "2021-11-05", "plane": "1"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a lab."""
    return tmp_path_factory.mktemp("100% 'odd' lab")


@pytest.fixture(scope="module")
def lab(folder: Path) -> Iterator[Catalogue]:
    """Return a catalogue in which something of everything has happened."""
    with Catalogue(configure(folder, f"sqlite:///{folder / 'catalogue.db'}"), create=True) as catalogue:
        fill(catalogue, folder)
        yield catalogue


def configure(folder: Path, url: str) -> str:
    (folder / "facehog.toml").write_text(f'catalogue = "{url}"\n[prefect]\nport = 4321\n', "utf-8")
    return url


def fill(catalogue: Catalogue, folder: Path) -> None:
    made = read_record(make_store(folder / "store", make_work()))
    for record in (
        replace(made, identity=CSE020, warnings=["<b>3</b> frames are dropped."]),
        make_record("other.mp4", "0a0a0a0a0a0a-5e21c0aa", identity=CSE020, changed_at=NOON + timedelta(hours=1)),
        running(make_record("now.mp4", "0b0b0b0b0b0b-5e21c0aa")),
    ):
        catalogue.record(record)
    for name, state, reason, run in (
        ("copy.mp4", Fate.DUPLICATE, "holds the same bytes as m12.mp4", made.run_id),
        ("bad.mp4", Fate.QUARANTINED, "not H264", None),
        ("new.mp4", Fate.WAITING, "is new", None),
    ):
        catalogue.set_fate(INBOX / name, state, reason, signature=LOOK, run_id=run)


@pytest.fixture(scope="module")
def app(lab: Catalogue, folder: Path) -> Iterator[App]:
    """Return the pages, without a door."""
    with open_app(load_config(folder / "facehog.toml")) as app:
        yield app


@pytest.fixture(scope="module")
def ask(app: App) -> Ask:
    """Return a function that asks for a page."""
    return ask_at(Door(app, is_local=True))


def ask_at(app: App) -> Ask:
    def ask(address: str, method: str = "GET", host: str = "127.0.0.1:8001", **given: Any) -> httpx.Response:
        async def request() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}") as client:
                return await client.request(method, address, **given)

        return asyncio.run(request())

    return ask


def rows_of(ask: Ask, sheet: str, **where: Any) -> list[dict[str, Any]]:
    answer = ask(f"/catalogue/{sheet}.json", params={"_shape": "array", **where})
    assert answer.status_code == httpx.codes.OK, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def test_recordings_are_those_that_find_finds_the_newest_first(ask: Ask, lab: Catalogue) -> None:
    fields = ("name", "state", "reason", "subject", "plane", "run", "frames", "corrupt", "dropped", "warnings", "size")
    # A row of `find` for each file; those for earlier runs are among the runs.
    expected = {row[0]: row for row in lab.rows(columns=fields)}
    shown = rows_of(ask, "recordings")
    assert {row["name"]: tuple(row[name] for name in fields) for row in shown} == {
        name: (*row[:9], row[9] if row[5] else None, row[10]) for name, row in expected.items()
    }
    assert rows_of(ask, "recordings", changed__gte="2026-11-21 13:00", name="other.mp4"), "in UTC"
    assert [row["changed"] for row in shown] == sorted((row["changed"] for row in shown), reverse=True)


def test_each_sheet_has_what_it_says(ask: Ask) -> None:
    names = {sheet.name: [row.get("name") for row in rows_of(ask, sheet.name)] for sheet in SHEETS}
    assert sorted(names["runs"]) == ["m12.mp4", "now.mp4", "other.mp4"]
    assert names["refused"] == ["bad.mp4"]
    assert sorted(names["waiting"]) == ["new.mp4", "now.mp4"]
    (duplicate,) = rows_of(ask, "duplicates")
    assert (duplicate["name"], duplicate["same_as"]) == ("copy.mp4", "/nowhere/m12.mp4")
    assert [row["warning"] for row in rows_of(ask, "warnings", name="m12.mp4")] == ["<b>3</b> frames are dropped."]
    assert [row["state"] for row in rows_of(ask, "steps", name="bad.mp4")] == ["quarantined"]

    known, unknown = rows_of(ask, "sessions", _sort="subject")[::-1]
    assert (known["subject"], known["date"], known["recordings"], known["finished"]) == ("CSE020", "2021-11-05", 2, 2)
    assert known["frames"] == 23 + 300
    assert (unknown["subject"], unknown["recordings"], unknown["duplicates"], unknown["refused"]) == (None, 4, 1, 1)
    assert unknown["under_way"] == 2
    assert unknown["frames"] is None or unknown["frames"] == 300, "what a duplicate holds is counted once"


def test_every_column_is_shown_and_explained(ask: Ask) -> None:
    for sheet in SHEETS:
        page = ask(f"/catalogue/{sheet.name}").text
        assert sheet.title in page
        for name, column in sheet.columns.items():
            assert f'data-column="{name}"' in page
            assert column.said in unescape(page)
        assert all(column in sheet.columns for column in (sheet.newest, *sheet.facets))


def test_what_others_write_is_seen_at_once(lab: Catalogue, ask: Ask, folder: Path) -> None:
    for reason in ("is growing", "is new"):
        lab.set_fate(INBOX / "new.mp4", Fate.WAITING, reason)
        assert [row["reason"] for row in rows_of(ask, "recordings", name="new.mp4")] == [reason]
    assert f"{folder / 'catalogue.db'}, as it is now" in unescape(ask("/").text)


def test_of_a_server_a_copy_is_shown_that_follows_it(
    tmp_path: Path, make_catalogue_url: Callable[[str, Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "LOOK_S", 0.01)
    url = configure(tmp_path, make_catalogue_url("postgresql", tmp_path))
    with Catalogue(url, create=True) as catalogue:
        catalogue.record(make_record())
        with open_app(load_config(tmp_path / "facehog.toml")) as app:
            ask = ask_at(app)
            assert [row["name"] for row in rows_of(ask, "recordings")] == ["m12.mp4"]
            assert "a copy of PostgreSQL catalogue " in ask("/catalogue/recordings").text
            catalogue.record(make_record("later.mp4", "0c0c0c0c0c0c-5e21c0aa"))
            deadline_s = time.monotonic() + 60
            while sorted(row["name"] for row in rows_of(ask, "recordings")) != ["later.mp4", "m12.mp4"]:
                assert time.monotonic() < deadline_s


@pytest.mark.parametrize(
    ("address", "method", "status"),
    [
        ("/catalogue/recordings", "POST", 405),
        ("/catalogue?sql=select+1", "GET", 403),
        ("/catalogue.json?sql=select+1", "GET", 403),
        ("/catalogue/recordings?_where=1", "GET", 403),
        ("/catalogue/files", "GET", 404),
        ("/catalogue.db", "GET", 403),
        ("/_internal", "GET", 403),
        ("/-/nothing", "GET", 404),
    ],
)
def test_there_is_nothing_but_sheets_and_nothing_to_be_done_to_them(
    ask: Ask, address: str, method: str, status: int
) -> None:
    assert ask(address, method).status_code == status


def test_its_connections_can_neither_write_nor_ask_for_ever(lab: Catalogue, folder: Path) -> None:
    # As somebody who got past Datasette's own refusals would.
    from datasette.app import Datasette
    from datasette.database import QueryInterrupted

    from deployments.browse.database import Sheets

    datasette = Datasette([], settings={"sql_time_limit_ms": 20})
    sheets = datasette.add_database(Sheets(datasette, folder / "catalogue.db"), name="tried")
    for sql in ("DELETE FROM main.files", "CREATE TABLE more (a)", "DROP VIEW recordings"):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            asyncio.run(sheets.execute(sql))
    endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c"
    with pytest.raises(QueryInterrupted):
        asyncio.run(sheets.execute(endless))


def test_another_name_of_this_machine_and_who_has_no_password_are_not_let_in(app: App) -> None:
    ask = ask_at(Door(app, is_local=True))
    for host, status in (("localhost:1", 200), ("[::1]:1", 200), ("evil.example", 404), ("127.0.0.1.evil", 404)):
        assert ask("/-/versions.json", host=host).status_code == status
    ask = ask_at(Door(app, is_local=False, auth_string="lab:secret"))
    refused = ask("/", host="rig.lab")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Basic realm="facehog"')
    assert ask("/", auth=("lab", "wrong")).status_code == 401
    assert ask("/", host="rig.lab", auth=("lab", "secret")).status_code == 200
    assert ask("/", "DELETE", auth=("lab", "secret")).status_code == 405


def test_the_picture_of_a_run_is_that_of_its_store(ask: Ask, lab: Catalogue) -> None:
    record = lab.run(rows_of(ask, "runs", name="m12.mp4")[0]["run"])
    assert record.store
    (shown,) = rows_of(ask, "recordings", name="m12.mp4")
    assert shown["picture"] == f"/run/{record.run_id}/picture.png"
    answer = ask(f"{shown['picture']}?frame=7")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    drawn = np.asarray(Image.open(io.BytesIO(answer.content))).astype(float)
    expected = open_session(record.store).images.sel(frame=7).values
    white = np.quantile(expected, 0.995)
    np.testing.assert_allclose(drawn / 255, np.minimum(expected / white, 1), atol=1 / 255)
    # By default one in the middle, that is not corrupt.
    corrupt = open_session(record.store).corrupt.values
    middle = min(np.flatnonzero(~corrupt), key=lambda number: abs(number - 11))
    assert ask(shown["picture"]).content == ask(f"{shown['picture']}?frame={middle}").content
    small = Image.open(io.BytesIO(ask(f"{shown['picture']}?height=12").content))
    assert small.size == (20, 12)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/run/ffffff/picture.png", "ffffff: no run begins so"),
        ("/run/0b0b0b0b0b0b-5e21c0aa/picture.png", "the run is running and has no store"),
        ("/run/0a0a0a0a0a0a-5e21c0aa/picture.png", "it cannot be read (No such file or directory)"),
        ("/run/{made}/picture.png?frame=23", "frame 23 is not among those that are described"),
        ("/run/{made}/picture.png?frame=x", "this is no whole number"),
        ("/run/ffffff", "ffffff: no run begins so"),
    ],
)
def test_where_there_is_no_picture_it_says_why(ask: Ask, address: str, said: str) -> None:
    (made,) = rows_of(ask, "runs", name="m12.mp4")
    answer = ask(address.format(made=made["run"]))
    assert answer.status_code == 404
    assert said in unescape(answer.text)


def test_the_page_of_a_run_tells_all_and_leads_on(ask: Ask, lab: Catalogue) -> None:
    (row,) = rows_of(ask, "runs", name="m12.mp4")
    record = lab.run(row["run"])
    assert record.store
    assert "Not yet:" in ask(f"/run/{row['run']}").text
    wrong = Verification(at=NOON + timedelta(days=1), is_deep=True, source="is gone", problems=["a bit flipped"])
    lab.note_verifications(row["run"], [wrong])
    (told,) = rows_of(ask, "quality", run=row["run"])
    assert told["verdict"] not in (None, "sound")
    page = ask(f"/run/{row['run']}").text
    assert "&lt;b&gt;3&lt;/b&gt; frames are dropped." in page, "what others wrote is text"
    assert "a bit flipped" in page
    assert f'href="http://127.0.0.1:4321/runs/flow-run/{record.flow_run_id}"' in page
    assert record.digest
    assert record.digest in page
    assert ask(f"/run/{row['run']}?frame=3").text.count("frame=3") > page.count("frame=3")
    assert "has no store" in ask("/run/0b0b0b0b0b0b-5e21c0aa").text


def test_tables_lead_to_runs_to_prefect_and_to_what_is_counted(ask: Ask, lab: Catalogue) -> None:
    page = ask("/catalogue/recordings").text
    assert tell_time(NOON + timedelta(hours=1)) in page, "by the clock of this machine"
    (row,) = rows_of(ask, "runs", name="m12.mp4")
    assert f'href="/run/{row["run"]}"' in page
    assert 'href="http://127.0.0.1:4321/runs/flow-run/flow-1"' in page
    assert "<b>3</b>" not in ask("/catalogue/warnings").text
    for sitting in rows_of(ask, "sessions"):
        where = {name: sitting[name] for name in ("subject", "date") if sitting[name]}
        missing = {f"{name}__isnull": 1 for name in ("subject", "date") if not sitting[name]}
        counted = rows_of(ask, "recordings", **where, **missing)
        assert len(counted) == sitting["recordings"]
    first = ask("/").text
    for address in (*(f"/catalogue/{sheet.name}" for sheet in SHEETS), "/catalogue/recordings?state=waiting"):
        assert address in first
        assert ask(address).status_code == 200


def test_a_sheet_is_taken_along_as_csv_with_what_is_stored(ask: Ask) -> None:
    answer = ask("/catalogue/recordings.csv?_stream=on&_size=max")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["name"]: row["size"] for row in rows}["bad.mp4"] == "1000"
    assert len(rows) == 6


@pytest.mark.parametrize(
    ("n_bytes", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (123_456, "123 kB"), (1.5e9, "1.5 GB"), (3e15, "3e+03 TB")],
)
def test_sizes_are_told_for_people(n_bytes: float, said: str) -> None:
    assert tell_size(n_bytes) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.77, "0.8 s"), (59.96, "1 min 00 s"), (750, "12 min 30 s"), (7384, "2 h 03 min")]
)
def test_durations_are_told_for_people(seconds: float, said: str) -> None:
    assert tell_duration(seconds) == said
