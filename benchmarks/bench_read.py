"""Time what a scientist reads: a span of frames, one cell over all frames, everything; and choose the layout by it.

First a sealed store, opened as a session, beside zarr alone reading the same bytes. Then the same histograms in other
layouts, from a local disk (its cache, in truth) and with 5 ms added to each request, as on a share that is far away.
What a layout makes a reader fetch counts on a slow network; that is shown too.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import zarr
from described import describe, lengthen, repeat
from numpy.typing import NDArray
from side_by_side import Report, compare, describe_machine, make_parser, publish, rounds_of, take_turns
from zarr.abc.store import Store
from zarr.codecs import BloscCodec, Crc32cCodec, TransposeCodec
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore
from zarr.testing.store import LatencyStore

from facehog_core.layout import FAST_COMPRESSORS, Work
from facehog_core.receipts import ShardHogs
from facehog_core.run_paths import RunPaths
from facehog_core.sealing import seal_store
from facehog_core.session import open_session
from facehog_core.store import create_store, write_shard

LATENCY_S = 0.005
SPAN = 300
OLD = (BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=4), Crc32cCodec())


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Frames and bands of cells that are compressed together, and frames that share a file."""

    inner: int
    shard: int
    n_bands: int = 1
    is_frame_last: bool = True

    def __str__(self) -> str:
        order = "" if self.is_frame_last else ", frame first, zstd"
        return f"{self.inner} of {self.shard} frames, {self.n_bands} band{'s' * (self.n_bands > 1)}{order}"


LAYOUTS = [
    Layout(inner=50, shard=1000, is_frame_last=False),
    Layout(inner=50, shard=1000),
    Layout(inner=250, shard=250),
    Layout(inner=250, shard=1000),
    Layout(inner=250, shard=1000, n_bands=4),
    Layout(inner=500, shard=500, n_bands=4),
    Layout(inner=500, shard=1000, n_bands=4),
    Layout(inner=1000, shard=1000),
    Layout(inner=1000, shard=1000, n_bands=2),
    Layout(inner=1000, shard=1000, n_bands=4),
    Layout(inner=1000, shard=1000, n_bands=16),
]


def main() -> None:
    parser = make_parser(__doc__, rounds=5, quick_rounds=2)
    parser.add_argument("--frames", type=int, help="frames of the store (default 44000; 4000 with --quick)")
    options = parser.parse_args()
    rounds, n_frames = rounds_of(options), options.frames or (4000 if options.quick else 44000)
    given, hogs = describe()
    work = lengthen(given, n_frames)
    with TemporaryDirectory() as folder:
        store = make_store(Path(folder), work, hogs)
        measures = take_turns(ways_to_read(store, n_frames), rounds, unit="ms", per=1e-3)
        histograms = np.concatenate([part.histograms for _, part in repeat(hogs, work)])
        table = [f"{'':42} {'write':>9} {'stored':>9}" + "".join(f"{name:>24}" for name in READS)]
        table += [try_layout(layout, histograms, Path(folder) / "layout", options.quick) for layout in LAYOUTS]
    report = Report(
        title="How fast is a session read, and which layout is read fastest?",
        setting=f"{n_frames} frames, {hogs.histograms[0].nbytes / 1e3:.1f} kB of histograms each, {rounds} rounds",
        machine=describe_machine(),
        measures=tuple(measures.values()),
        findings=tuple(
            compare(
                measures[f"{what}, session"],
                measures[f"{what}, zarr"],
                number=13,
                names=(f"{what}, session", "zarr alone"),
                unit="x as fast",
            )
            for what in (f"{SPAN} frames", "one cell")
        ),
        notes=(
            f"layouts of histograms: us a frame to write; kB a frame; ms local / ms with {1e3 * LATENCY_S:g} ms a "
            "request / MB fetched",
            *table,
        ),
    )
    publish(report, options)


