from __future__ import annotations

import json
import math
import os
import tomllib
from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from facehog_core.choices import CHOICES, choose, choose_by_sidecar, find_sidecar
from facehog_core.crop import Crop
from facehog_core.errors import ConfigError, TimestampsError
from facehog_core.hog import HogParams
from facehog_core.mask import Box, Polygon
from facehog_core.recipe import Recipe
from facehog_core.selection import Selection
from facehog_core.timestamps import TimestampsSource, find_timestamps

ALL = """
crop = [1, 2, 64, 96]
grey = "luma"
downsample = 2
keep_bits = 10
masks = [{ box = [1, 2, 3, 4] }, { polygon = [[0, 0], [9, 0], [0, 9]] }]
apply_rotation = true
seconds = [0.5, 60]
every = 3
max_corrupt = 0.2
stream = 1
frame_rate = "30000/1001"
timestamps = { file = "{stem}.csv", column = 2, unit = "ms" }
"""
CHOSEN = Recipe(
    crop=Crop(x=1, y=2, width=64, height=96),
    grey="luma",
    downsample=2,
    keep_bits=10,
    masks=(Box(x=1, y=2, width=3, height=4), Polygon(points=((0, 0), (9, 0), (0, 9)))),
    apply_rotation=True,
    frames=Selection(start_s=0.5, stop_s=60, step=3),
    max_corrupt=0.2,
    stream=1,
    frame_rate=Fraction(30000, 1001),
    timestamps=TimestampsSource(file="{stem}.csv", column=2, unit="ms"),
)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return tmp_path / "m12.cam0.mp4"


def beside(recording: Path, text: str) -> Path:
    sidecar = recording.with_name("m12.cam0.facehog.toml")
    sidecar.write_text(text, "utf-8")
    return sidecar


def test_a_file_beside_the_recording_chooses_all_that_an_inbox_may(recording: Path) -> None:
    assert find_sidecar(recording) == beside(recording, ALL)
    assert choose_by_sidecar(Recipe(), recording) == CHOSEN
    assert set(CHOICES) == {line.split(" = ")[0] for line in ALL.splitlines() if line} | {"frames"}


def test_it_wins_and_leaves_what_it_does_not_name(recording: Path) -> None:
    beside(recording, "downsample = 1\nframes = [100]")
    before = Recipe(hog=HogParams(orientations=9), downsample=4, grey="luma", frames=Selection(start_s=1, step=5))

    assert choose_by_sidecar(before, recording) == Recipe(
        hog=HogParams(orientations=9), downsample=1, grey="luma", frames=Selection(start=100, step=5)
    )


