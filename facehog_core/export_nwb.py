"""A run as NWB: descriptors and histograms as time series, and the recording beside them as an external video.

Where the frames' times are even to a nanosecond, a series has a first time and a rate, as NWB's inspector asks for;
otherwise it has the time of each frame.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from .export_times import SessionTimes, read_times
from .exporting import Export, need
from .path_text import as_text
from .session_facts import ANY_AGE, UNIDENTIFIED, UNKNOWN, SessionFacts
from .source import is_folder, list_images

DOI = "doi:10.1126/science.aaz9468"
_CHUNK_BYTES = 4 * 2**20
_NO_UNIT = "n.a."
_ABOUT = {
    "descriptors": "HOG descriptors, (frame, row of blocks, column of blocks, value within the block)",
    "histograms": "HOG before normalisation, (frame, row of cells, column of cells, orientation)",
    "frame": "Number of the frame in the recording, from 0",
    "pts": "Presentation time stamp of the container, in units of the stream's time base; -2^63 where there is none",
    "packet": "Number of the frame's packet in the file's video stream; -1 where there is none",
    "keyframe": "1 where a decoder can start",
    "corrupt": "1 where the frame is damaged, or may be; one that could not be decoded is NaN",
    "n_dropped_after": "Frames that are missing between this one and the next of the recording",
    "timestamps": "The timestamps that the rig wrote, exactly",
}


def write(export: Export) -> list[str]:
    """Write it, with what is known of the session, and the provenance as JSON in its notes."""
    nwb, times = need("pynwb"), read_times(export.run)
    started_at, remarks = _find_start(export, times)
    file = _describe_session(nwb, export, started_at)
    module = file.create_processing_module("behavior", "HOG descriptors of a face, and what is known of each frame")
    first: Any = None
    for name in (*export.arrays, *(name for name in export.run.columns if name != "time_s")):
        series = nwb.TimeSeries(
            name=name,
            description=_ABOUT[name],
            data=_stream(export, name),
            unit=export.run.unit(name) or _NO_UNIT,
            **_clock(times, first),
        )
        first = first or series
        module.add(series)
    if not times.is_known.all():
        module.add(_tell_untimed(nwb, times, first))
    remarks += _add_video(nwb, file, export, times, first)
    with nwb.NWBHDF5IO(str(export.path), "w") as io:
        io.write(file)
    return [*remarks, *times.remarks]


# -- who and when -----------------------------------------------------------------------------------------


def _describe_session(nwb: Any, export: Export, started_at: datetime) -> Any:
    facts, record = export.facts, export.run.record
    names = ("experiment_description", "lab", "institution")
    return nwb.NWBFile(
        session_description=facts.session_description or f"The face in {as_text(record.path.name)}, described by HOG",
        identifier=str(uuid4()),
        session_start_time=started_at,
        session_id=facts.session_id or as_text(record.path.stem),
        experimenter=[facts.experimenter] if facts.experimenter else None,
        keywords=["behavior", "face", "histograms of oriented gradients"],
        related_publications=[DOI],
        # What made the numbers; pynwb names itself.
        was_generated_by=[[package, version] for package, version in record.software.items()],
        notes=export.provenance,
        subject=_make_subject(nwb, facts),
        **{name: getattr(facts, name) for name in names if getattr(facts, name)},
    )


def _make_subject(nwb: Any, facts: SessionFacts) -> Any:
    unknown = ", ".join(facts.unknown)
    return nwb.file.Subject(
        subject_id=facts.subject_id or UNKNOWN,
        species=facts.species or UNIDENTIFIED,
        sex=facts.sex or "U",
        age=facts.age or ANY_AGE,
        description=f"Not known when this was exported: {unknown}" if unknown else "As given when this was exported",
    )


def _find_start(export: Export, times: SessionTimes) -> tuple[datetime, list[str]]:
    """Say when the session began, and what of it is not known."""
    facts, stream, day = export.facts, export.run.record.stream, export.run.record.identity.session_date
    missing = [name for name in facts.unknown if name != "session_start_time"]
    told = []
    if missing:
        told.append(f"Not known, and exported as unknown: {', '.join(missing)}. Give them by --about NAME=VALUE.")
    if facts.session_start_time:
        return facts.session_start_time, told
    if times.began_s:
        return datetime.fromtimestamp(times.began_s, UTC), told
    ended_at = datetime.fromtimestamp(stream["mtime_ns"] / 1e9, UTC)
    guess = ended_at - timedelta(seconds=stream.get("duration_s") or 0)
    # The lab's day is by the lab's clock: an evening there may be the next day in UTC.
    if day is not None and guess.astimezone().date() != day:
        told.append("Of session_start_time only the day is known: taken as its first moment by this machine's clock.")
        return datetime.combine(day, time.min).astimezone(), told
    told.append(
        "session_start_time is not known: taken from when the recording's file was last changed, less its duration."
    )
    return guess, told


# -- series -----------------------------------------------------------------------------------------------


def _clock(times: SessionTimes, first: Any) -> dict[str, Any]:
    """Say when a series' frames were taken: by rate, by times of its own, or by those of the first series."""
    if times.rate is not None:
        return {"starting_time": float(times.times_s[0]), "rate": times.rate}
    return {"timestamps": times.times_s if first is None else first}


