"""Whether all of a recording is there: what its container promises, beside what the file holds.

A copy that broke off, or a camera's program that was stopped, leaves a file that mostly plays without a word. What
there is to tell by differs: the index of an MP4 names every frame; Matroska and AVI write down how many bytes they
have, and most headers how long the film is; MPEG-TS consists of packets of one length. Raw H264 and the fragments of
an MP4 promise nothing, and then it cannot be known. Where the parts of a container do not follow each other, what lay
in between is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from .container import film_length_s, is_mov, length_s
from .frame_index import NO_PACKET, NO_PTS, FrameIndex
from .matroska import Segment, find_end_of_sense, read_segment
from .mp4 import Outline, read_outline

Verdict = Literal["complete", "incomplete", "unknown"]

# Lengths of MPEG-TS packets (plain; with a time in front; with error correction behind), and where their sync byte is.
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))
_TS_SYNC = 0x47
_N_SYNCS = 5
# Headers round, and leave out how long the last frame is shown.
_SLACK_FRAMES, _SLACK_S = 3, 0.1
# Each has 1 GB, mostly.
_MOST_RIFFS = 100_000
# What a program writes that does not know the length yet, and cannot come back to it.
_NO_RIFF_SIZES = (0, 0xFFFFFFFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """What is known of whether a recording is all there.

    Parameters
    ----------
    verdict : {"complete", "incomplete", "unknown"}
    fact : str
        What that is concluded from, as the rest of a sentence that begins with the file's name.
    missing_share : float or None
        The part of a recording that is missing, from 0 to 1; None if nothing is, or nobody can know how much.
    """

    verdict: Verdict
    fact: str
    missing_share: float | None = None

    def __post_init__(self) -> None:
        share = self.missing_share
        if share is not None and not (self.verdict == "incomplete" and 0 <= share <= 1):
            raise ValueError(f"what is {self.verdict} cannot lack a share of {share}")


def judge_completeness(
    container: InputContainer, stream: VideoStream, path: str, index: FrameIndex, *, is_last_whole: bool
) -> Completeness:
    """Judge whether all of a recording is there.

    Parameters
    ----------
    container : av.container.InputContainer
    stream : av.VideoStream
    path : str
        The file that both are of.
    index : FrameIndex
        The stream's.
    is_last_whole : bool
        Whether all of the last frame's data could be read.

    Returns
    -------
    Completeness

    Raises
    ------
    OSError
        If the disk or share fails.
    """
    found = _judge_by_promise(container, stream, path, index)
    if is_last_whole or found.verdict == "incomplete":
        return found
    return Completeness(verdict="incomplete", fact="the file ends within its last frame")


def _judge_by_promise(container: InputContainer, stream: VideoStream, path: str, index: FrameIndex) -> Completeness:
    if is_mov(container):
        return _judge_boxes(path, index)
    match container.format.name:
        case "matroska,webm":
            segment = read_segment(path)
            return _judge_segment(container, stream, path, index, segment) if segment else _UNKNOWN
        case "avi":
            found = _judge_riff(path)
            # A length that nobody wrote into the header FFmpeg guesses.
            promised_s = None if found.verdict == "unknown" else length_s(stream)
            return _judge_shortfall(stream, index, promised_s) or found
        case "mpegts":
            return _judge_ts(path)
        case "h264":
            return _RAW
        case _:
            # Sound may be longer. That nothing is missing proves nothing: FFmpeg may have guessed from what is there.
            promised_s = film_length_s(container) if len(container.streams) == 1 else None
            return _judge_shortfall(stream, index, promised_s) or _UNKNOWN


_UNKNOWN = Completeness(verdict="unknown", fact="its container does not say how long it should be")
_RAW = Completeness(verdict="unknown", fact="raw H264 does not say how long it should be")


def _judge_boxes(path: str, index: FrameIndex) -> Completeness:
    n_missing = int((index.packets == NO_PACKET).sum())
    outline = read_outline(path)
    if outline is not None and b"moof" in outline.kinds:
        return _judge_fragments(outline, is_short=n_missing > 0)
    if n_missing:
        fact = f"the file ends after {index.n_frames - n_missing} of {index.n_frames} frames"
        return Completeness(verdict="incomplete", fact=fact, missing_share=n_missing / index.n_frames)
    return Completeness(verdict="complete", fact="all frames that its index names are there")


def _judge_fragments(outline: Outline, *, is_short: bool) -> Completeness:
    if is_short or outline.is_cut_off:
        fact = "the file ends within a fragment, and its container does not say how many should follow"
        return Completeness(verdict="incomplete", fact=fact)
    if b"mfra" in outline.kinds:
        return Completeness(verdict="complete", fact="the index behind its fragments is there")
    if outline.stop < outline.size_bytes:
        return Completeness(verdict="incomplete", fact=_tell_hole(outline.stop, outline.size_bytes))
    return Completeness(verdict="unknown", fact="the fragments of an MP4 do not say how many there should be")


def _judge_segment(
    container: InputContainer, stream: VideoStream, path: str, index: FrameIndex, segment: Segment
) -> Completeness:
    is_alone = len(container.streams) == 1
    if segment.stop is not None:
        found = _judge_bytes(_size_of(path), segment.stop)
        if found.verdict == "incomplete" or (end := find_end_of_sense(path, segment)) >= segment.stop:
            return found
        share = _estimate_share(stream, index, segment.duration_s if is_alone else None)
        return Completeness(verdict="incomplete", fact=_tell_hole(end, segment.stop), missing_share=share)
    # Written to a pipe, or never closed.
    n_promised = stream.metadata.get("NUMBER_OF_FRAMES", "")
    # Other programs copy the numbers that one has counted, though they change what was counted.
    is_own = stream.metadata.get("_STATISTICS_WRITING_APP") == segment.writing_app
    if is_own and n_promised.isdecimal() and int(n_promised) > 0:
        return _judge_number(index.n_frames, int(n_promised))
    if segment.duration_s is None or not is_alone:
        return _UNKNOWN
    if is_short := _judge_shortfall(stream, index, segment.duration_s):
        # Who writes to a pipe knows the length of what it comes from, and not what it leaves out of it.
        return Completeness(verdict="unknown", fact=f"{is_short.fact}, which was written before them")
    return Completeness(verdict="complete", fact=f"its frames last the {segment.duration_s:.2f} s of its header")


def _judge_riff(path: str) -> Completeness:
    *_, stop = None, *islice(_riff_ends(path), _MOST_RIFFS)
    return _UNKNOWN if stop is None else _judge_bytes(_size_of(path), stop)


def _riff_ends(path: str) -> Iterator[int | None]:
    """Yield where each outermost chunk ends; None for one that does not say so, which is the last."""
    position = 0
    with Path(path).open("rb") as file:
        while (head := file.read(8))[:4] == b"RIFF":
            n_bytes = int.from_bytes(head[4:], "little")
            if n_bytes in _NO_RIFF_SIZES:
                yield None
                return
            yield position + 8 + n_bytes
            position += 8 + n_bytes + n_bytes % 2
            file.seek(position)


def _judge_ts(path: str) -> Completeness:
    size_bytes = _size_of(path)
    with Path(path).open("rb") as file:
        beginning = file.read(_N_SYNCS * max(length for length, _ in _TS_PACKETS))
    for length, sync in _TS_PACKETS:
        syncs = beginning[sync::length][:_N_SYNCS]
        if set(syncs) == {_TS_SYNC} and size_bytes % length:
            fact = "the file ends within a packet of MPEG-TS, which does not say how many should follow"
            return Completeness(verdict="incomplete", fact=fact)
    return Completeness(verdict="unknown", fact="MPEG-TS does not say how long it should be")


def _tell_hole(start: int, stop: int) -> str:
    return (
        f"from byte {start:,} of {stop:,} on something is no part of its container: frames are lost there, and those "
        "behind are numbered as if there had been none"
    )


def _judge_bytes(size_bytes: int, promised_bytes: int) -> Completeness:
    if size_bytes < promised_bytes:
        fact = f"the file ends after {size_bytes:,} of {promised_bytes:,} bytes"
        return Completeness(verdict="incomplete", fact=fact, missing_share=1 - size_bytes / promised_bytes)
    return Completeness(verdict="complete", fact=f"all {promised_bytes:,} bytes that its header names are there")


def _judge_number(n_frames: int, n_promised: int) -> Completeness:
    if n_frames < n_promised:
        fact = f"the file ends after {n_frames} of {n_promised} frames"
        return Completeness(verdict="incomplete", fact=fact, missing_share=1 - n_frames / n_promised)
    return Completeness(verdict="complete", fact=f"all {n_promised} frames that its header names are there")


def _estimate_share(stream: VideoStream, index: FrameIndex, promised_s: float | None) -> float | None:
    """Estimate the share of frames that are lost, as if all had come at the usual step; None if they have no times."""
    if not (measured := _measure(stream, index)):
        return None
    first_s, end_s, step_s = measured
    span_s = promised_s or end_s - first_s
    return min(max(1 - index.n_frames * step_s / span_s, 0.0), 1.0) if span_s else None


def _judge_shortfall(stream: VideoStream, index: FrameIndex, promised_s: float | None) -> Completeness | None:
    """Judge that frames end earlier than a header says; None if they do not, or have no times."""
    if promised_s is None or not (measured := _measure(stream, index)):
        return None
    _, end_s, step_s = measured
    if promised_s - end_s <= max(_SLACK_FRAMES * step_s, _SLACK_S):
        return None
    fact = f"its frames end after {end_s:.2f} of the {promised_s:.2f} s that its header names"
    return Completeness(verdict="incomplete", fact=fact, missing_share=min(1 - end_s / promised_s, 1.0))


def _measure(stream: VideoStream, index: FrameIndex) -> tuple[float, float, float] | None:
    """Return when the first frame is shown, when the last one ends, and the usual step between two, in seconds.

    None if fewer than two have a time.
    """
    pts = np.sort(index.pts[index.pts != NO_PTS])
    if len(pts) < 2 or not stream.time_base:
        return None
    step_s = float(np.median(np.diff(pts)) * stream.time_base)
    return float(pts[0] * stream.time_base), float(pts[-1] * stream.time_base) + step_s, step_s


def _size_of(path: str) -> int:
    return Path(path).stat().st_size