def make_store(folder: Path, work: Work, hogs: ShardHogs) -> Path:
    paths = RunPaths(root=folder, recording="clip", run_id="0")
    create_store(paths, work, {"software": {}})
    return seal_store(paths, [write_shard(paths, span, part) for span, part in repeat(hogs, work)], {})


def ways_to_read(store: Path, n_frames: int) -> dict[str, Callable[[], object]]:
    first = n_frames // 3
    span = slice(first, first + SPAN)

    def array(name: str) -> Any:
        return zarr.open_array(store / name, mode="r")

    return {
        "open a session": lambda: open_session(store),
        f"{SPAN} frames, session": lambda: open_session(store).descriptors[span].values,
        f"{SPAN} frames, zarr": lambda: array("descriptors")[span],
        "one cell, session": lambda: open_session(store).histograms[:, 5, 9].values,
        "one cell, zarr": lambda: array("histograms")[:, 5, 9],
        "one frame's picture, session": lambda: open_session(store).images[first].values,
    }


class CountingStore(LatencyStore):
    """Wait for each request, and count what comes."""

    n_bytes = 0

    async def get(self, *given: Any, **named: Any) -> Buffer | None:
        """Read a file, or a part of it."""
        found = await super().get(*given, **named)
        type(self).n_bytes += 0 if found is None else len(found)
        return found


READS: dict[str, Callable[[Any, int], object]] = {
    "1 frame": lambda array, first: array[first],
    f"{SPAN} frames": lambda array, first: array[first : first + SPAN],
    "1 cell": lambda array, _: array[:, 5, 9],
    "all": lambda array, _: array[:],
}


def try_layout(layout: Layout, histograms: NDArray[np.float32], path: Path, is_quick: bool) -> str:
    start = perf_counter()
    write(layout, histograms, path)
    taken_us = (perf_counter() - start) * 1e6 / len(histograms)
    size_kb = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / len(histograms) / 1e3
    cells = [f"{layout!s:42} {taken_us:9.1f} {size_kb:9.2f}"]
    for name, read in READS.items():
        n_rounds = 1 if is_quick or name == "all" else 3 if name == "1 cell" else 5
        local_ms, _ = time_reading(LocalStore(path, read_only=True), read, len(histograms), n_rounds)
        far = CountingStore(LocalStore(path, read_only=True), get_latency=LATENCY_S)
        far_ms, n_bytes = time_reading(far, read, len(histograms), max(1, n_rounds - 2))
        cells.append(f"{local_ms:9.1f} /{far_ms:6.0f} /{n_bytes / 1e6:6.1f}")
    shutil.rmtree(path)
    return "".join(cells)


def write(layout: Layout, histograms: NDArray[np.float32], path: Path) -> None:
    n_frames, n_rows, *rest = histograms.shape
    array = zarr.create_array(
        path,
        shape=histograms.shape,
        dtype="float32",
        chunks=(layout.inner, n_rows // layout.n_bands, *rest),
        shards=(layout.shard, n_rows, *rest),
        filters=[TransposeCodec(order=(1, 2, 3, 0))] if layout.is_frame_last else None,
        compressors=FAST_COMPRESSORS if layout.is_frame_last else OLD,
        fill_value=np.nan,
    ).with_config({"write_empty_chunks": True})
    for first in range(0, n_frames, layout.shard):
        array[first : first + layout.shard] = histograms[first : first + layout.shard]


def time_reading(store: Store, read: Callable[[Any, int], object], n_frames: int, n_rounds: int) -> tuple[float, float]:
    """Return the median time in ms, and the bytes fetched at a time, where they are counted."""
    array = zarr.open_array(store, mode="r")
    CountingStore.n_bytes, times = 0, []
    for number in range(n_rounds):
        # Somewhere else each time, within shards and across their borders alike.
        first = (number * 7919 + 1234) % (n_frames - SPAN)
        start = perf_counter()
        read(array, first)
        times.append(perf_counter() - start)
    return 1e3 * median(times), CountingStore.n_bytes / n_rounds


if __name__ == "__main__":
    main()
