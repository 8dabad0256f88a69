from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facehog_core.choices import choose_by_sidecar, identify
from facehog_core.errors import ConfigError
from facehog_core.names import IDENTITY_KEYS, Identity, NamePattern
from facehog_core.recipe import Recipe

DAY = date(2021, 11, 5)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("20211105_CSE020_plane1_-587.325", Identity(subject="CSE020", session_date=DAY, plane="1")),
        ("2021-11-05_CSE020_cam0", Identity(subject="CSE020", session_date=DAY, camera="0")),
        ("20211105_CSE020", Identity(subject="CSE020", session_date=DAY)),
        ("20211105_CSE020_plane2_camera1_take3", Identity(subject="CSE020", session_date=DAY, plane="2", camera="1")),
        ("20211105_CSE020_notes", Identity(subject="CSE020", session_date=DAY)),
        ("20211105_camilla", Identity(subject="camilla", session_date=DAY)),
        # Whose it is is not said.
        ("20211105_cam0", Identity(session_date=DAY, camera="0")),
        ("20211105_plane1_camera2", Identity(session_date=DAY, plane="1", camera="2")),
        # What does not fit, or names a day that there is not, says nothing.
        ("m12_cam0", Identity()),
        ("20211305_CSE020", Identity()),
        ("20211105", Identity()),
        ("x20211105_CSE020", Identity()),
    ],
)
def test_the_default_pattern_reads_names_as_labs_write_them(name: str, found: Identity) -> None:
    assert NamePattern().read(name) == found


def test_a_pattern_may_name_the_parts_of_a_day() -> None:
    pattern = NamePattern(text=r"(?P<subject>m\d+)-(?P<day>\d\d)(?P<month>\d\d)(?P<year>\d\d|\d{4})(-c(?P<camera>\d))?")

    assert pattern.read("m12-051121-c3") == Identity(subject="m12", session_date=DAY, camera="3")
    assert pattern.read("m12-05112021") == Identity(subject="m12", session_date=DAY)
    assert pattern.read("m12-310221") == Identity()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(?P<subject>", "it is no regular expression"),
        ("(?P<mouse>.*)", "it names mouse, and may name subject, date, year"),
        (".*", "it names none of subject, date"),
        (r"(?P<year>\d+)_(?P<month>\d+)", "a day is named by date alone, or by year, month and day together"),
        (r"(?P<date>\d+)(?P<year>\d)(?P<month>\d)(?P<day>\d)", "a day is named by date alone"),
    ],
)
def test_a_pattern_that_cannot_be_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        NamePattern(text=text)


@given(st.builds(Identity, subject=st.none() | st.text("aö 1", min_size=1).filter(str.strip), session_date=st.dates()))
def test_an_identity_comes_back_from_json(identity: Identity) -> None:
    assert Identity.from_dict(identity.as_dict()) == identity


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "20211105_CSE020_plane1_-587.325.mp4"
    path.touch()
    return path


def write_beside(recording: Path, text: str) -> None:
    recording.with_name(f"{recording.stem}.facehog.toml").write_text(text)


def test_what_is_beside_a_recording_wins_over_its_name(recording: Path) -> None:
    assert identify(recording) == Identity(subject="CSE020", session_date=DAY, plane="1")
    write_beside(recording, 'subject = "CSE021"\nsession_date = 2021-11-06\ndownsample = 2')

    assert identify(recording) == Identity(subject="CSE021", session_date=date(2021, 11, 6), plane="1")
    assert choose_by_sidecar(Recipe(), recording) == Recipe(downsample=2)
    write_beside(recording, 'session_date = "2021-11-06"')
    assert identify(recording).session_date == date(2021, 11, 6)


@pytest.mark.parametrize("value", ["12", '""', "[]", "true", "2021-11-05T08:00:00"])
@pytest.mark.parametrize("key", IDENTITY_KEYS)
def test_a_wrong_word_beside_a_recording_is_named_and_its_name_holds(recording: Path, key: str, value: Any) -> None:
    write_beside(recording, f"{key} = {value}")

    with pytest.raises(ConfigError, match=rf"{key} = .* is wrong. It must be {IDENTITY_KEYS[key]}"):
        choose_by_sidecar(Recipe(), recording)
    assert identify(recording).subject == "CSE020"


def test_a_key_that_is_nearly_one_is_guessed(recording: Path) -> None:
    write_beside(recording, 'subjekt = "CSE021"')
    with pytest.raises(ConfigError, match=r"unknown key subjekt. Did you mean subject\?"):
        choose_by_sidecar(Recipe(), recording)
