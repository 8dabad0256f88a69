from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facehog_core.chunking import (
    FEWEST_SKIPPED,
    FRAMES_PER_SHARD,
    Chunk,
    ChunkPlan,
    count_decoded_again,
    find_jumps,
    plan_chunks,
)

HOUR = 108_000  # frames at 30 a second
LONG = [20_000, HOUR]
# GOPs of round numbers of frames and of seconds at 24 to 200 frames a second.
REGULAR_GOPS = [1, 12, 15, 30, 48, 60, 64, 90, 120, 125, 128, 150, 192, 240, 250, 256, 300, 360, 500]


@st.composite
def recordings(draw: st.DrawFn, most: int = 6000) -> tuple[int, list[int]]:
    """Draw the length of a recording and its keyframes, which need not begin at 0, nor be there at all."""
    n_frames = draw(st.integers(1, most))
    if draw(st.booleans()):
        return n_frames, list(range(draw(st.integers(0, 3)), n_frames, draw(st.integers(1, 700))))
    return n_frames, sorted(draw(st.sets(st.integers(0, n_frames - 1), max_size=20)))


plans = st.one_of(
    st.builds(lambda recording: plan_chunks(*recording), recordings()),
    st.builds(lambda recording, n: plan_chunks(*recording, frames_per_file=n), recordings(), st.integers(1, 400)),
    st.builds(lambda recording: plan_chunks(*recording, is_seekable=False), recordings()),
    st.builds(
        ChunkPlan,
        n_frames=st.integers(1, 5000),
        frames_per_shard=st.integers(1, 280),
        shards_per_chunk=st.integers(1, 5),
    ),
)


@given(plans)
def test_chunks_tile_a_recording_once(plan: ChunkPlan) -> None:
    frames = [frame for chunk in plan for frame in range(chunk.start, chunk.stop)]

    assert frames == list(range(plan.n_frames))
    assert len(plan) == len(list(plan))


@given(plans)
def test_the_shards_of_the_chunks_tile_a_recording_once_at_multiples_of_their_length(plan: ChunkPlan) -> None:
    shards = [shard for chunk in plan for shard in plan.shards_of(chunk)]

    assert [frame for shard in shards for frame in range(shard.start, shard.stop)] == list(range(plan.n_frames))
    assert all(shard.start % plan.frames_per_shard == 0 for shard in shards)
    assert all(len(shard) == plan.frames_per_shard for shard in shards[:-1])


@given(recordings(), st.integers(1, 400), st.booleans())
def test_shards_hold_whole_files(recording: tuple[int, list[int]], frames_per_file: int, is_seekable: bool) -> None:
    plan = plan_chunks(*recording, frames_per_file=frames_per_file, is_seekable=is_seekable)

    assert plan.frames_per_shard % frames_per_file == 0


@given(recordings(), st.integers(1, 1500))
def test_frames_decoded_again_are_those_between_a_chunks_start_and_the_keyframe_before(
    recording: tuple[int, list[int]], length: int
) -> None:
    n_frames, keyframes = recording
    starts_at = set(keyframes)
    again = 0
    for start in range(0, n_frames, length):
        origin = start
        while origin > 0 and origin not in starts_at:
            origin -= 1
        again += start - origin

    assert count_decoded_again(n_frames, keyframes, length) == again


@st.composite
def choices(draw: st.DrawFn) -> tuple[int, list[int], NDArray[np.int64]]:
    """Draw a recording and the frames of it that are described, some of them far apart."""
    n_frames, keyframes = draw(recordings(most=800))
    if draw(st.booleans()):
        start = draw(st.integers(0, n_frames - 1))
        return n_frames, keyframes, np.arange(start, n_frames, draw(st.integers(1, 200)))
    return n_frames, keyframes, np.array(sorted(draw(st.sets(st.integers(0, n_frames - 1), min_size=1))))