def _tell_untimed(nwb: Any, times: SessionTimes, first: Any) -> Any:
    return nwb.TimeSeries(
        name="is_timed",
        description="0 where the frame's time is not known: its timestamp lies evenly between its neighbours'",
        data=times.is_known.astype(np.uint8),
        unit=_NO_UNIT,
        **_clock(times, first),
    )


def _stream(export: Export, name: str) -> Any:
    """Make pynwb read an array a block of frames at a time, when it writes."""
    run = export.run
    shape = (run.n_frames, *run.block_shape) if name == "descriptors" else run.shape(name)
    dtype = run.dtype(name) if run.dtype(name) != np.bool_ else np.dtype(np.uint8)
    block = min(run.frames_per_block, run.n_frames)
    # The chunks that HDF5 compresses must divide the block, unless that is all there is.
    most = max(1, _CHUNK_BYTES // (dtype.itemsize * int(np.prod(shape[1:]))))
    together = next(n for n in range(min(most, block), 0, -1) if block % n == 0)
    blocks = export.blocks(name)

    def read(start: int, stop: int) -> NDArray[Any]:
        values = next(blocks)
        if len(values) != stop - start:
            raise ValueError(f"frames {start}-{stop} are asked for, and {len(values)} frames are next")
        return values.reshape(-1, *shape[1:]).astype(dtype, copy=False)

    iterator = _iterator_class()(
        read, shape, dtype, buffer_shape=(block, *shape[1:]), chunk_shape=(together, *shape[1:])
    )
    data_io = need("hdmf.backends.hdf5.h5_utils").H5DataIO
    return data_io(iterator, compression="gzip", compression_opts=1, shuffle=True)


@cache
def _iterator_class() -> Any:
    """Return a class that pynwb reads from; made when it is asked for, since its base needs the library."""
    base = need("hdmf.data_utils").GenericDataChunkIterator

    class Blocks(base):  # type: ignore[misc,valid-type]
        """Values that are read when they are written."""

        def __init__(
            self, read: Callable[[int, int], NDArray[Any]], shape: tuple[int, ...], dtype: np.dtype[Any], **cut: Any
        ) -> None:
            self._read, self._shape, self._kind = read, shape, dtype
            super().__init__(**cut)

        def _get_data(self, selection: tuple[slice, ...]) -> NDArray[Any]:
            return self._read(selection[0].start, selection[0].stop)

        def _get_maxshape(self) -> tuple[int, ...]:
            return self._shape

        def _get_dtype(self) -> np.dtype[Any]:
            return self._kind

    return Blocks


# -- the recording ----------------------------------------------------------------------------------------


def _add_video(nwb: Any, file: Any, export: Export, times: SessionTimes, first: Any) -> list[str]:
    """Add the recording as an external file; say why, if that is not to be had."""
    run = export.run
    source, stream = run.record.path, run.record.stream
    is_whole = run.n_frames == stream["n_frames"]
    rate = _nominal_rate(stream)
    if not is_whole and rate is None:
        return ["The recording is not referred to: of frames that are not described no time is known."]
    clock = _clock(times, first) if is_whole else {"starting_time": 0.0, "rate": rate}
    files = [str(source)]
    if is_folder(source):
        files = [str(source / image.name) for image in list_images(source)]
    file.add_acquisition(
        nwb.image.ImageSeries(
            name="recording",
            description=f"The recording that was described; xxh3_128 of its content: {run.record.digest}"
            + ("" if is_whole else ". Not all of its frames are described: its times are nominal"),
            external_file=[as_text(_relate(Path(path), export.target)) for path in files],
            starting_frame=list(range(len(files))),
            format="external",
            dimension=[stream["width"], stream["height"]],
            num_samples=stream["n_frames"],
            unit=_NO_UNIT,
            device=file.create_device("camera", description="The camera of the recording; not known more closely"),
            **clock,
        )
    )
    return [] if source.exists() else [f"The recording is referred to, and is not there any more: {as_text(source)}"]


def _nominal_rate(stream: dict[str, Any]) -> float | None:
    rate = stream.get("average_rate")
    return float(Fraction(rate)) if rate and Fraction(rate) > 0 else None


def _relate(source: Path, target: Path) -> str:
    """Return the path of a recording from the folder of an export, written as NWB has it on every system."""
    try:
        return Path(os.path.relpath(source, target.absolute().parent)).as_posix()
    except ValueError:  # Another drive of Windows: there is no way from here to there.
        return source.as_posix()
