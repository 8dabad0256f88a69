"""Long recordings in little time: a short segment is encoded, and its packets are repeated.

A decoder works as hard on a frame that it has seen before. The segment starts with a keyframe that nothing behind it
looks back over, so the second copy follows the first as the next GOP does. Footage is kept in a temporary folder, and
made again if it is not there.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

import av
from av.packet import Packet

from facehog_core.crop import Crop
from facehog_core.recipe import Recipe
from facehog_core.synthetic import write_mouse_face

WIDTH, HEIGHT = 1280, 1024
GOP = 250
SEGMENT = 1000
# About 7 Mbit/s at 30 frames a second, as a camera's recording of a real mouse at crf 18 has.
CRF: Final = 15.5
FRAME_RATE: Final = 30
# The face, at this size.
RECIPE = Recipe(crop=Crop(x=53, y=22, width=916, height=475))


def make_footage(
    n_frames: int,
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
    gop: int = GOP,
    segment: int = SEGMENT,
    folder: Path | None = None,
) -> Path:
    """Make a recording of a mouse's face, or return the one that was made before.

    Where the environment names a recording in FACEHOG_BENCH_SEGMENT, its packets are taken instead of a drawn face's.

    Parameters
    ----------
    n_frames : int
        Where the last GOP is not a whole one, all frames are drawn, which takes long.
    width, height : int, optional
        In pixels.
    gop : int, optional
        Frames from one keyframe to the next.
    segment : int, optional
        Frames that differ.
    folder : Path, optional
        Where it is kept, instead of a temporary folder.

    Returns
    -------
    Path
    """
    folder = folder or Path(tempfile.gettempdir()) / "facehog-footage"
    folder.mkdir(parents=True, exist_ok=True)
    if given := os.environ.get("FACEHOG_BENCH_SEGMENT"):
        source = Path(given).resolve()
        name = f"{source.stem}_{hash_of(source)}"
    else:
        segment = segment if n_frames % gop == 0 else n_frames
        name = f"face_{width}x{height}_crf{CRF}_gop{gop}_{segment}"
        source = folder / f"{name}.mp4"
        if not source.exists():
            write_mouse_face(
                source, n_frames=segment, width=width, height=height, frame_rate=FRAME_RATE, gop=gop, crf=CRF
            )
        if n_frames == segment:
            return source
    path = folder / f"{name}_{n_frames}.mp4"
    return path if path.exists() else repeat_packets(source, path, n_frames)


def hash_of(path: Path) -> str:
    """Tell a file from others of its name by where it is, its size and its time."""
    status = path.stat()
    return hashlib.blake2b(f"{path} {status.st_size} {status.st_mtime_ns}".encode(), digest_size=4).hexdigest()


def repeat_packets(source: Path, path: Path, n_frames: int) -> Path:
    """Write a recording that begins anew when it is at its end; it gets its name when it is whole.

    Parameters
    ----------
    source : Path
        An MP4 of closed GOPs and an even frame rate.
    path : Path
    n_frames : int
        How many frames are written; the last GOP has to be a whole one.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ValueError
        If the last GOP would be cut: its frames lean on others that come after them in the file.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        with av.open(source) as given, av.open(partial, "w", format="mp4") as container:
            stream = given.streams.video[0]
            packets = [packet for packet in given.demux(stream) if packet.size]
            if not packets[n_frames % len(packets)].is_keyframe:
                raise ValueError(f"{source.name}, repeated, has no GOP that ends with frame {n_frames}")
            length = sum(packet.duration or 0 for packet in packets)
            copy = container.add_stream_from_template(stream)
            for number in range(n_frames):
                n_before, place = divmod(number, len(packets))
                packet = packets[place]
                # Muxing changes a packet, so each time another goes in.
                again = Packet(packet)
                again.pts = (packet.pts or 0) + n_before * length
                again.dts = (packet.dts or 0) + n_before * length
                again.duration = packet.duration
                again.time_base = packet.time_base
                again.is_keyframe = packet.is_keyframe
                again.stream = copy
                container.mux_one(again)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("n_frames", type=int, nargs="+")
    for wanted in parser.parse_args().n_frames:
        print(make_footage(wanted))