def test_without_it_nothing_changes(recording: Path) -> None:
    assert choose_by_sidecar(CHOSEN, recording) == CHOSEN
    beside(recording, "")
    assert choose_by_sidecar(CHOSEN, recording) == CHOSEN


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"frames": [5]}, Selection(start=5)),
        ({"frames": [5, 9]}, Selection(start=5, stop=9)),
        ({"seconds": [5]}, Selection(start_s=5)),
        ({"seconds": [0.5, 9], "every": 2}, Selection(start_s=0.5, stop_s=9, step=2)),
        ({"every": 10}, Selection(step=10)),
        ({}, Selection()),
    ],
)
def test_frames_are_chosen_by_number_or_time(values: dict[str, object], expected: Selection) -> None:
    assert choose(Recipe(), values).frames == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("crp = [1, 2, 3, 4]", r"unknown key crp. Did you mean crop\? Choose from crop, grey, downsample, masks"),
        ("[hog]\norientations = 9", "unknown key hog. Choose from crop"),
        ("crop = [1, 2, 3]", r"crop = \[1, 2, 3\] is wrong. It must be \[x, y, width, height\] in whole pixels"),
        ("crop = 5", "crop = 5 is wrong. It must be"),
        ("crop = ['a', 2, 3, 4]", "crop = .* is wrong"),
        ("grey = 'gray'", "grey = 'gray' is wrong. It must be one of 'rgb', 'luma'"),
        ("downsample = 0", "downsample = 0 is wrong. It must be a whole number from 1 on"),
        ("keep_bits = 24", "keep_bits = 24 is wrong. It must be a whole number from 1 to 23"),
        ("masks = [{ box = [1, 2, 3] }]", r"masks = \[.*\] is wrong. It must be a list of \{ box = \[x, y,"),
        ("masks = 5", "masks = 5 is wrong"),
        ("apply_rotation = 90", "apply_rotation = 90 is wrong. It must be true or false"),
        ("frames = [5, 5]", r"frames = \[5, 5\] is wrong. It must be \[first, after the last\] or \[first\]"),
        ("frames = 5", "frames = 5 is wrong"),
        ("frames = [1, 2, 3]", "frames = .* is wrong"),
        ("seconds = [0.0, 'x']", "seconds = .* is wrong. It must be .* in seconds"),
        ("every = 0", "every = 0 is wrong. It must be a whole number from 1 on"),
        ("max_corrupt = 5", "max_corrupt = 5 is wrong. It must be a share from 0 to 1"),
        ("stream = -1", "stream = -1 is wrong. It must be a whole number from 0 on"),
        ("frame_rate = 0", "frame_rate = 0 is wrong. It must be a number of frames a second above 0"),
        ("frame_rate = '1/0'", "frame_rate = '1/0' is wrong"),
        ("timestamps = { fil = 'a' }", "timestamps = .* is wrong. It must be a table such as"),
        ("timestamps = 'a.csv'", "timestamps = 'a.csv' is wrong"),
        ("timestamps = { file = 5 }", "timestamps = .* is wrong"),
        ('timestamps = { file = "a\\u0000b" }', r"a text in it holds '\\x00', which is no character"),
        ("timestamps = { file = 'a', column = 1.5 }", "timestamps = .* is wrong"),
        ("timestamps = { file = 'a', column = 1979-05-27 }", "timestamps = .* is wrong"),
        (f"masks = [{{ polygon = [[0, 0], [1, 1], [1, 1{'0' * 400}]] }}]", "masks = .* is wrong"),
        (f"seconds = [1{'0' * 400}]", "seconds = .* is wrong"),
        (f"frames = [1{'0' * 400}]", "frames = .* is wrong"),
        ("frame_rate = '1e999999999'", "frame_rate = '1e999999999' is wrong"),
        ("frame_rate = 1e300", "frame_rate = 1e[+]300 is wrong"),
        (f"every = 1{'0' * 5000}", "this is not TOML: Exceeds the limit"),
        (f"masks = {'[' * 3000}", "this is not TOML: maximum recursion"),
        ("frames = [1]\nseconds = [1]", "frames and seconds are both given. Take one of the two keys out."),
        ("crop = = 1", "this is not TOML: .*line 1"),
    ],
)
def test_what_is_wrong_in_it_is_one_error_with_file_key_value_and_choices(
    recording: Path, text: str, said: str
) -> None:
    beside(recording, text)
    with pytest.raises(ConfigError, match=rf"^m12\.cam0\.facehog\.toml: {said}"):
        choose_by_sidecar(Recipe(), recording)


def test_what_cannot_be_read_is_said(recording: Path) -> None:
    beside(recording, "").unlink()
    find_sidecar(recording).mkdir()
    with pytest.raises(ConfigError, match=r"m12\.cam0\.facehog\.toml: it cannot be read"):
        choose_by_sidecar(Recipe(), recording)
    find_sidecar(recording).rmdir()
    find_sidecar(recording).write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="this is not TOML"):
        choose_by_sidecar(Recipe(), recording)


ODD = [
    *[
        True,
        -1,
        0,
        2,
        1.5,
        math.nan,
        math.inf,
        1e300,
        10**400,
        -(10**400),
        date(1979, 5, 27),
        [],
        [1, 2, 3],
        {},
        {"a": 1},
    ],
    *["", "a\0b", "{", "1e9999999999", "1/0", "luma", "ns"],
]


def with_one_odd_value(value: object) -> Iterator[object]:
    """Yield what a user may write instead of a value that is right: something odd for it, or for a part of it."""
    yield from ODD
    if isinstance(value, list):
        for place, part in enumerate(value):
            yield from ([*value[:place], odd, *value[place + 1 :]] for odd in with_one_odd_value(part))
    if isinstance(value, dict):
        for name, part in value.items():
            yield from ({**value, name: odd} for odd in with_one_odd_value(part))


@pytest.mark.parametrize("name", CHOICES)
def test_whatever_is_chosen_makes_a_recipe_that_can_be_told_or_is_refused(name: str) -> None:
    right = {**tomllib.loads(ALL), "frames": [100, 9000]}[name]
    n_made = 0
    for value in with_one_odd_value(right):
        try:
            recipe = choose(Recipe(), {name: value})
        except ValueError:
            continue
        n_made += 1
        assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))).digest == recipe.digest
        assert str(recipe.frames)
        assert find_timestamps(Path("/none/m12.mp4"), recipe.timestamps) is None
    assert n_made, "some of those are right"


