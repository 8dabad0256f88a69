"""Recordings, damaged at random but the same each time: nothing may come of them but frames or one clear line.

Of short ones, several threads must see what one thread sees.

By hand, or by ``make fuzz``::

    python tests/fuzz.py --n 2000 --videos ../shared/videos

Each case has a number, which is all it takes to make it again: ``--first 1234 --n 1 --keep DIR``.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import av
from barcode import write_recording
from bounded import Outcome, examine_all

NO_B = "keyint=12:min-keyint=12:scenecut=0:bframes=0"
# Sizes and counts at which programs stumble.
ODD_NUMBERS = (0, 1, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
BATCH = 100

Mutation = Callable[[random.Random, bytearray, Path], None]


def make_sources(folder: Path) -> list[Path]:
    """Make small recordings in all containers."""
    forms = {
        "plain.mp4": {},
        "front.mp4": {"muxer": {"movflags": "faststart"}},
        "fragmented.mp4": {"muxer": {"movflags": "frag_keyframe+empty_moov"}},
        "open.mov": {"x264": "keyint=12:min-keyint=12:scenecut=0:bframes=3:open-gop=1"},
        "plain.mkv": {},
        "plain.avi": {"x264": NO_B},
        "plain.ts": {},
        "plain.flv": {},
        "plain.h264": {},
        "interlaced.mp4": {"x264": "keyint=12:bframes=2:interlaced=1"},
        "colour.mp4": {"pixel_format": "yuv444p"},
    }
    # What one decoder reads to its end, with threads that are at several frames for a while.
    long_forms = {
        "endless.h264": "keyint=infinite:bframes=0:scenecut=0:slices=3",
        "endless.mkv": "keyint=infinite:bframes=3:b-pyramid=normal:scenecut=0",
        "endless.avi": "keyint=infinite:bframes=0:scenecut=0",
        "endless.ts": "keyint=infinite:bframes=2:scenecut=0:slices=2",
        "pyramid.avi": "keyint=24:bframes=2:b-pyramid=normal:slices=2",
    }
    return [
        *(write_recording(folder / name, 36, **options) for name, options in forms.items()),
        *(write_recording(folder / name, 60, x264=x264, size=(192, 320)) for name, x264 in long_forms.items()),
    ]


def flip_bits(rng: random.Random, data: bytearray, _: Path) -> None:
    for _ in range(rng.choice((1, 1, 4, 32))):
        data[_place(rng, data)] ^= 1 << rng.randrange(8)


def zero_block(rng: random.Random, data: bytearray, _: Path) -> None:
    start = _place(rng, data)
    stop = min(start + rng.choice((16, 512, 4096)), len(data))
    data[start:stop] = bytes(stop - start)


def cut(rng: random.Random, data: bytearray, _: Path) -> None:
    del data[_place(rng, data) :]


def repeat_block(rng: random.Random, data: bytearray, _: Path) -> None:
    start = _place(rng, data)
    data[start:start] = data[start : start + rng.choice((4, 188, 4096))]


def drop_block(rng: random.Random, data: bytearray, _: Path) -> None:
    start = _place(rng, data)
    del data[start : start + rng.choice((1, 4, 188, 4096))]


def splice(rng: random.Random, data: bytearray, _: Path) -> None:
    """Write one part of the file over another."""
    length = min(rng.choice((64, 1024, 16384)), len(data) // 2)
    start, target = (rng.randrange(len(data) - length) for _ in range(2))
    data[target : target + length] = data[start : start + length]


def change_number(rng: random.Random, data: bytearray, _: Path) -> None:
    """Write an odd number over four bytes, most of which are sizes and counts where headers are."""
    start = _place(rng, data) // 2 * 2
    order = rng.choice(("big", "little"))
    data[start : start + 4] = rng.choice(ODD_NUMBERS).to_bytes(4, order)


def change_box(rng: random.Random, data: bytearray, _: Path) -> None:
    """Change the size or the first values of a box, where there are boxes."""
    kinds = (b"moov", b"trak", b"stsz", b"stts", b"ctts", b"stsc", b"stco", b"stss", b"elst", b"avcC", b"trun", b"tfhd")
    places = [place for kind in kinds if (place := data.find(kind)) >= 4]
    if not places:
        return change_number(rng, data, _)
    start = rng.choice(places) - 4 + 4 * rng.choice((0, 2, 3, 4, 5, 6))
    data[start : start + 4] = rng.choice((*ODD_NUMBERS, rng.getrandbits(32))).to_bytes(4)
    return None


def change_frame(rng: random.Random, data: bytearray, source: Path) -> None:
    """Change the first bytes of a frame: lengths and headers of its NAL units."""
    start, _ = rng.choice(_frames_of(source))
    start += rng.randrange(8)
    data[start : start + 1] = bytes([rng.randrange(256)])


def swap_lengths(rng: random.Random, data: bytearray, source: Path) -> None:
    """Swap the first four bytes of two frames: the lengths of their NAL units, in MP4 and MKV."""
    (one, _), (other, _) = (rng.choice(_frames_of(source)) for _ in range(2))
    data[one : one + 4], data[other : other + 4] = data[other : other + 4], data[one : one + 4]


def repeat_frame(rng: random.Random, data: bytearray, source: Path) -> None:
    """Repeat the frame at a place, or its first part."""
    start, size = rng.choice(_frames_of(source))
    data[start:start] = data[start : start + size // rng.choice((1, 2, 5))]


def lose_frame(rng: random.Random, data: bytearray, source: Path) -> None:
    """Overwrite a whole frame with noise."""
    start, size = rng.choice(_frames_of(source))
    data[start : start + size] = rng.randbytes(size)


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    zero_block,
    cut,
    repeat_block,
    drop_block,
    splice,
    change_number,
    change_box,
    change_frame,
    swap_lengths,
    repeat_frame,
    lose_frame,
)


def _place(rng: random.Random, data: bytearray) -> int:
    """Choose a place: half of them near the ends, where headers and indices are."""
    near = min(2048, len(data))
    return rng.choice(
        (rng.randrange(len(data)), rng.randrange(len(data)), rng.randrange(near), -1 - rng.randrange(near))
    ) % len(data)


_FRAMES: dict[Path, list[tuple[int, int]]] = {}


def _frames_of(source: Path) -> list[tuple[int, int]]:
    """Return where the frames of an undamaged recording are, and their sizes in bytes."""
    if source not in _FRAMES:
        # Some recordings are damaged already.
        with suppress(av.FFmpegError, IndexError), av.open(source) as container:
            packets = list(container.demux(container.streams.video[0]))
            _FRAMES[source] = [
                (packet.pos, packet.size) for packet in packets if packet.pos is not None and packet.size > 8
            ]
    return _FRAMES.get(source) or [(0, 8)]


def make_case(number: int, sources: list[Path], folder: Path) -> Path:
    """Write the damaged file of a number: which source and what damage follow from it alone."""
    rng = random.Random(number)
    source = sources[number % len(sources)]
    data = bytearray(source.read_bytes())
    names = []
    for mutate in rng.sample(MUTATIONS, rng.choice((1, 1, 2))):
        if len(data) > 16:
            mutate(rng, data, source)
            names.append(mutate.__name__)
    path = folder / f"{number}-{'-'.join(names)}-{source.name}"
    path.write_bytes(data)
    return path


def fuzz(numbers: range, sources: list[Path], folder: Path) -> Iterator[Outcome]:
    """Examine cases, a batch in one process each; the files of those that went well are removed."""
    for first in range(numbers.start, numbers.stop, BATCH):
        paths = [make_case(n, sources, folder) for n in range(first, min(first + BATCH, numbers.stop))]
        for outcome in examine_all(paths, compares=True):
            yield outcome
            if not outcome.is_wrong:
                outcome.path.unlink()


def main() -> None:
    """Fuzz, and tell what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=2000, help="how many cases (default 2000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (default 0)")
    parser.add_argument(
        "--videos", type=Path, help="folder with recordings to damage too: */*.mp4, *.mov, *.mkv, *.avi"
    )
    parser.add_argument("--keep", type=Path, help="folder for the files that did harm; a temporary one if left out")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        kept = options.keep or Path(tempfile.mkdtemp(prefix="facehog-fuzz-"))
        kept.mkdir(parents=True, exist_ok=True)
        sources = make_sources(Path(temporary))
        if options.videos:
            sources += sorted(path for path in options.videos.glob("*/*.m*") if path.stat().st_size > 0)
        started, counts, peak = perf_counter(), Counter[str](), 0
        for outcome in fuzz(range(options.first, options.first + options.n), sources, Path(temporary)):
            counts["wrong" if outcome.is_wrong else "refused" if outcome.is_refused else "read"] += 1
            peak = max(peak, outcome.peak_bytes)
            if outcome.is_wrong:
                shutil.move(outcome.path, kept)
                print(f"{outcome.path.name}: {outcome.said}", flush=True)
        print(
            f"{sum(counts.values())} cases of {len(sources)} recordings in {perf_counter() - started:.0f} s: "
            f"{counts['read']} read, {counts['refused']} refused, {counts['wrong']} wrong; "
            f"{peak / 2**20:.0f} MiB of memory at most"
        )
    if counts["wrong"]:
        print(f"the files are in {kept}")
        sys.exit(1)
    if not options.keep:
        kept.rmdir()


if __name__ == "__main__":
    main()
