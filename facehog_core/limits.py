"""What no honest recording claims, refused before anything is allocated for it.

FFmpeg believes most of what a file says of itself: that it has a thousand million frames, say, and makes room for
them. A flipped bit can claim that, and so can an enemy.
"""

from __future__ import annotations

from pathlib import Path

from .errors import BeyondLimitsError
from .mp4 import read_claims

# A frame of H264's largest level, 6.2: 139,264 macroblocks of 16 x 16 pixels (8192 x 4352, for example).
MOST_PIXELS = 139_264 * 256
# 16 frames, the most that H264 lets others lean on, of 18 million pixels: 450 MB. Its largest level has less.
MOST_HELD_PIXELS = 300_000_000
# No coded frame is larger than the pixels of H264's largest, uncompressed.
MOST_FRAME_BYTES = 2**26
# 46 h at 120 frames a second. FFmpeg takes up to 40 bytes for each, and the frame index some more.
MOST_FRAMES = 20_000_000
# Each entry of an edit list may show all frames once more; a camera's has one or two, a cut film some tens.
USUAL_EDITS = 2
MOST_EDITED_FRAMES = 4_000_000

_REMEDY = "It is damaged, or made to do harm. Copy it again from the rig."
_BLOCK_BYTES = 2**22
_START_CODE = b"\0\0\1"
_RAW_SUFFIXES = {".h264", ".264", ".h26l", ".avc", ".hevc", ".h265", ".265"}


def check_claims(path: str) -> None:
    """Check what an MP4's or MOV's index claims; other files hold no claims that cost.

    Parameters
    ----------
    path : str

    Raises
    ------
    BeyondLimitsError
        If it claims more than the file can hold, or than any recording has.
    OSError
        If the disk or share fails.
    """
    claims, size_bytes = read_claims(path), Path(path).stat().st_size
    n_edited = claims.n_samples * claims.n_edits if claims.n_edits > USUAL_EDITS else 0
    if claims.is_compressed:
        fact = "its index is compressed, and what that holds cannot be checked"
    elif claims.overdrawn:
        name, n_rows = claims.overdrawn
        fact = f"its index is damaged: a table ({name}) claims {n_rows:,} rows, more than it has room for"
    # A frame has one byte at least.
    elif claims.n_samples > min(size_bytes, MOST_FRAMES):
        fact = f"its index claims {claims.n_samples:,} frames, in {size_bytes:,} bytes"
    elif claims.largest_bytes > MOST_FRAME_BYTES:
        fact = f"its index claims a frame of {claims.largest_bytes:,} bytes"
    elif n_edited > MOST_EDITED_FRAMES:
        fact = f"its edit list has {claims.n_edits:,} entries for {claims.n_samples:,} frames"
    else:
        return
    raise BeyondLimitsError(path, fact, _REMEDY)


def check_frame_size(path: str, width: int, height: int) -> None:
    """Check that frames are no larger than H264 allows.

    Raises
    ------
    BeyondLimitsError
        If they are.
    """
    if width * height > MOST_PIXELS:
        fact = f"its frames are said to be {width} x {height} pixels, and H264's largest have {MOST_PIXELS:,}"
        raise BeyondLimitsError(path, fact, _REMEDY)


def check_held_pixels(path: str, held_pixels: int) -> None:
    """Check that a decoder need not keep more earlier frames than memory should hold.

    Raises
    ------
    BeyondLimitsError
        If it has to.
    """
    if held_pixels > MOST_HELD_PIXELS:
        fact = f"its decoder is to keep frames of {held_pixels:,} pixels together, and {MOST_HELD_PIXELS:,} are allowed"
        raise BeyondLimitsError(path, fact, _REMEDY)


def check_start_codes(path: str) -> None:
    """Check that a raw H264 stream goes on to the end; other files pass.

    A decoder gathers all bytes up to the next start code: the zeros at the end of a copy that broke off, say.

    Raises
    ------
    BeyondLimitsError
        If more bytes than any frame has follow each other without one.
    OSError
        If the disk or share fails.
    """
    position, last, tail = 0, 0, b""
    with Path(path).open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            content = tail + block
            if position == 0 and not _is_raw(path, content):
                return
            begin = position - len(tail)
            # Between the first and the last of a block there is no gap that matters.
            for found in (content.find(_START_CODE), content.rfind(_START_CODE)):
                if found >= 0:
                    _check_gap(path, last, begin + found)
                    last = begin + found
            tail = content[1 - len(_START_CODE) :]
            position += len(block)
    _check_gap(path, last, position)


def _is_raw(path: str, beginning: bytes) -> bool:
    """Tell whether FFmpeg may take a file for a raw stream: by its name, or as it begins with a start code."""
    return Path(path).suffix.lower() in _RAW_SUFFIXES or beginning.lstrip(b"\0")[:1] == b"\1"


def _check_gap(path: str, start: int, stop: int) -> None:
    if stop - start > MOST_FRAME_BYTES:
        fact = f"from byte {start:,} on there are {stop - start:,} without the beginning of a frame"
        raise BeyondLimitsError(path, fact, _REMEDY)
