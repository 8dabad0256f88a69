from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from av.video.frame import PictureType
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from facehog_core.synthetic import MouseFace, write_mouse_face

SMALL = {"width": 160, "height": 128}
N_FRAMES = 40


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synthetic") / "mouse.mp4"
    rate = Fraction(30000, 1001)
    return write_mouse_face(path, n_frames=N_FRAMES, frame_rate=rate, gop=15, n_b_frames=2, crf=4, seed=3, **SMALL)


def planes_of(frame: av.VideoFrame) -> list[NDArray[np.uint8]]:
    return [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    ]


def test_the_stream_is_h264_in_yuv420p_as_asked_for(recording: Path) -> None:
    with av.open(recording) as container:
        (stream,) = container.streams
        frames = list(container.decode(stream))
    pictures = [PictureType(frame.pict_type) for frame in frames]
    assert (stream.codec.name, stream.pix_fmt, stream.width, stream.height) == ("h264", "yuv420p", 160, 128)
    assert stream.average_rate == Fraction(30000, 1001)
    assert len(pictures) == stream.frames == N_FRAMES
    assert [i for i, kind in enumerate(pictures) if kind == PictureType.I] == [0, 15, 30]
    assert PictureType.B in pictures


def test_ffmpeg_finds_as_many_frames(recording: Path) -> None:
    n_frames, duration_s = imageio_ffmpeg.count_frames_and_secs(str(recording))
    assert n_frames == N_FRAMES
    assert duration_s == pytest.approx(N_FRAMES * 1001 / 30000, abs=0.02)


def test_every_frame_shows_what_was_drawn_in_grey(recording: Path) -> None:
    face = MouseFace(N_FRAMES, frame_rate=30000 / 1001, seed=3, **SMALL)
    drawn = np.stack([face.luma(i) for i in range(N_FRAMES)]).astype(float)
    with av.open(recording) as container:
        for i, frame in enumerate(container.decode(video=0)):
            luma, *chroma = planes_of(frame)
            distance = np.abs(drawn - luma).mean(axis=(1, 2))
            assert distance.argmin() == i
            assert distance[i] < 1
            assert all((plane == 128).all() for plane in chroma)


def test_a_seed_gives_the_same_frames_in_any_order_and_another_seed_others() -> None:
    forward, backward, other = (MouseFace(12, seed=seed, **SMALL) for seed in (1, 1, 2))
    frames = [forward.luma(i) for i in range(12)]
    assert all(np.array_equal(backward.luma(i), frames[i]) for i in reversed(range(12)))
    assert not np.array_equal(other.luma(0), frames[0])


def test_the_face_moves_and_the_rig_does_not() -> None:
    face = MouseFace(90, **SMALL)
    unsteadiness = np.stack([face.luma(i) for i in range(90)]).std(axis=0)
    head_bar, nose = unsteadiness[1:9, 90:155], unsteadiness[48:76, 10:25]
    assert nose.mean() > 2 * head_bar.mean()


def test_the_eye_shuts_now_and_then() -> None:
    face = MouseFace(600, **SMALL)
    upper_half = np.array([face.luma(i)[42:46, 57:61].mean() for i in range(600)])
    assert np.median(upper_half) < 50  # the dark eye
    assert upper_half.max() > 60  # the fur of the lid


@pytest.mark.parametrize(("full_range", "black", "white"), [(False, 16, 235), (True, 0, 255)])
def test_grey_keeps_to_its_range_and_uses_it(full_range: bool, black: int, white: int) -> None:
    frame = MouseFace(1, full_range=full_range, **SMALL).luma(0)
    assert black <= frame.min() < black + 8
    assert white - 40 < frame.max() <= white


@pytest.mark.parametrize("full_range", [False, True])
def test_full_range_is_tagged_and_limited_range_is_not(tmp_path: Path, full_range: bool) -> None:
    path = write_mouse_face(tmp_path / "mouse.mp4", n_frames=2, full_range=full_range, **SMALL)
    with av.open(path) as container:
        frame = next(container.decode(video=0))
    assert (frame.color_range == ColorRange.JPEG) == full_range


def test_a_recording_gets_its_name_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: set[str] = set()
    draw = MouseFace.frame

    def draw_until_the_disk_is_full(face: MouseFace, index: int) -> av.VideoFrame:
        names.update(entry.name for entry in tmp_path.iterdir())
        if index == 59:
            raise OSError("no space left")
        return draw(face, index)

    monkeypatch.setattr(MouseFace, "frame", draw_until_the_disk_is_full)
    with pytest.raises(OSError, match="no space left"):
        write_mouse_face(tmp_path / "mouse.mp4", n_frames=60, **SMALL)
    assert names == {".mouse.mp4.part"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"n_frames": 0}, {"width": 161}, {"height": 127}])
def test_what_h264_cannot_hold_is_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="even"):
        write_mouse_face(tmp_path / "mouse.mp4", **{"n_frames": 1, **SMALL, **wrong})
