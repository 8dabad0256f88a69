"""Who was recorded and when, as the catalogue keeps it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

from catalogue_users import INBOX, LOOK, file_of, make_record, reading
from sqlalchemy import text

from facehog_core.catalogue import Catalogue, Identified
from facehog_core.choices import identify
from facehog_core.names import Identity
from facehog_core.schema import Fate

CSE020 = Identity(subject="CSE020", session_date=date(2021, 11, 5), plane="1")


def test_who_was_recorded_is_read_from_the_name_of_a_new_file(catalogue: Catalogue) -> None:
    path = INBOX / "20211105_CSE020_plane1_-587.325.mp4"
    catalogue.set_fate(path, Fate.WAITING, "is new", signature=LOOK)
    catalogue.set_fate(INBOX / "m12.mp4", Fate.WAITING, "is new", signature=LOOK)

    assert file_of(catalogue, path).identity == CSE020
    assert file_of(catalogue, INBOX / "m12.mp4").identity == Identity()
    assert [made.identity for made in catalogue.records("name=2021*")] == [CSE020]


def test_who_was_recorded_is_looked_up_again_when_a_file_is_queued_or_looks_different(url: str, tmp_path: Path) -> None:
    says = [Identity(), CSE020, Identity(subject="m1"), Identity(session_date=date(2021, 1, 2))]
    path, turns = tmp_path / "m12.mp4", iter(says)
    path.touch()
    with Catalogue(url, create=True, identify=lambda _path, _known: next(turns)) as catalogue:
        catalogue.set_fate(path, Fate.WAITING, "is new", signature=LOOK)
        catalogue.set_fate(path, Fate.WAITING, "still", signature=LOOK)
        assert file_of(catalogue, path).identity == Identity()
        catalogue.set_fate(path, Fate.QUEUED, "has settled")
        assert file_of(catalogue, path).identity == CSE020
        catalogue.set_fate(path, Fate.RUNNING, "runs", signature=LOOK)
        catalogue.set_fate(path, Fate.WAITING, "has changed", signature=replace(LOOK, mtime_ns=7))
        assert file_of(catalogue, path).identity == says[2]
        assert catalogue.identify_all() == Identified(n_changed=1, n_left=0)
        assert catalogue.files()[path].identity == says[3]
    # Whoever does not know how names are read here leaves it as it is.
    with Catalogue(url) as catalogue:
        catalogue.set_fate(path, Fate.QUEUED, "has settled", signature=LOOK)
        assert file_of(catalogue, path).identity == says[3]


def test_what_is_known_of_a_recording_is_kept_while_it_or_what_is_beside_it_cannot_be_read(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    share, away = tmp_path / "share", tmp_path / "away"
    share.mkdir()
    path = share / "20211105_m1.mp4"
    path.touch()
    beside = share / "20211105_m1.facehog.toml"
    beside.write_text('subject = "CSE020"')
    catalogue.set_fate(path, Fate.WAITING, "is new", signature=LOOK)

    share.rename(away)
    assert catalogue.identify_all() == Identified(n_changed=0, n_left=1)
    assert file_of(catalogue, path).identity.subject == "CSE020"
    away.rename(share)
    beside.write_text('subject = "CSE021"')
    assert catalogue.identify_all() == Identified(n_changed=1, n_left=0)
    beside.write_text("subject = ")
    assert catalogue.identify_all() == Identified(n_changed=0, n_left=0)
    assert file_of(catalogue, path).identity.subject == "CSE021"


def test_the_name_of_a_recording_that_is_not_there_is_read_where_nothing_is_known_of_it(url: str) -> None:
    path = INBOX / "20211105_CSE020_plane1.mp4"
    with Catalogue(url, create=True, identify=lambda _path, _known: Identity()) as catalogue:
        catalogue.set_fate(path, Fate.WAITING, "is new", signature=LOOK)
    with Catalogue(url) as catalogue:
        assert catalogue.identify_all() == Identified(n_changed=1, n_left=0)
        assert file_of(catalogue, path).identity == CSE020


def test_a_subject_and_a_session_are_kept_once(url: str, catalogue: Catalogue) -> None:
    for number, name in enumerate(["20211105_CSE020_cam0", "20211105_CSE020_cam1", "20211106_CSE020", "20211105_m1"]):
        catalogue.record(replace(make_record(f"{name}.mp4", f"{number:012x}-00000000"), identity=identify(Path(name))))

    with reading(url) as session:
        assert session.scalar(text("SELECT count(*) FROM subjects")) == 2
        assert session.scalar(text("SELECT count(*) FROM sessions")) == 3