def decoded_by(keyframes: list[int], numbers: NDArray[np.int64]) -> set[int]:
    """Return what one decoder decodes that jumps where it is to."""
    decoded: set[int] = set()
    for part in np.split(numbers, find_jumps(numbers, keyframes)):
        origin = max((keyframe for keyframe in keyframes if keyframe <= part[0]), default=0)
        decoded |= set(range(origin, part[-1] + 1))
    return decoded


@given(choices(), st.integers(1, 300))
def test_frames_decoded_again_are_counted_also_where_only_some_are_described(
    choice: tuple[int, list[int], NDArray[np.int64]], length: int
) -> None:
    n_frames, keyframes, numbers = choice
    parts = [numbers[start : start + length] for start in range(0, len(numbers), length)]
    decoded = [decoded_by(keyframes, part) for part in parts]
    again = sum(map(len, decoded)) - len(set().union(*decoded))

    assert count_decoded_again(n_frames, keyframes, length, numbers) == again


@given(choices())
def test_a_decoder_jumps_to_the_keyframe_before_what_is_wanted_where_that_saves_many_frames(
    choice: tuple[int, list[int], NDArray[np.int64]],
) -> None:
    _, keyframes, numbers = choice
    jumps = set(find_jumps(numbers, keyframes).tolist())
    for position in range(1, len(numbers)):
        between = range(numbers[position - 1] + 1, numbers[position] + 1)
        nearest = max((keyframe for keyframe in keyframes if keyframe in between), default=between[0])
        assert (position in jumps) == (nearest - between[0] >= FEWEST_SKIPPED)


@given(choices(), st.booleans())
def test_a_plan_of_chosen_frames_tiles_them_once_and_says_what_is_decoded_again(
    choice: tuple[int, list[int], NDArray[np.int64]], is_seekable: bool
) -> None:
    n_frames, keyframes, numbers = choice
    plan = plan_chunks(n_frames, keyframes, numbers=numbers, is_seekable=is_seekable)

    assert [position for chunk in plan for position in range(chunk.start, chunk.stop)] == list(range(len(numbers)))
    length = plan.frames_per_shard * plan.shards_per_chunk
    assert plan.n_decoded_again == count_decoded_again(n_frames, keyframes, length, numbers)
    assert is_seekable or len(plan) == 1


def test_frames_that_lie_far_apart_make_shorter_chunks() -> None:
    keyframes = range(0, HOUR, 250)
    every_tenth = plan_chunks(HOUR, keyframes, numbers=np.arange(0, HOUR, 10))
    # 200 s apart: each needs no more than a GOP of its own.
    every_6000th = plan_chunks(HOUR * 10, range(0, HOUR * 10, 250), numbers=np.arange(100, HOUR * 10, 6000))

    assert 75 <= every_tenth.frames_per_shard <= 150
    assert every_6000th.frames_per_shard <= 75


@given(recordings())
def test_all_frames_chosen_by_name_have_the_plan_of_the_whole_recording(recording: tuple[int, list[int]]) -> None:
    assert plan_chunks(*recording, numbers=np.arange(recording[0])) == plan_chunks(*recording)


@given(recordings())
def test_the_plan_of_a_recording_is_always_the_same(recording: tuple[int, list[int]]) -> None:
    assert plan_chunks(*recording) == plan_chunks(*recording)


@given(recordings())
def test_a_plan_says_how_many_frames_its_chunks_decode_again(recording: tuple[int, list[int]]) -> None:
    plan = plan_chunks(*recording)

    assert plan.n_decoded_again == count_decoded_again(*recording, plan.frames_per_shard * plan.shards_per_chunk)
    assert plan.decoded_again == plan.n_decoded_again / plan.n_frames


@pytest.mark.parametrize(("n_frames", "gop"), [(n_frames, gop) for n_frames in LONG for gop in REGULAR_GOPS])
def test_a_regular_gop_is_decoded_once(n_frames: int, gop: int) -> None:
    plan = plan_chunks(n_frames, range(0, n_frames, gop))

    assert plan.shards_per_chunk == 1
    assert plan.n_decoded_again == 0


