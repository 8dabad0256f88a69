from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facehog_core.intake import TEMPORARY, Looks, is_recording_name
from facehog_core.source import Signature

PATTERNS = ["*.mp4", "*.mkv"]
LOOK = Signature(size_bytes=10, mtime_ns=20, inode=30)
RECORDING = "/data/inbox/m12.mp4"

# -- which names -------------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12), st.sampled_from(TEMPORARY))
def test_no_name_is_both_temporary_and_a_recording(name: str, temporary: str) -> None:
    assert not is_recording_name(temporary.replace("*", name), ["*"])


@given(st.from_regex(r"[a-z0-9_][a-z0-9 _-]{0,10}", fullmatch=True), st.sampled_from(["mp4", "MP4", "Mkv"]))
def test_upper_and_lower_case_are_the_same(stem: str, suffix: str) -> None:
    assert is_recording_name(f"{stem}.{suffix}", PATTERNS)
    assert is_recording_name(f"{stem}.{suffix}", ["*.MP4", "*.MKV"])


def test_a_file_that_says_what_is_done_to_a_recording_is_none() -> None:
    assert not is_recording_name("m12_cam0.facehog.toml", ["*"])
    assert not is_recording_name("M12.FaceHog.TOML", ["*"])
    assert is_recording_name("facehog.toml.mp4", ["*"])


# -- when it may be taken up ------------------------------------------------------------------------------


@given(
    settle_s=st.floats(0.1, 100),
    steps=st.lists(st.tuples(st.floats(0, 60), st.booleans()), min_size=1, max_size=20),
)
def test_a_file_is_settled_once_it_has_looked_the_same_for_long_enough(
    settle_s: float, steps: list[tuple[float, bool]]
) -> None:
    looks, at_s, look = Looks(settle_s), 1000.0, LOOK
    changed_at_s = None
    for pause_s, changes in steps:
        at_s += pause_s
        if changes or changed_at_s is None:
            look = replace(look, size_bytes=look.size_bytes + 1)
            changed_at_s = at_s

        assert looks.is_settled(RECORDING, look, at_s, at_s) == (at_s - changed_at_s >= settle_s)


@pytest.mark.parametrize("change", [{"size_bytes": 11}, {"mtime_ns": 19}, {"inode": 31}])
def test_any_change_makes_a_file_wait_anew(change: dict[str, int]) -> None:
    looks = Looks(10)
    looks.is_settled(RECORDING, LOOK, 0, 0)

    assert not looks.is_settled(RECORDING, replace(LOOK, **change), 9, 9)
    assert not looks.is_settled(RECORDING, replace(LOOK, **change), 18.9, 18.9)
    assert looks.is_settled(RECORDING, replace(LOOK, **change), 19, 19)


def test_a_file_need_not_stand_still_where_that_is_not_asked_for() -> None:
    assert Looks(0).is_settled(RECORDING, LOOK, 5, 5)


def test_files_settle_each_for_itself() -> None:
    looks, other = Looks(10), "/data/inbox/other.mp4"
    looks.is_settled(RECORDING, LOOK, 0, 0)
    looks.is_settled(other, LOOK, 5, 5)

    assert looks.is_settled(RECORDING, LOOK, 10, 10)
    assert not looks.is_settled(other, LOOK, 10, 10)


def test_a_file_that_was_gone_waits_anew() -> None:
    looks = Looks(10)
    looks.is_settled(RECORDING, LOOK, 0, 0)
    looks.forget_all_but([])

    assert not looks.is_settled(RECORDING, LOOK, 100, 100)