def test_what_windows_notepad_writes_is_read(recording: Path) -> None:
    find_sidecar(recording).write_text("every = 2", "utf-8-sig")
    assert choose_by_sidecar(Recipe(), recording).frames.step == 2


def test_a_recording_whose_name_is_too_long_for_a_file_beside_it_has_none(tmp_path: Path) -> None:
    assert choose_by_sidecar(CHOSEN, tmp_path / f"{'n' * 247}.mp4") == CHOSEN


def test_what_is_no_short_file_is_not_read(recording: Path) -> None:
    beside(recording, f"every = 2\n# {'x' * 10**6}\n")
    with pytest.raises(ConfigError, match="it cannot be read: it is no short file"):
        choose_by_sidecar(Recipe(), recording)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(recording: Path) -> None:
    os.mkfifo(find_sidecar(recording))
    with pytest.raises(ConfigError, match="it cannot be read: it is no short file"):
        choose_by_sidecar(Recipe(), recording)


def test_a_link_that_leads_to_itself_is_said(recording: Path) -> None:
    sidecar = find_sidecar(recording)
    try:
        sidecar.symlink_to(sidecar)
    except OSError:
        pytest.skip("links may not be made here")
    with pytest.raises(ConfigError, match="it cannot be read"):
        choose_by_sidecar(Recipe(), recording)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(30, 30), (29.97, Fraction(2997, 100)), ("30000/1001", Fraction(30000, 1001)), (0.5, Fraction(1, 2))],
)
def test_a_rate_is_read_exactly(rate: object, expected: Fraction) -> None:
    assert choose(Recipe(), {"frame_rate": rate}).frame_rate == expected


def test_a_share_that_fails_is_no_fault_of_the_file(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside(recording, "")

    def fail(*_: object) -> str:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(Path, "read_text", fail)
    with pytest.raises(OSError, match=os.strerror(5)):
        choose_by_sidecar(Recipe(), recording)


@pytest.mark.parametrize(
    "file",
    ["../times.csv", "a/../../times.csv", "/etc/passwd", "C:/times.csv", "\\\\\\\\srv\\\\x.csv", "..\\\\{stem}.csv"],
)
def test_a_file_beside_a_recording_names_no_timestamps_outside_of_its_folder(recording: Path, file: str) -> None:
    beside(recording, f'timestamps = {{ file = "{file}" }}')
    with pytest.raises(ConfigError, match="lies outside of the recording's folder"):
        choose_by_sidecar(Recipe(), recording)
    # Whoever writes facehog.toml may: there it is no stranger's word.
    beside(recording, "downsample = 2")
    anywhere = Recipe(timestamps=TimestampsSource(file="../times/{stem}.csv"))
    assert choose_by_sidecar(anywhere, recording).timestamps == anywhere.timestamps
    beside(recording, 'timestamps = { file = "times/{stem}..csv" }')
    assert choose_by_sidecar(Recipe(), recording).timestamps is not None


def test_no_link_beside_a_recording_leads_to_timestamps_elsewhere(tmp_path: Path) -> None:
    elsewhere, inbox, by_hand = (tmp_path / name for name in ("home", "inbox", "by hand"))
    elsewhere.mkdir()
    by_hand.mkdir()
    (inbox / "times").mkdir(parents=True)
    (elsewhere / "secret.csv").write_text("not to be seen", "utf-8")
    (inbox / "there.csv").write_text("1", "utf-8")
    recording = inbox / "m12.mp4"
    recording.touch()
    try:
        (inbox / "times" / "m12.csv").symlink_to(elsewhere / "secret.csv")
        (inbox / "linked").symlink_to(elsewhere, target_is_directory=True)
        (by_hand / "m12.mp4").symlink_to(recording)
        (by_hand / "m12.csv").symlink_to(elsewhere / "secret.csv")
        (inbox / "m12.csv").symlink_to(inbox / "there.csv")
    except OSError:
        pytest.skip("links may not be made here")
    for file in ("times/{stem}.csv", "linked/secret.csv"):
        with pytest.raises(
            TimestampsError, match="cannot be read: a link leads out of the recording's folder"
        ) as caught:
            find_timestamps(recording, TimestampsSource(file=file))
        assert "not to be seen" not in str(caught.value)
    # Within the folder; where whoever writes facehog.toml says so; and beside a recording that is a link itself.
    assert find_timestamps(recording, TimestampsSource(file="{stem}.csv")) is not None
    assert find_timestamps(recording, TimestampsSource(file=str(elsewhere / "secret.csv"))) is not None
    assert find_timestamps(by_hand / "m12.mp4", TimestampsSource(file="{stem}.csv")) is not None
