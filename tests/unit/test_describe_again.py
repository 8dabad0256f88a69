"""What is proved beyond bytes: that the recording gives the stored numbers; and since when something is wrong."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from barcode import write_recording
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import ENDED, lay_out_run, make_store, make_work, run_recording

from facehog_core import describe_again
from facehog_core.chunking import Chunk
from facehog_core.decode import DecodedFrame
from facehog_core.describe_again import choose_sample
from facehog_core.errors import UnreadableError
from facehog_core.extract import compute_shard, extract_chunk
from facehog_core.hog import HogParams
from facehog_core.layout import Work
from facehog_core.mask import Box
from facehog_core.receipts import ShardHogs
from facehog_core.recipe import Recipe
from facehog_core.sealed import read_record
from facehog_core.sealing import seal_store
from facehog_core.store import read_work
from facehog_core.verifications import (
    Verification,
    history_beside,
    note_verification,
    read_history,
    tell_since,
)
from facehog_core.verify import Step, Verdict, verify_store


def verdict_of(path: Path, *, is_deep: bool = False, history: list[Verification] | None = None) -> Verdict:
    *_, verdict = verify_store(path, is_deep=is_deep, history=history or [])
    assert isinstance(verdict, Verdict)
    return verdict


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of a recording that is nowhere any more."""
    return make_store(tmp_path / "store", make_work())


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a recording that is still there, 40 frames in shards of 15; cells under a mask, values rounded."""
    folder = tmp_path_factory.mktemp("recorded")
    recording = write_recording(folder / "m12.mp4", 40)
    hog = HogParams(pixels_per_cell=(16, 16))
    recipe = Recipe(hog=hog, masks=(Box(x=0, y=0, width=20, height=20),), keep_bits=12)
    return run_recording(folder / "store", recording, recipe, frames_per_shard=15)


@settings(max_examples=20)
@given(st.data())
def test_a_flipped_bit_of_the_recording_is_found(recorded: Path, data: st.DataObject) -> None:
    recording = Path(read_record(recorded).path)
    content = recording.read_bytes()
    place, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    recording.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
    try:
        verdict = verdict_of(recorded)
    finally:
        recording.write_bytes(content)

    assert verdict.source == "changed"
    (finding,) = verdict.findings
    assert finding.remedy.startswith("Put the recording back as it was")


def forge(root: Path, recording: Path, place: int) -> Path:
    """Make a store that is sealed in order, and holds other numbers than its recording gives, in one frame."""
    recipe = Recipe(hog=HogParams(pixels_per_cell=(16, 16)))
    paths = lay_out_run(root, recording, recipe, frames_per_shard=15)

    def compute(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> ShardHogs:
        hogs = compute_shard(frames, span, work)
        if span.start <= place < span.stop:
            hogs.histograms[place - span.start, 2, 3, 1] += np.float32(0.5)
        return replace(hogs, descriptors=work.view.normalise(hogs.histograms))

    receipts = [made for chunk in read_work(paths).plan for made in extract_chunk(paths, chunk, compute=compute)]
    return seal_store(paths, receipts, ENDED)


def test_all_frames_are_described_again_if_it_is_to_be_deep(recorded: Path) -> None:
    *steps, verdict = verify_store(recorded, is_deep=True)

    assert isinstance(verdict, Verdict)
    assert (verdict.problems, verdict.n_described) == ([], 40)
    assert [step for step in steps if step.doing == "describes again"] == [  # type: ignore[union-attr]
        Step(doing="describes again", n_done=n, n_all=40) for n in (15, 30, 40)
    ]


def test_numbers_that_the_recording_does_not_give_are_found_by_all_frames(tmp_path: Path) -> None:
    store = forge(tmp_path / "store", write_recording(tmp_path / "m12.mp4", 40), 22)
    verdict = verdict_of(store, is_deep=True)
    histograms, descriptors = verdict.findings
    assert histograms.fact == "histograms of frames 22 differ from those described again, by up to 0.5"
    assert descriptors.fact.startswith("descriptors of frames 22 differ")
    assert "facehog reproduce" in histograms.remedy


def test_numbers_that_differ_name_the_versions_that_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = forge(tmp_path / "store", write_recording(tmp_path / "m12.mp4", 40), 22)
    monkeypatch.setattr(
        describe_again, "describe_software", lambda: {**dict(read_record(store).software), "av": "99.0"}
    )
    verdict = verdict_of(store, is_deep=True)
    assert verdict.problems[0].endswith("(other versions: av 18.1.0, now 99.0)")


@given(n_frames=st.integers(1, 5000), n_wanted=st.integers(1, 20))
def test_samples_are_spread_and_others_each_time(n_frames: int, n_wanted: int) -> None:
    seen: set[int] = set()
    for turn in range(30):
        sample = choose_sample(n_frames, n_wanted, turn)
        assert len(sample) == min(n_frames, n_wanted)
        assert (np.diff(sample) > 0).all()
        assert 0 <= sample[0] <= sample[-1] < n_frames
        assert np.diff(sample).max(initial=0) <= n_frames / len(sample) + 1
        seen |= set(sample.tolist())
    # 30 samples have looked at a good part of all places that they could have.
    assert len(seen) >= min(n_frames, 30 * len(sample)) * 0.5


def test_a_recording_that_cannot_be_described_any_more_is_told(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise UnreadableError("m12.mp4", "FFmpeg cannot read it as a video", "Copy it again.")

    monkeypatch.setattr(describe_again, "probe", refuse)
    (problem,) = verdict_of(recorded).problems
    assert problem.startswith("the recording cannot be described any more: FFmpeg cannot read it as a video")


def test_a_store_that_is_damaged_says_what_to_do_by_whether_its_recording_is_there(
    recorded: Path, store: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(recorded, tmp_path / "copy.zarr"))
    for path in (copy, store):
        truncate(path / "corrupt" / "c" / "0")

    assert "facehog process --force /" in verdict_of(copy).findings[0].remedy
    assert "backup" in verdict_of(store).findings[0].remedy


# -- since when -------------------------------------------------------------------------------------------

SEALED = datetime.fromisoformat(ENDED["finished_at"])


def by_this_clock(told: str) -> str:
    """Return what is told in UTC as this machine's clock has it."""
    return re.sub(
        r"\d{4}-\d\d-\d\d \d\d:\d\d",
        lambda time: f"{datetime.fromisoformat(f'{time[0]}+00:00').astimezone():%Y-%m-%d %H:%M}",
        told,
    )


