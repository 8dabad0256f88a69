from __future__ import annotations

import functools
import pickle
import shutil
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from threading import Semaphore
from time import sleep
from typing import Any

import av
import dask
import numpy as np
import pims
import psutil
import pytest
from barcode import read_number, write_recording
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from recordings import PER_RECORDING, REAL
from remuxed import beside

from facehog_core import reader
from facehog_core.errors import DamagedError, NotH264Error
from facehog_core.reader import DecodedFrame, RecordingReader

OpenOnce = Callable[[Path], RecordingReader]

MOUSE = "real/lightningpose_mirror-mouse_test_vid.mp4"  # 994 frames, keyframes at 0, 192, 432, 682, 932


def checksum(grey: NDArray[np.uint8]) -> int:
    return zlib.crc32(np.ascontiguousarray(grey))


@functools.cache
def sequential(path: Path) -> list[int]:
    """Return checksums of the grey frames of a plain sequential decode."""
    with av.open(path) as container:
        container.streams.video[0].codec_context.thread_count = 1
        rgb = (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))
        return [checksum(np.rint(pims.as_grey(picture)).astype(np.uint8)) for picture in rgb]


@pytest.fixture(scope="module")
def open_once() -> Iterator[OpenOnce]:
    """Return a function that opens a recording, the same reader each time."""
    with ExitStack() as readers:
        yield functools.cache(lambda path: readers.enter_context(RecordingReader(path)))


@pytest.fixture(scope="module")
def numbered_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordingReader]:
    """Return the reader of `numbered`, the same each time."""
    with RecordingReader(write_recording(tmp_path_factory.mktemp("numbered") / "x.mp4", 60)) as frames:
        yield frames


@pytest.fixture
def numbered(tmp_path: Path) -> Iterator[RecordingReader]:
    """Return a reader of 60 numbered frames with a keyframe at every twelfth."""
    with RecordingReader(write_recording(tmp_path / "numbered.mp4", 60)) as frames:
        yield frames


@pytest.mark.parametrize("name", REAL)
@settings(PER_RECORDING)
@given(data=st.data())
def test_frames_are_those_of_a_sequential_decode_in_any_order(
    open_once: OpenOnce, videos_dir: Path, name: str, data: st.DataObject
) -> None:
    frames = open_once(videos_dir / name)
    good = sequential(videos_dir / name)
    assert len(frames) == len(good)
    # Jumps, and steps forward and back from there.
    i = data.draw(st.integers(0, len(good) - 1))
    for step in data.draw(st.lists(st.integers(-3, 5), min_size=1, max_size=4)):
        assert checksum(frames[i]) == good[i]
        i = min(max(i + step, 0), len(good) - 1)


@given(chosen=st.slices(60) | st.lists(st.integers(-60, 59), max_size=5))
def test_slices_and_lists_are_those_of_a_list(numbered_once: RecordingReader, chosen: Any) -> None:
    numbers = range(60)[chosen] if isinstance(chosen, slice) else [range(60)[i] for i in chosen]
    found = list(numbered_once[chosen])
    assert [frame.frame_no for frame in found] == list(numbers)
    assert [read_number(frame) for frame in found] == list(numbers)


def test_a_frame_carries_its_number_time_and_state(videos_dir: Path) -> None:
    with RecordingReader(videos_dir / "real/aind_bvt_clip.mp4") as frames:
        frame = frames[-1]
    assert isinstance(frame, pims.Frame)
    assert frame.frame_no == 500
    assert frame.metadata == {"pts": 249750, "time_s": 0.999, "corrupt": False}
    assert (frame.shape, frame.dtype) == ((540, 720), np.uint8)


