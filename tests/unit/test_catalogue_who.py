"""Who was recorded and when, as the catalogue keeps it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

from catalogue_users import INBOX, LOOK, file_of, make_record, reading
from sqlalchemy import text

from facehog_core.catalogue import Catalogue
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


def test_who_was_recorded_is_looked_up_again_when_a_file_is_queued_or_looks_different(url: str) -> None:
    says = [Identity(), CSE020, Identity(subject="m1"), Identity(session_date=date(2021, 1, 2))]
    path, turns = INBOX / "m12.mp4", iter(says)
    with Catalogue(url, create=True, identify=lambda _: next(turns)) as catalogue:
        catalogue.set_fate(path, Fate.WAITING, "is new", signature=LOOK)
        catalogue.set_fate(path, Fate.WAITING, "still", signature=LOOK)
        assert file_of(catalogue, path).identity == Identity()
        catalogue.set_fate(path, Fate.QUEUED, "has settled")
        assert file_of(catalogue, path).identity == CSE020
        catalogue.set_fate(path, Fate.RUNNING, "runs", signature=LOOK)
        catalogue.set_fate(path, Fate.WAITING, "has changed", signature=replace(LOOK, mtime_ns=7))
        assert file_of(catalogue, path).identity == says[2]
        assert catalogue.identify_all() == 1
        assert catalogue.files()[path].identity == says[3]
    # Whoever does not know how names are read here leaves it as it is.
    with Catalogue(url) as catalogue:
        catalogue.set_fate(path, Fate.QUEUED, "has settled", signature=LOOK)
        assert file_of(catalogue, path).identity == says[3]


def test_a_subject_and_a_session_are_kept_once(url: str, catalogue: Catalogue) -> None:
    for number, name in enumerate(["20211105_CSE020_cam0", "20211105_CSE020_cam1", "20211106_CSE020", "20211105_m1"]):
        catalogue.record(replace(make_record(f"{name}.mp4", f"{number:012x}-00000000"), identity=identify(Path(name))))

    with reading(url) as session:
        assert session.scalar(text("SELECT count(*) FROM subjects")) == 2
        assert session.scalar(text("SELECT count(*) FROM sessions")) == 3
