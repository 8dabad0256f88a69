"""Time what facehog's way of reading costs beside plain decoding, on one core.

Four ways read the same recording in turn: PyAV's plain decode with one thread; the same with facehog's careful
settings; with these and the look at the chroma that lets a neutral frame's luma stand for its grey; and the whole
reader, which also numbers frames and keeps account of damage. Run it with a real recording for the figures that count::

    python benchmarks/bench_reading.py --recording m12_cam0.mp4
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import process_time

import av
from bench_hog import cpu_name

from facehog_core.decode import CAREFUL, iter_frames
from facehog_core.grey import grey_of, luma_of
from facehog_core.synthetic import write_mouse_face
from facehog_core.video import FrameIndex, VideoInfo, probe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recording", type=Path, help="made up, 1280 x 1024, if left out")
    parser.add_argument("--rounds", type=int, default=9, help="how often each way is timed (default 9)")
    parser.add_argument("--frames", type=int, default=250, help="frames read each time, at most (default 250)")
    options = parser.parse_args()

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        path = options.recording or make_up(Path(folder) / "made_up.mp4", options.frames)
        info, index = probe(path)
        n_frames = min(options.frames, index.n_frames)
        load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
        print(f"{cpu_name()}, one core{load}; Python {platform.python_version()}, PyAV {version('av')}")
        print(f"{path.name}: {n_frames} frames of {info.width} x {info.height}, {options.rounds} rounds")
        print(
            "ms of CPU a frame: median (least to most); beside plain: median of the rounds' quotients (least to most)"
        )
        compare(info, index, n_frames, options.rounds)


def compare(info: VideoInfo, index: FrameIndex, n_frames: int, rounds: int) -> None:
    ways: dict[str, Callable[[], None]] = {
        "plain": lambda: decode_plainly(info, n_frames),
        "careful settings": lambda: decode_plainly(info, n_frames, options=CAREFUL),
        "careful, and grey": lambda: decode_plainly(info, n_frames, options=CAREFUL, look=grey_of),
        "facehog's reader, and grey": lambda: read(info, index, n_frames),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        # In another order each round, so that none always comes after the same one; the first is not counted.
        names = list(ways)[number % len(ways) :] + list(ways)[: number % len(ways)]
        for name in names:
            start = process_time()
            ways[name]()
            times[name].append((process_time() - start) * 1e3 / n_frames)
    plain = times["plain"][1:]
    for name, found in times.items():
        quotients = [one / other for one, other in zip(found[1:], plain, strict=True)]
        print(f"{name}: {summary(found[1:], '.2f')}; {summary(quotients, '.3f')}")


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


def make_up(path: Path, n_frames: int) -> Path:
    return write_mouse_face(path, n_frames=n_frames, width=1280, height=1024)


def summary(values: list[float], form: str) -> str:
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


if __name__ == "__main__":
    main()