@given(st.integers(1, HOUR), st.integers(1, 2000))
def test_any_regular_gop_costs_at_most_3_percent_decoded_again(n_frames: int, gop: int) -> None:
    assert plan_chunks(n_frames, range(0, n_frames, gop)).decoded_again <= 0.03


@pytest.mark.parametrize("gop", REGULAR_GOPS)
def test_chunks_of_a_long_recording_are_many_and_neither_short_nor_long(gop: int) -> None:
    plan = plan_chunks(44_000, range(0, 44_000, gop))

    assert FRAMES_PER_SHARD / 2 <= plan.frames_per_shard <= FRAMES_PER_SHARD * 3 / 2


@pytest.mark.parametrize("n_frames", [1, 249, 250, 501, 2000])
def test_a_short_recording_is_cut_finer_so_that_it_spreads_over_the_cores(n_frames: int) -> None:
    plan = plan_chunks(n_frames, range(0, n_frames, 25))

    assert len(plan) >= min(8, max(1, n_frames // 250))


@pytest.mark.parametrize("gop", [600, 1200, 1201, 1800, 3000, 5400])
def test_gops_longer_than_shards_make_chunks_of_several_shards(gop: int) -> None:
    plan = plan_chunks(44_000, range(0, 44_000, gop))

    assert plan.is_shared_out
    assert len(plan) >= 8
    assert plan.decoded_again <= 0.03
    assert plan.frames_per_shard <= 1500


@pytest.mark.parametrize(("n_frames", "gop"), [(2000, 600), (2000, 1200), (5000, 1200), (20_000, 7000)])
def test_gops_that_are_too_few_to_share_out_are_the_work_of_one_decoder(n_frames: int, gop: int) -> None:
    plan = plan_chunks(n_frames, range(0, n_frames, gop))

    assert not plan.is_shared_out
    assert (len(plan), plan.n_decoded_again) == (1, 0)


def test_a_recording_of_one_shard_is_not_worth_many_cores() -> None:
    assert plan_chunks(250, [0]).is_shared_out
    assert not plan_chunks(600, [0]).is_shared_out


def test_an_endless_gop_is_the_work_of_one_decoder_that_fills_many_shards() -> None:
    plan = plan_chunks(20_000, [0])

    (chunk,) = plan
    assert (chunk.start, chunk.stop) == (0, 20_000)
    assert len(list(plan.shards_of(chunk))) == -(-20_000 // FRAMES_PER_SHARD)
    assert plan.n_decoded_again == 0


def test_a_recording_that_cannot_be_sought_in_is_the_work_of_one_decoder_that_fills_many_shards() -> None:
    plan = plan_chunks(20_000, range(0, 20_000, 50), is_seekable=False)

    (chunk,) = plan
    assert len(list(plan.shards_of(chunk))) == -(-20_000 // FRAMES_PER_SHARD)
    assert plan.n_decoded_again == 0


def test_a_recording_without_a_keyframe_is_decoded_from_its_beginning() -> None:
    assert count_decoded_again(100, [], 40) == 40 + 80
    assert len(plan_chunks(20_000, [])) == 1


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 3), (4, 3)])
def test_a_chunk_holds_at_least_one_frame(start: int, stop: int) -> None:
    with pytest.raises(ValueError, match="0 <= start < stop"):
        Chunk(start=start, stop=stop)


@pytest.mark.parametrize("name", ["n_frames", "frames_per_shard", "shards_per_chunk"])
def test_a_plan_refuses_counts_below_one(name: str) -> None:
    counts = {"n_frames": 10, "frames_per_shard": 4, "shards_per_chunk": 1}

    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        ChunkPlan(**counts | {name: 0})


def test_a_chunk_is_named_by_its_frames() -> None:
    assert str(Chunk(start=250, stop=500)) == "250-500"