def test_it_is_what_pims_dask_image_and_napari_ask_for(open_once: OpenOnce, videos_dir: Path) -> None:
    frames = open_once(videos_dir / MOUSE)
    assert isinstance(frames, pims.FramesSequence)
    assert frames.shape == (len(frames), *frames.frame_shape) == (994, 406, 396)
    assert np.dtype(frames.pixel_type) == frames.dtype == np.uint8
    assert frames.frame_rate == 250
    assert np.asarray(frames[3]).shape == frames.frame_shape
    darker = pims.pipeline(lambda frame: frame // 2)(frames)
    assert np.array_equal(darker[7], frames[7] // 2)
    assert "994 frames of 396 x 406" in repr(frames)


def test_slicing_decodes_nothing(numbered: RecordingReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "iter_frames", None)
    assert len(numbered[10:30]) == 20
    assert numbered.as_dask()[5:7, :8].shape == (2, 8, 160)


def test_the_decoder_is_sent_back_only_for_a_jump(numbered: RecordingReader, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []

    def iter_and_note(info: Any, index: Any, start: int, stop: int) -> Any:
        starts.append(start)
        return original(info, index, start, stop)

    original = reader.iter_frames
    monkeypatch.setattr(reader, "iter_frames", iter_and_note)
    for i in range(60):
        numbered[i]
    assert starts == [0]
    numbered[14]  # back
    numbered[16], numbered[22]  # a little ahead within the GOP
    assert starts == [0, 14]
    numbered[30]  # ahead, and the keyframe at 24 is nearer than frame 23
    numbered[30]  # again
    assert starts == [0, 14, 30, 30]


def test_threads_that_share_a_reader_take_turns(numbered: RecordingReader, monkeypatch: pytest.MonkeyPatch) -> None:
    was_alone: list[bool] = []
    inside = Semaphore(1)

    def iter_alone(*arguments: Any) -> Iterator[DecodedFrame]:
        for decoded in original(*arguments):
            was_alone.append(inside.acquire(blocking=False))
            sleep(0.001)  # others have time to come in
            inside.release()
            yield decoded

    original = reader.iter_frames
    monkeypatch.setattr(reader, "iter_frames", iter_alone)
    numbers = np.random.default_rng(0).integers(0, 60, 40).tolist()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda i: read_number(numbered[i]), numbers)) == numbers
    assert all(was_alone)


def test_a_reader_is_sent_without_probing_again(numbered: RecordingReader, monkeypatch: pytest.MonkeyPatch) -> None:
    numbered[20]
    monkeypatch.setattr(reader, "probe", None)
    copy = pickle.loads(pickle.dumps(numbered))
    assert read_number(copy[33]) == 33
    assert copy[33].metadata == numbered[33].metadata
    copy.close()


def test_closing_closes_the_file_and_reading_opens_it_again(numbered: RecordingReader) -> None:
    def is_open() -> bool:
        return numbered.info.path in (file.path for file in psutil.Process().open_files())

    assert read_number(numbered[4]) == 4
    assert is_open()
    numbered.close()
    assert not is_open()
    assert read_number(numbered[5]) == 5
    assert is_open()


def test_numbers_outside_of_the_recording_are_refused(numbered: RecordingReader) -> None:
    for i in (60, -61):
        with pytest.raises(IndexError):
            numbered[i]
    for i in (60, -1):
        with pytest.raises(IndexError, match="60 frames"):
            numbered.get_frame(i)


def test_a_damaged_frame_is_an_error_each_time_and_spoils_no_other(videos_dir: Path, tmp_path: Path) -> None:
    path = Path(shutil.copyfile(videos_dir / "derived/ref_yuv420p_nob_g60.mp4", tmp_path / "x.mp4"))
    good = sequential(videos_dir / "derived/ref_yuv420p_nob_g60.mp4")
    with av.open(path) as container:
        packet = next(packet for i, packet in enumerate(container.demux(video=0)) if i == 150)
        position, size = packet.pos, packet.size
    with path.open("r+b") as file:
        file.seek(position)
        file.write(b"\xff" * size)
    with RecordingReader(path) as frames:
        for _ in range(2):
            for _ in range(2):
                with pytest.raises(DamagedError, match="frame 150 of 300"):
                    frames[150]
            assert checksum(frames[149]) == good[149]
            assert checksum(frames[200]) == good[200]


def test_what_is_no_h264_is_refused(videos_dir: Path) -> None:
    with pytest.raises(NotH264Error):
        RecordingReader(videos_dir / "derived/p_hevc.mp4")


@pytest.mark.parametrize("name", ["x.mp4", "x.h264"])  # seekable, and not
@pytest.mark.parametrize("frames_per_block", [1, 7, 24, None])
def test_the_dask_array_is_the_recording(tmp_path: Path, name: str, frames_per_block: int | None) -> None:
    frames = RecordingReader(write_recording(tmp_path / name, 40))
    array = frames.as_dask(frames_per_block)
    assert (array.shape, array.dtype) == ((40, 96, 160), np.uint8)
    assert np.array_equal(array.compute(), np.stack(list(frames)))


@given(
    frames=st.integers(-60, 59) | st.slices(60),
    rows=st.integers(-96, 95) | st.slices(96),
    cols=st.slices(160),
)
def test_the_dask_array_is_sliced_like_any_array(
    numbered_once: RecordingReader, frames: Any, rows: Any, cols: Any
) -> None:
    key = (frames, rows, cols)
    found = numbered_once.as_dask(16)[key].compute(scheduler="synchronous")
    assert np.array_equal(found, whole(numbered_once)[key])


@functools.cache
def whole(recording: RecordingReader) -> NDArray[np.uint8]:
    return np.stack(list(recording))


@given(st.integers(1, 1100))
def test_blocks_are_bounded_and_end_at_keyframes_where_they_can(
    open_once: OpenOnce, videos_dir: Path, longest: int
) -> None:
    frames = open_once(videos_dir / MOUSE)
    lengths = frames.as_dask(longest).chunks[0]
    assert sum(lengths) == 994
    assert max(lengths) <= longest
    ends = set(np.cumsum(lengths).tolist())
    gops = [0, 192, 432, 682, 932, 994]
    if longest >= 250:  # the longest GOP
        assert ends <= set(gops)
        assert all(block + after > longest for block, after in pairwise(lengths))
    else:
        too_long = {stop for start, stop in pairwise(gops) if stop - start > longest}
        assert too_long <= ends


def test_blocks_that_fit_to_the_frame_are_put_together(numbered: RecordingReader) -> None:
    assert numbered.as_dask(24).chunks[0] == (24, 24, 12)
    assert numbered.as_dask(23).chunks[0] == (12,) * 5
    assert numbered.as_dask(11).chunks[0] == (6,) * 10


def test_a_block_is_bounded_in_bytes(numbered: RecordingReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "BLOCK_BYTES", 25 * 96 * 160)
    assert numbered.as_dask().chunks[0] == (24, 24, 12)
    monkeypatch.setattr(reader, "BLOCK_BYTES", 1)
    assert numbered.as_dask().chunks[0] == (1,) * 60


@pytest.mark.parametrize("longest", [0, -1])
def test_a_block_needs_a_frame(numbered: RecordingReader, longest: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        numbered.as_dask(longest)


def test_equal_recordings_make_equal_dask_arrays(numbered: RecordingReader, tmp_path: Path) -> None:
    copy = RecordingReader(shutil.copyfile(numbered.info.path, tmp_path / "copy.mp4"))
    assert copy.as_dask().name == numbered.as_dask().name


def test_two_streams_of_a_file_make_two_dask_arrays(tmp_path: Path) -> None:
    path = beside(tmp_path / "two.mkv", 8, other={"n_frames": 8, "chroma": 60})
    arrays = [RecordingReader(path, stream).as_dask() for stream in (0, 1)]
    expected = [np.stack(list(RecordingReader(path, stream))) for stream in (0, 1)]
    assert not np.array_equal(*expected)
    assert all(map(np.array_equal, dask.compute(*arrays), expected))
