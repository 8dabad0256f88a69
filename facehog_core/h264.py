"""What the headers of coded frames say: their order of display, which of them are missing, and where one can start.

Some containers (raw H264, AVI) do not say when a frame is shown, and no decoder says that a frame it needed
never came. Both stand in the first bytes of each frame [1]_.

References
----------
.. [1] ITU-T H.264 (08/2021), clauses 7.3 (syntax), 7.4.3 (frame_num), 8.2.1 (picture order count) and D.2.8
   (recovery point).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Types of NAL units, table 7-1.
_SLICE, _SLICE_A, _IDR, _SEI, _SPS, _PPS, _DELIMITER = 1, 2, 5, 6, 7, 8, 9
# The message that says after how many frames the picture is true, clause D.1.
_RECOVERY_POINT = 6
# Types of slices, modulo 5: I and SI, table 7-6.
_INTRA_SLICES = (2, 4)
# Profiles whose parameters say how chroma is sampled and scaled, clause 7.3.2.1.1.
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
# All that is read of a slice lies far before this; more than a parameter set's few hundred bytes.
_HEADER_BYTES = 64
_PARAMETER_BYTES = 4096
# An exponential Golomb code of more zeros is none: no value of a header is that large.
_MOST_ZEROS = 32
# No order of a frame is beyond 32 bits; where steps are nonsense, theirs would be beyond 64.
_MOST_ORDER = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What the header of one coded frame says.

    Parameters
    ----------
    is_idr : bool
        Whether it starts a new sequence: nothing later leans on anything before it.
    is_reference : bool
        Whether other frames may lean on it.
    is_start : bool
        Whether a decoder can start with it: it leans on no other frame, as its first slice says; no message says that
        the picture recovers only later; and its parameter sets are its own, or those that the container keeps beside.
    is_second_field : bool
        Whether it is the second field of the frame before it.
    order : int
        Its place in the order of display, relative to the others since the last IDR frame.
    is_after_gap : bool
        Whether a frame is missing that others may lean on, between it and the frame that was read before it; or it is
        itself one that comes twice.
    """

    is_idr: bool
    is_reference: bool
    is_start: bool
    is_second_field: bool
    order: int
    is_after_gap: bool


@dataclass(frozen=True, slots=True)
class _Sps:
    """The few values of a sequence parameter set that tell frames apart."""

    has_separate_planes: bool
    frame_num_bits: int
    order_type: int
    order_bits: int
    may_have_gaps: bool
    has_fields: bool
    held_pixels: int
    # Of order type 1: whether slices differ from the steps that are foreseen, how far frames that are no references
    # are from theirs, and the steps from reference to reference, again and again.
    has_order_deltas: bool = False
    order_aside: int = 0
    order_steps: tuple[int, ...] = ()


# A parameter set's type and number.
_Name = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    is_idr: bool
    is_reference: bool
    is_intra: bool
    parameters: tuple[_Name, _Name]
    sps: _Sps
    frame_num: int
    is_field: bool
    is_bottom: bool
    order_lsb: int
    order_delta: int