def look_at(hour: int, *problems: str, day: int = 22) -> Verification:
    moment = datetime(2026, 11, day, hour, tzinfo=UTC)
    return Verification(at=moment, is_deep=False, source="unchanged", problems=list(problems))


@pytest.mark.parametrize(
    ("history", "told"),
    [
        ([], "found now for the first time; sealed at 2026-11-21 12:01"),
        ([look_at(3)], "found now for the first time; not so at 2026-11-22 03:00"),
        ([look_at(3, "a is missing")], "found first at 2026-11-22 03:00; sealed at 2026-11-21 12:01"),
        # One that found something else may not have come to this.
        (
            [look_at(1), look_at(2, "b"), look_at(3, "a is missing"), look_at(4, "a is missing", "b")],
            "found first at 2026-11-22 03:00; not so at 2026-11-22 01:00",
        ),
        ([look_at(3, "a is missing"), look_at(4)], "found now for the first time; not so at 2026-11-22 04:00"),
        # Of another store, which stood there before.
        ([look_at(3, "a is missing", day=20)], "found now for the first time; sealed at 2026-11-21 12:01"),
    ],
)
def test_since_when_something_is_wrong_follows_from_earlier_looks(history: list[Verification], told: str) -> None:
    assert tell_since("a is missing", history, SEALED) == by_this_clock(told)


def test_a_look_that_could_not_read_the_recording_does_not_say_that_it_was_unchanged() -> None:
    history = [look_at(1), replace(look_at(2), source="cannot be read (Stale file handle): m12.mp4")]
    told = tell_since("its content has changed", history, SEALED, "source")
    assert told == by_this_clock("found now for the first time; not so at 2026-11-22 01:00")


def test_of_frames_that_are_described_again_only_a_look_at_all_of_them_says_that_nothing_was_wrong() -> None:
    deep = replace(look_at(1), is_deep=True)
    history = [deep, look_at(2), look_at(3, "descriptors of frames 3 differ from those described again, by up to 1")]
    problem = "descriptors of frames 7-9 differ from those described again, by up to 2"
    told = tell_since(problem, history, SEALED, "frames")
    assert told == by_this_clock("found first at 2026-11-22 03:00; not so at 2026-11-22 01:00")


def test_a_verdict_says_since_when_by_the_history_beside_the_store(store: Path) -> None:
    assert read_history(store) == []
    note_verification(store, verdict_of(store).as_verification())
    (store / "corrupt" / "c" / "2").unlink()
    (sound,) = history = read_history(store)
    first = verdict_of(store, history=history)
    note_verification(store, first.as_verification())
    with history_beside(store).open("a") as file:
        file.write('{"at": "2026-')  # A power cut.
    again = verdict_of(store, history=read_history(store))

    assert first.findings[0].since == f"found now for the first time; not so at {sound.at:%Y-%m-%d %H:%M}"
    assert again.findings[0].since.startswith(f"found first at {first.at:%Y-%m-%d %H:%M}; not so at")
    # The history is no part of the store.
    assert again.problems == ["frames 20-23: corrupt/c/2 is missing"]
