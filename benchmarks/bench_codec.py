"""Compare codecs for what a store holds: size, and time to write and to read; and what fewer bits save and cost.

Real histograms and descriptors, cut as a store cuts them, are put through each codec on one core, with their values in
the order in which they come (frame first) or with the frames of each value side by side (frame last), as the store has
them. Then pictures. Then values of fewer bits (``keep_bits``), beside a true float16. Run it with a recording of your
own for the figures that count::

    python benchmarks/bench_codec.py --recording m12_cam0.mp4 --crop 53,22,916,475
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numcodecs
import numpy as np
from described import describe
from numpy.typing import NDArray
from side_by_side import Finding, Report, describe_machine, make_parser, publish, stay_on_one_core

from facehog_core.crop import Crop
from facehog_core.hog import normalise_blocks
from facehog_core.layout import INNER_CHUNK_BYTES, Work
from facehog_core.picture import render_pictures
from facehog_core.rounding import measure_rounding, round_bits

SHUFFLES = ("none", "bytes", "bits")
N_PICTURES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """A codec of Blosc: which one, how hard it tries, what is sorted before, and the order of the values."""

    name: str
    level: int = 0
    shuffle: str = "none"
    is_frame_last: bool = False

    def __str__(self) -> str:
        order = "frame last" if self.is_frame_last else "frame first"
        return f"{self.name} {self.level}, sorted {self.shuffle}, {order}"

    def encode(self, chunk: NDArray[Any]) -> bytes:
        """Compress frames, shape (frame, value)."""
        values = np.ascontiguousarray(chunk.T if self.is_frame_last else chunk)
        if self.name == "none":
            return values.tobytes()
        return numcodecs.Blosc(self.name, self.level, SHUFFLES.index(self.shuffle)).encode(values)  # type: ignore[no-any-return]

    def decode(self, stored: bytes, like: NDArray[Any]) -> NDArray[Any]:
        """Make frames of what `encode` made of some that look `like` these."""
        data = stored if self.name == "none" else numcodecs.Blosc().decode(stored)
        shape = like.shape[::-1] if self.is_frame_last else like.shape
        values = np.frombuffer(data, like.dtype).reshape(shape)
        return np.ascontiguousarray(values.T) if self.is_frame_last else values.copy()


BEFORE = Codec(name="zstd", level=1, shuffle="bits")
CHOSEN = Codec(name="lz4", level=9, shuffle="bytes", is_frame_last=True)
CHOSEN_FOR_FEWER_BITS = Codec(name="zstd", level=1, shuffle="bits", is_frame_last=True)
KINDS = [("lz4", 1), ("lz4", 9), ("lz4hc", 5), ("zstd", 1), ("zstd", 3), ("zstd", 5), ("zstd", 9)]
QUICK_KINDS = [("lz4", 9), ("zstd", 1)]


def main() -> None:
    parser = make_parser(__doc__, rounds=3)
    parser.add_argument("--recording", type=Path, help="the clip that comes with facehog if left out")
    parser.add_argument("--crop", type=Crop.parse, help="X,Y,WIDTH,HEIGHT; the whole frame if left out")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds or 3
    # Numbers of one core: Zarr's threads use one each, but the main thread would take all.
    numcodecs.blosc.use_threads = False

    work, hogs = describe(options.recording, options.crop, 150 if options.quick else 500)
    machine = describe_machine()
    stay_on_one_core()
    n_frames = len(hogs.histograms)
    values = {"histograms": hogs.histograms.reshape(n_frames, -1), "descriptors": hogs.descriptors}
    kinds = QUICK_KINDS if options.quick else KINDS
    table = {codec: weigh(codec, values, rounds) for codec in candidates(kinds)}
    pictures = {"pictures": render_pictures(hogs.histograms[:N_PICTURES], work.recipe.hog, work.frame_shape)}
    frame_bytes = sum(array[0].nbytes for array in values.values())

    def size_of(codec: Codec) -> float:
        return sum(result.stored_bytes for result in table[codec]) / n_frames

    report = Report(
        title="How small are stores, and how fast are they written and read?",
        setting=f"{n_frames} frames, {frame_bytes / 1e3:.1f} kB each in float32; one core, best of {rounds}",
        machine=machine,
        findings=(
            Finding(
                number=14, what="store size", against="float32 without compression", value=size_of(CHOSEN) / frame_bytes
            ),
            Finding(number=14, what="store size", against=str(BEFORE), value=size_of(CHOSEN) / size_of(BEFORE)),
            Finding(
                number=14,
                what="time to compress",
                against=str(BEFORE),
                value=sum(one.write_us for one in table[CHOSEN]) / sum(one.write_us for one in table[BEFORE]),
            ),
        ),
        notes=(
            "each: times smaller, us a frame to write / to read",
            f"{'':36}" + "".join(f"{name:>26}" for name in values),
            *(f"{codec!s:36}" + "".join(map(str, results)) for codec, results in table.items()),
            "",
            *(f"{codec!s:36}{weigh_pictures(codec, pictures)}" for codec in candidates_for_pictures(kinds)),
            "",
            f"fewer bits, {CHOSEN_FOR_FEWER_BITS}: kB a frame; largest and rms error of histograms, of descriptors",
            *lose_bits(work, values["histograms"], hogs.histograms.shape),
        ),
    )
    publish(report, options)


def candidates(kinds: Sequence[tuple[str, int]]) -> Iterator[Codec]:
    yield Codec(name="none")
    for is_frame_last in (False, True):
        for name, level in kinds:
            # The hardest ones take thousands of us a frame, in any order.
            shuffles = ("bytes",) if is_slow(name, level) else SHUFFLES
            yield from (
                Codec(name=name, level=level, shuffle=shuffle, is_frame_last=is_frame_last) for shuffle in shuffles
            )


def is_slow(name: str, level: int) -> bool:
    return name == "lz4hc" or (name, level) == ("zstd", 9)


def candidates_for_pictures(kinds: Sequence[tuple[str, int]]) -> Iterator[Codec]:
    for name, level in kinds:
        if not is_slow(name, level):
            yield from (Codec(name=name, level=level, shuffle=shuffle) for shuffle in SHUFFLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What a codec made of one array."""

    given_bytes: int
    stored_bytes: int
    write_us: float
    read_us: float

    def __str__(self) -> str:
        return f"{self.given_bytes / self.stored_bytes:9.3f}, {self.write_us:6.1f} / {self.read_us:5.1f}"