class HeaderReader:
    """Reads the headers of one stream's frames, in the order of decoding.

    Parameters
    ----------
    extradata : bytes or None
        What the container keeps beside the frames (avcC, or parameter sets in Annex B form).
    tells_again : bool, optional
        Whether the container, where it tells other parameters from a frame on, does so to whoever starts behind it too.
    """

    def __init__(self, extradata: bytes | None, *, tells_again: bool = False) -> None:
        self._sps: dict[int, _Sps] = {}
        self._sps_of_pps: dict[int, int] = {}
        # Parameter sets as they are: all, and those that whoever starts at any frame knows.
        self._sets: dict[_Name, bytes] = {}
        self._sets_beside: dict[_Name, bytes] = {}
        # Bytes of a NAL unit's length before it; 0 for the start codes of Annex B.
        self._length_bytes = 0
        if extradata:
            self._sets_beside |= self._note_beside(extradata)
        self._tells_again = tells_again
        self._last: _Slice | None = None
        # Whether the last frame is a field that waits for its second one.
        self._waits_for_field = False
        self._last_reference_num: int | None = None
        self._order_msb = self._order_lsb = 0
        self._num_offset = 0

    @property
    def held_pixels(self) -> int:
        """Pixels of all frames that a decoder has to keep for others to lean on, at most."""
        return max((sps.held_pixels for sps in self._sps.values()), default=0)

    @property
    def delimiter(self) -> bytes:
        """The packet that says that a frame of any kind begins; it has none itself."""
        unit = bytes([_DELIMITER, 0xF0])
        return len(unit).to_bytes(self._length_bytes) + unit if self._length_bytes else b"\0\0\1" + unit

    def read(self, data: bytes, extradata: bytes | None = None) -> Picture | None:
        """Read the header of the next frame.

        Parameters
        ----------
        data : bytes
            One packet.
        extradata : bytes, optional
            What the container keeps beside the frames from this one on, where it tells something else.

        Returns
        -------
        Picture or None
            None if there is no header in it that makes sense.
        """
        if extradata:
            told = self._note_beside(extradata)
            self._sets_beside |= told if self._tells_again else {}
        units = _units_of_lengths(data, self._length_bytes) if self._length_bytes else _units_after_start_codes(data)
        own: dict[_Name, bytes] = {}
        recovers_later = False
        for unit in units:
            kind = unit[0] & 31
            if kind in (_SLICE, _SLICE_A, _IDR):
                found = self._read_slice(unit)
                if found is None:
                    return None
                is_start = found.is_intra and not recovers_later and self._is_known_at_start(found, own)
                return self._follow(found, is_start=is_start)
            if kind == _SEI:
                recovers_later |= _recovers_later(unit)
            own |= self._note_parameters([unit])
        return None

    def _is_known_at_start(self, found: _Slice, own: dict[_Name, bytes]) -> bool:
        known = self._sets_beside | own
        return all(known.get(name) == self._sets[name] for name in found.parameters)

    def _note_beside(self, extradata: bytes) -> dict[_Name, bytes]:
        if extradata[0] != 1:
            return self._note_parameters(_units_after_start_codes(extradata))
        self._length_bytes = (extradata[4] & 3) + 1 if len(extradata) > 4 else 4
        return self._note_parameters(_units_of_avcc(extradata))

    def _note_parameters(self, units: Iterator[bytes] | list[bytes]) -> dict[_Name, bytes]:
        """Keep parameter sets in mind, and return those that there are among some units."""
        found = {}
        for unit in units:
            kind, bits = unit[0] & 31, _Bits(unit[1:])
            try:
                if kind == _SPS:
                    number, self._sps[number] = _read_sps(bits)
                elif kind == _PPS:
                    number, self._sps_of_pps[number] = bits.unsigned(), bits.unsigned()
                else:
                    continue
            except ValueError:
                continue  # Damaged; its frames cannot be read either.
            found[kind, number] = unit
        self._sets |= found
        return found

    def _read_slice(self, unit: bytes) -> _Slice | None:
        bits = _Bits(unit[1 : 1 + _HEADER_BYTES])
        try:
            bits.unsigned()  # first macroblock
            is_idr = unit[0] & 31 == _IDR
            # An IDR frame whose slices say otherwise is damaged.
            is_intra = bits.unsigned() % 5 in _INTRA_SLICES or is_idr
            pps_id = bits.unsigned()
            sps_id = self._sps_of_pps[pps_id]
            sps = self._sps[sps_id]
            if sps.has_separate_planes:
                bits.take(2)
            frame_num = bits.take(sps.frame_num_bits)
            is_field = sps.has_fields and bool(bits.take(1))
            is_bottom = is_field and bool(bits.take(1))
            if is_idr:
                bits.unsigned()  # its number
            order_lsb = bits.take(sps.order_bits) if sps.order_type == 0 else 0
            order_delta = bits.signed() if sps.has_order_deltas else 0
        except (KeyError, ValueError):
            return None
        return _Slice(
            is_idr=is_idr,
            is_reference=bool(unit[0] & 0x60),
            is_intra=is_intra,
            parameters=((_SPS, sps_id), (_PPS, pps_id)),
            sps=sps,
            frame_num=frame_num,
            is_field=is_field,
            is_bottom=is_bottom,
            order_lsb=order_lsb,
            order_delta=order_delta,
        )

    def _follow(self, found: _Slice, *, is_start: bool) -> Picture:
        """Set a frame in relation to those before it."""
        is_second_field = self._is_second_field_of_last(found)
        is_after_gap = not is_second_field and self._misses_a_reference(found)
        order = self._order_of(found)
        self._last = found
        self._waits_for_field = found.is_field and not is_second_field
        if found.is_idr or found.is_reference:
            self._last_reference_num = found.frame_num
        return Picture(
            is_idr=found.is_idr,
            is_reference=found.is_reference,
            is_start=is_start,
            is_second_field=is_second_field,
            order=order,
            is_after_gap=is_after_gap,
        )

    def _is_second_field_of_last(self, found: _Slice) -> bool:
        last = self._last
        return (
            last is not None
            and self._waits_for_field
            and found.is_field
            and found.is_bottom != last.is_bottom
            and found.frame_num == last.frame_num
        )

    def _misses_a_reference(self, found: _Slice) -> bool:
        last = self._last_reference_num
        if found.is_idr or last is None:
            return False
        if found.frame_num == last:
            # Two that others may lean on never have the same number: this one comes twice, or is another's.
            return found.is_reference
        return not found.sps.may_have_gaps and found.frame_num != (last + 1) % (1 << found.sps.frame_num_bits)

    def _order_of(self, found: _Slice) -> int:
        if found.sps.order_type == 0:
            return self._order_by_lsb(found)
        period = 1 << found.sps.frame_num_bits
        if found.is_idr:
            self._num_offset = 0
        elif self._last is not None and found.frame_num < self._last.frame_num:
            self._num_offset += period
        number = self._num_offset + found.frame_num
        if found.sps.order_type == 1:
            return _order_by_steps(found, number)
        return 2 * number - (not found.is_reference)  # Type 2: frames are shown as they are decoded.

    def _order_by_lsb(self, found: _Slice) -> int:
        """Complete the low bits of the order, of which the last reference frame gives the high ones."""
        if found.is_idr:
            self._order_msb = self._order_lsb = 0
        period = 1 << found.sps.order_bits
        msb, difference = self._order_msb, found.order_lsb - self._order_lsb
        if difference <= -period // 2:
            msb += period
        elif difference > period // 2:
            msb -= period
        if found.is_reference:
            self._order_msb, self._order_lsb = msb, found.order_lsb
        return msb + found.order_lsb


