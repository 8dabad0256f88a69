"""Time what facehog's way of reading costs beside plain decoding, on one core.

Four ways read the same recording in turn: PyAV's plain decode with one thread; the same with facehog's careful
settings; with these and the look at the chroma that lets a neutral frame's luma stand for its grey; and the whole
reader, which also numbers frames and keeps account of damage. Run it with a real recording for the figures that count::

    python benchmarks/bench_reading.py --recording m12_cam0.mp4
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import process_time

import av
from long_footage import make_footage
from side_by_side import (
    Report,
    compare,
    describe_machine,
    make_parser,
    publish,
    rounds_of,
    stay_on_one_core,
    take_turns,
)

from facehog_core.decode import CAREFUL, iter_frames
from facehog_core.grey import grey_of, luma_of
from facehog_core.video import FrameIndex, VideoInfo, probe


def main() -> None:
    parser = make_parser(__doc__, rounds=5)
    parser.add_argument("--recording", type=Path, help="made up, 1280 x 1024, if left out")
    parser.add_argument("--frames", type=int, default=250, help="frames read each time, at most (default 250)")
    options = parser.parse_args()

    machine = describe_machine()
    stay_on_one_core()
    rounds = rounds_of(options)
    info, index = probe(options.recording or make_footage(1000))
    n_frames = min(options.frames, index.n_frames)
    ways: dict[str, Callable[[], None]] = {
        "plain": lambda: decode_plainly(info, n_frames),
        "careful settings": lambda: decode_plainly(info, n_frames, options=CAREFUL),
        "careful, and grey": lambda: decode_plainly(info, n_frames, options=CAREFUL, look=grey_of),
        "facehog's reader, and grey": lambda: read(info, index, n_frames),
    }
    times = take_turns(ways, rounds, clock=process_time, per=n_frames / 1e3, unit="ms of CPU a frame")
    plain, *others = times.values()
    report = Report(
        title="What does careful reading cost beside plain decoding, on one core?",
        setting=f"{n_frames} frames of {info.width} x {info.height}, {rounds} rounds, one core",
        machine=machine,
        measures=tuple(times.values()),
        findings=tuple(compare(way, plain, names=(way.name, "plain PyAV"), unit="x as fast") for way in others),
    )
    publish(report, options)


def decode_plainly(
    info: VideoInfo,
    n_frames: int,
    *,
    options: dict[str, str] | None = None,
    look: Callable[[av.VideoFrame], object] = luma_of,
) -> None:
    n_read = 0
    with av.open(info.path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.options = options or {}
        for frame in container.decode(stream):
            look(frame)
            n_read += 1
            if n_read == n_frames:
                return


def read(info: VideoInfo, index: FrameIndex, n_frames: int) -> None:
    for decoded in iter_frames(info, index, 0, n_frames):
        assert decoded.frame is not None
        grey_of(decoded.frame)


if __name__ == "__main__":
    main()