def weigh(codec: Codec, values: dict[str, NDArray[np.float32]], rounds: int) -> list[Weighed]:
    n_rounds = 1 if is_slow(codec.name, codec.level) else rounds
    return [weigh_chunks(codec, list(cut(array)), len(array), n_rounds) for array in values.values()]


def weigh_pictures(codec: Codec, pictures: dict[str, NDArray[np.float32]]) -> Weighed:
    chunks = [picture.reshape(1, -1) for picture in pictures["pictures"]]
    return weigh_chunks(codec, chunks, len(chunks), 1)


def weigh_chunks(codec: Codec, chunks: list[NDArray[Any]], n_frames: int, rounds: int) -> Weighed:
    times = []
    for _ in range(rounds):
        start = perf_counter()
        stored = [codec.encode(chunk) for chunk in chunks]
        between = perf_counter()
        read = [codec.decode(data, chunk) for data, chunk in zip(stored, chunks, strict=True)]
        times.append((between - start, perf_counter() - between))
    for chunk, again in zip(chunks, read, strict=True):
        np.testing.assert_array_equal(again, chunk)
    write_s, read_s = (min(column) for column in zip(*times, strict=True))
    return Weighed(
        given_bytes=sum(chunk.nbytes for chunk in chunks),
        stored_bytes=sum(map(len, stored)),
        write_us=1e6 * write_s / n_frames,
        read_us=1e6 * read_s / n_frames,
    )


def cut(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Cut an array, shape (frame, value), into parts of about the size of a store's inner chunks."""
    n_parts = -(-4 * array.size // INNER_CHUNK_BYTES)
    yield from np.array_split(array, n_parts, axis=1)


def lose_bits(work: Work, histograms: NDArray[np.float32], shape: tuple[int, ...]) -> Iterator[str]:
    hog = work.recipe.hog
    exact = normalise_blocks(histograms.reshape(shape), hog)
    for n_bits in (16, 13, 10, 7, 5):
        kept = round_bits(histograms, n_bits)
        described = round_bits(normalise_blocks(kept.reshape(shape), hog), n_bits)
        yield tell_loss(f"keep_bits {n_bits}", (histograms, exact), (kept, described), (kept, described))
    halves = histograms.astype(np.float16), exact.astype(np.float16)
    widened = halves[0].astype(np.float32), halves[1].astype(np.float32)
    yield tell_loss("a true float16", (histograms, exact), widened, halves)


def tell_loss(
    name: str,
    exact: tuple[NDArray[np.float32], ...],
    found: tuple[NDArray[np.float32], ...],
    stored: tuple[NDArray[Any], ...],
) -> str:
    size = sum(len(CHOSEN_FOR_FEWER_BITS.encode(part)) for array in stored for part in cut(array)) / len(exact[0])
    errors = [measure_rounding(*pair) for pair in zip(exact, found, strict=True)]
    told = ";".join(f"{error.largest:10.2g} {error.rms:9.2g}" for error in errors)
    return f"{name:36}{size / 1e3:9.2f}{told}"


if __name__ == "__main__":
    main()