def _recovers_later(unit: bytes) -> bool:
    """Tell whether a unit of messages says that the picture is true only some frames after this one."""
    data = _without_escapes(unit[1:])
    position = 0
    while position + 2 < len(data):
        kind, position = _read_sum(data, position)
        n_bytes, position = _read_sum(data, position)
        # 0 frames is the code of a single 1.
        if kind == _RECOVERY_POINT and data[position : position + 1] < b"\x80":
            return True
        position += n_bytes
    return False


def _read_sum(data: bytes, position: int) -> tuple[int, int]:
    """Read a number that is written as a sum of bytes, all but the last of them 255; return where it ends, too."""
    last = position
    while data[last : last + 1] == b"\xff":
        last += 1
    return sum(data[position : last + 1]), last + 1


def _order_by_steps(found: _Slice, number: int) -> int:
    """Count the steps that the parameters foresee up to a frame, clause 8.2.1.2."""
    steps = found.sps.order_steps
    n_steps = number - (not found.is_reference) if steps else 0
    order = found.order_delta
    if n_steps > 0:
        n_cycles, n_more = divmod(n_steps, len(steps))
        order += n_cycles * sum(steps) + sum(steps[:n_more])
    order += 0 if found.is_reference else found.sps.order_aside
    return max(-_MOST_ORDER, min(order, _MOST_ORDER))


