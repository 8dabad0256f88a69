"""Recordings that no encoder at hand makes, written bit by bit: fields coded apart (PAFF), order told by steps,
keyframes whose followers lean on what came before them.

Broadcast cameras make the first. Every macroblock is stored as it is (I_PCM), so what has to come out is known to the
last bit.
"""

from __future__ import annotations

import functools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from barcode import HEIGHT, WIDTH, draw
from crafted import Bits, annex_b
from numpy.typing import NDArray

GOP = 8
DELIMITER = b"\x09\xf0"
# Slices of fields name their frame and their order with so many bits.
FRAME_NUM_BITS = ORDER_BITS = 8
# ITU-T H.264, 7.3.2.1.1: Main profile, level 3, 4:2:0, order of display told by each slice.
SPS = (
    Bits().u(8, 77).u(8, 0).u(8, 30).ue(0, FRAME_NUM_BITS - 4, 0, ORDER_BITS - 4, 2).u(1, 0)
    .ue(WIDTH // 16 - 1, HEIGHT // 32 - 1).u(4, 0b0010).u(1, 0).to_nal(0x67)
)  # fmt: skip
PPS = Bits().ue(0, 0).u(2, 0).ue(0, 0, 0).u(3, 0).ue(0, 0, 0).u(3, 0b100).to_nal(0x68)
# The same for whole frames, whose order follows from foreseen steps (order type 1): 4 from reference to reference, and
# 2 back for what is shown between two.
SPS_OF_STEPS = (
    Bits().u(8, 77).u(8, 0).u(8, 30).ue(0, FRAME_NUM_BITS - 4, 1).u(1, 0).ue(4, 0, 1, 7, 2).u(1, 0)
    .ue(WIDTH // 16 - 1, HEIGHT // 16 - 1).u(4, 0b1100).to_nal(0x67)
)  # fmt: skip
# After 4 frames the picture is true, clause D.1.8: a message of kind 6, 2 bytes long.
RECOVERY_POINT = b"\x06\x06" + Bits().ue(4).u(1, 1).u(3, 0).to_nal(2) + b"\x80"
# For whole frames that are shown as they are decoded (order type 2); four of them may be leaned on.
SPS_OF_FRAMES = (
    Bits().u(8, 77).u(8, 0).u(8, 30).ue(0, FRAME_NUM_BITS - 4, 2, 4).u(1, 0)
    .ue(WIDTH // 16 - 1, HEIGHT // 16 - 1).u(4, 0b1100).to_nal(0x67)
)  # fmt: skip
I_PCM = 25


def write_fields(path: Path, n_frames: int, *, n_between: int = 2, apart: bool = False) -> Path:
    """Write a recording of numbered frames whose fields are coded apart; the container follows from the name.

    Between two frames that others may lean on, `n_between` are decoded after both and shown before the second.
    `apart` gives each field a packet of its own, where the container allows it.
    """
    frames = _code_frames(n_frames, n_between)
    if path.suffix == ".h264":
        path.write_bytes(b"".join(annex_b(*nals) for _, fields in frames for nals in fields))
        return path
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.extradata = annex_b(SPS, PPS)
        for n_before, (number, fields) in enumerate(frames):
            parts = fields if apart else [fields[0] + fields[1]]
            for place, nals in enumerate(parts):
                packet = av.Packet(annex_b(*nals))
                packet.stream, packet.time_base = stream, Fraction(1, 60)
                # Decoded early enough for what is shown before it.
                packet.pts, packet.dts = 2 * (number + n_between) + place, 2 * n_before + place
                packet.is_keyframe = number % GOP == 0 and place == 0
                container.mux(packet)
    return path


def write_steps(path: Path, n_frames: int) -> Path:
    """Write raw H264 whose slices do not tell their order: every second frame is decoded after the one behind it."""
    content = b""
    for first in range(0, n_frames, GOP):
        frame_num = 0
        for number, is_reference in _decoding_order(first, min(first + GOP, n_frames), 1):
            is_idr = number == first
            bits = Bits().ue(0, 7, 0).u(FRAME_NUM_BITS, frame_num)
            if is_idr:
                bits.ue(first // GOP % 2)
            # The last of an even number of frames has none before it: it comes a step of 2 earlier than foreseen.
            is_early = is_reference and not is_idr and (number - first) % 2 == 1
            bits.ue(4 if is_early else 0)
            if is_reference:
                bits.u(2 if is_idr else 1, 0)
            bits.ue(0, 1)
            _store(draw(number), bits)
            head = [DELIMITER, SPS_OF_STEPS, PPS] if is_idr else [DELIMITER]
            content += annex_b(*head, bits.to_nal(0x60 * is_reference | (5 if is_idr else 1)))
            frame_num += is_reference
    path.write_bytes(content)
    return path


def write_late_recovery(path: Path, n_frames: int) -> Path:
    """Write a recording whose later keyframes are recovery points: the picture is true 4 frames later.

    Every fourth frame is drawn; the others repeat the one before, but those behind the later keyframes the one before
    that. So they show, 8 at a time: 8 4 4 4 12 12 12 12, and in the first GOP 0 0 0 0 4 4 4 4.
    """
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.extradata = annex_b(SPS_OF_FRAMES, PPS)
        for number in range(n_frames):
            is_keyframe = number % GOP == 0
            if number % 4 == 0:
                nal = _code_picture(number, is_idr=number == 0)
            else:
                nal = _repeat(number, n_back=2 if number % GOP == 1 and number > GOP else 1)
            head = [RECOVERY_POINT] if is_keyframe and number else [SPS_OF_FRAMES, PPS] if is_keyframe else []
            packet = av.Packet(annex_b(DELIMITER, *head, nal))
            packet.stream, packet.time_base = stream, Fraction(1, 30)
            packet.pts = packet.dts = number
            packet.is_keyframe = is_keyframe
            container.mux(packet)
    return path


def _code_picture(number: int, *, is_idr: bool) -> bytes:
    bits = Bits().ue(0, 7, 0).u(FRAME_NUM_BITS, number)
    if is_idr:
        bits.ue(0)
    bits.u(2 if is_idr else 1, 0).ue(0, 1)
    _store(draw(number), bits)
    return bits.to_nal(0x65 if is_idr else 0x61)


def _repeat(number: int, n_back: int) -> bytes:
    """Return a P frame of nothing but skipped macroblocks, which shows the frame that is so far back."""
    bits = Bits().ue(0, 5, 0).u(FRAME_NUM_BITS, number).u(1, 0)
    bits.u(1, 1).ue(0, n_back - 1, 3).u(1, 0).ue(0, 1)
    return bits.ue(WIDTH * HEIGHT // 256).to_nal(0x61)


@functools.cache
def _code_frames(n_frames: int, n_between: int) -> list[tuple[int, list[list[bytes]]]]:
    """Return the number of each frame and the NAL units of its two fields, in the order of decoding."""
    frames = []
    for first in range(0, n_frames, GOP):
        frame_num = 0
        for number, is_reference in _decoding_order(first, min(first + GOP, n_frames), n_between):
            frames.append((number, _code_frame(number, first, frame_num, is_reference)))
            frame_num += is_reference
    return frames


def _decoding_order(first: int, stop: int, n_between: int) -> list[tuple[int, bool]]:
    order = [(first, True)]
    while (last := max(number for number, _ in order)) < stop - 1:
        following = min(last + n_between + 1, stop - 1)
        order += [(following, True), *((number, False) for number in range(last + 1, following))]
    return order


def _code_frame(number: int, first: int, frame_num: int, is_reference: bool) -> list[list[bytes]]:
    picture = draw(number)
    head = [DELIMITER, SPS, PPS] if number == first else [DELIMITER]
    fields = []
    for is_bottom in (False, True):
        is_idr = number == first and not is_bottom
        # First macroblock, I slice, picture parameter set; then field_pic_flag, bottom_field_flag, idr_pic_id.
        bits = Bits().ue(0, 7, 0).u(FRAME_NUM_BITS, frame_num).u(1, 1).u(1, is_bottom)
        if is_idr:
            bits.ue(first // GOP % 2)
        bits.u(ORDER_BITS, 2 * (number - first) + is_bottom)
        if is_reference:
            bits.u(2 if is_idr else 1, 0)
        bits.ue(0, 1)  # quantiser as in the parameter set, no deblocking
        _store(picture[is_bottom::2], bits)
        fields.append([*([DELIMITER] if is_bottom else head), bits.to_nal(0x60 * is_reference | (5 if is_idr else 1))])
    return fields


def _store(luma: NDArray[np.uint8], bits: Bits) -> None:
    """Add the macroblocks of a field, as they are; colour is neutral."""
    for row in range(0, luma.shape[0], 16):
        for col in range(0, luma.shape[1], 16):
            bits.ue(I_PCM)
            bits.bits += "0" * (-len(bits.bits) % 8)
            samples = luma[row : row + 16, col : col + 16].tobytes() + bytes([128]) * 128
            bits.bits += "".join(f"{sample:08b}" for sample in samples)