def _without_escapes(unit: bytes) -> bytes:
    # The coder puts a 3 after two zeros, so that no start code is among the data.
    return unit[:_PARAMETER_BYTES].replace(b"\0\0\3", b"\0\0")


class _Bits:
    """Bits of a NAL unit, from its first on."""

    def __init__(self, unit: bytes) -> None:
        data = _without_escapes(unit)
        self._value = int.from_bytes(data)
        self._left = 8 * len(data)

    def take(self, n_bits: int) -> int:
        """Read a number of so many bits."""
        self._left -= n_bits
        if self._left < 0:
            raise ValueError("the data end within a header")
        return self._value >> self._left & (1 << n_bits) - 1

    def unsigned(self) -> int:
        """Read an exponential Golomb code."""
        n_zeros = self._left - (self._value & (1 << self._left) - 1).bit_length()
        if n_zeros > _MOST_ZEROS:
            raise ValueError("this is no header")
        return self.take(2 * n_zeros + 1) - 1

    def signed(self) -> int:
        """Read an exponential Golomb code with a sign."""
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def _read_sps(bits: _Bits) -> tuple[int, _Sps]:
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    number = bits.unsigned()
    has_separate_planes = False
    if profile in _HIGH_PROFILES:
        chroma = bits.unsigned()
        has_separate_planes = chroma == 3 and bool(bits.take(1))
        bits.unsigned()  # depth of luma
        bits.unsigned()  # depth of chroma
        bits.take(1)
        if bits.take(1):
            _skip_scaling_lists(bits, 12 if chroma == 3 else 8)
    frame_num_bits = bits.unsigned() + 4
    order_type = bits.unsigned()
    order_bits, has_order_deltas, order_aside = 0, False, 0
    order_steps: tuple[int, ...] = ()
    if order_type == 0:
        order_bits = bits.unsigned() + 4
    elif order_type == 1:
        has_order_deltas = not bits.take(1)
        order_aside = bits.signed()
        bits.signed()  # from a frame's top to its bottom field
        order_steps = tuple(bits.signed() for _ in range(min(bits.unsigned(), 255)))
    n_held = bits.unsigned()
    may_have_gaps = bool(bits.take(1))
    width, height = bits.unsigned() + 1, bits.unsigned() + 1  # in macroblocks, of a frame or of a field
    has_fields = not bits.take(1)
    held_pixels = n_held * width * height * (2 if has_fields else 1) * 256
    if frame_num_bits > 16 or order_bits > 16:
        raise ValueError("this is no sequence parameter set")
    return number, _Sps(
        has_separate_planes,
        frame_num_bits,
        order_type,
        order_bits,
        may_have_gaps,
        has_fields,
        held_pixels,
        has_order_deltas,
        order_aside,
        order_steps,
    )


def _skip_scaling_lists(bits: _Bits, n_lists: int) -> None:
    for number in range(n_lists):
        if not bits.take(1):
            continue
        last = following = 8
        for _ in range(16 if number < 6 else 64):
            if following:
                following = (last + bits.signed()) % 256
            last = following or last


def _units_of_lengths(data: bytes, length_bytes: int) -> Iterator[bytes]:
    position = 0
    while position + length_bytes < len(data):
        length = int.from_bytes(data[position : position + length_bytes])
        position += length_bytes
        if length == 0:
            continue
        yield data[position : position + length]
        position += length


def _units_after_start_codes(data: bytes) -> Iterator[bytes]:
    start = data.find(b"\0\0\1")
    while start >= 0:
        following = data.find(b"\0\0\1", start + 3)
        unit = data[start + 3 : following if following >= 0 else len(data)]
        if unit:
            yield unit
        start = following


def _units_of_avcc(extradata: bytes) -> Iterator[bytes]:
    """Yield the parameter sets of an avcC record, ISO/IEC 14496-15."""
    position = 5
    for mask in (31, 255):
        n_units = extradata[position] & mask if position < len(extradata) else 0
        position += 1
        for _ in range(n_units):
            length = int.from_bytes(extradata[position : position + 2])
            unit = extradata[position + 2 : position + 2 + length]
            position += 2 + length
            if unit:
                yield unit
