"""What the header of a Matroska or WebM file promises, read without believing that it is kept.

The elements are those of RFC 9559 [1]_: each is an identifier, a length and that many bytes.

References
----------
.. [1] RFC 9559, Matroska Media Container Format Specification, https://www.rfc-editor.org/rfc/rfc9559
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT, _INFO, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1F43B675
_TIMESTAMP_SCALE, _DURATION, _WRITING_APP = 0x2AD7B1, 0x4489, 0x5741
_NS_PER_S = 1e9
_USUAL_SCALE = 1_000_000  # ns
# A header has some tens of elements; its values have some tens of bytes.
_MOST_ELEMENTS = 1000
# Some ten seconds' work, and what 9 h at 120 frames a second have. What comes behind is taken to be right.
_MOST_FOLLOWED = 4_000_000
_MOST_VALUE_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What a file's one segment says of itself before its first frame.

    Parameters
    ----------
    content : int
        Where its first element begins, in bytes from the start of the file.
    stop : int or None
        Where it ends, in bytes from the start of the file; None if it does not say.
    duration_s : float or None
        How long its longest track is, in seconds; None if it does not say.
    writing_app : str
        The program that wrote it.
    """

    content: int
    stop: int | None
    duration_s: float | None
    writing_app: str


@dataclass(frozen=True, slots=True)
class _Element:
    kind: int
    content: int
    stop: int | None  # None: to the end of the file, or until something begins that cannot be in it


def read_segment(path: str) -> Segment | None:
    """Read the promises of a file; None if it is no Matroska.

    Raises
    ------
    OSError
        If the disk or share fails.
    """
    with Path(path).open("rb") as file:
        for element in islice(_elements(file, 0, None), _MOST_ELEMENTS):
            if element.kind == _SEGMENT:
                return _describe(file, element)
            if element.kind != _EBML:
                return None
    return None


def find_end_of_sense(path: str, segment: Segment) -> int:
    """Follow a segment's elements, and those of its clusters, and return how far they follow each other.

    Parameters
    ----------
    path : str
    segment : Segment
        Whose end is known.

    Returns
    -------
    int
        In bytes from the start of the file; the segment's end if nothing is wrong. (Clusters that do not say where they
        end are taken to be right.)

    Raises
    ------
    OSError
        If the disk or share fails.
    """
    assert segment.stop is not None
    end = segment.content
    with Path(path).open("rb") as file:
        for number, element in enumerate(_follow(file, segment)):
            if element.stop is None or number == _MOST_FOLLOWED:
                return segment.stop
            end = element.stop
    return end


def _follow(file: BinaryIO, segment: Segment) -> Iterator[_Element]:
    """Yield what is in a segment, and in its clusters after each, up to where it makes no sense."""
    for element in _elements(file, segment.content, segment.stop):
        end = element.content
        if element.kind == _CLUSTER and element.stop is not None:
            for inner in _elements(file, element.content, element.stop):
                yield inner
                end = inner.stop or element.stop
            if end != element.stop:
                return
        yield element


def _describe(file: BinaryIO, segment: _Element) -> Segment:
    values: dict[int, bytes] = {}
    for element in islice(_elements(file, segment.content, segment.stop), _MOST_ELEMENTS):
        if element.kind == _INFO:
            values = dict(_values(file, element))
        if element.kind in (_INFO, _CLUSTER):
            break
    scale = int.from_bytes(values.get(_TIMESTAMP_SCALE, b"")) or _USUAL_SCALE
    duration = _float(values.get(_DURATION, b""))
    return Segment(
        content=segment.content,
        stop=segment.stop,
        duration_s=duration * scale / _NS_PER_S if 0 < duration < math.inf else None,
        writing_app=values.get(_WRITING_APP, b"").rstrip(b"\0").decode("utf-8", "replace"),
    )


def _values(file: BinaryIO, parent: _Element) -> Iterator[tuple[int, bytes]]:
    for element in islice(_elements(file, parent.content, parent.stop), _MOST_ELEMENTS):
        file.seek(element.content)
        n_bytes = 0 if element.stop is None else min(element.stop - element.content, _MOST_VALUE_BYTES)
        yield element.kind, file.read(n_bytes)


def _elements(file: BinaryIO, start: int, stop: int | None) -> Iterator[_Element]:
    """Yield the elements in a part of a file, as far as they make sense."""
    position = start
    while True:
        if stop is not None and position >= stop:
            return
        file.seek(position)
        kind, _is_full = _number(file, keeps_marker=True)
        length, is_endless = _number(file, keeps_marker=False)
        if kind is None or length is None:
            return
        content = file.tell()
        if stop is not None and not is_endless and content + length > stop:
            return
        yield _Element(kind, content, None if is_endless else content + length)
        if is_endless:
            return
        position = content + length


def _number(file: BinaryIO, *, keeps_marker: bool) -> tuple[int | None, bool]:
    """Read a number whose first byte says how long it is; also whether all of its bits are set."""
    first = file.read(1)
    if not first or not first[0]:
        return None, False
    n_more = 8 - first[0].bit_length()
    rest = file.read(n_more)
    if len(rest) < n_more:
        return None, False
    n_bits = 7 * (n_more + 1)
    number = int.from_bytes(first + rest)
    value = number & ((1 << n_bits) - 1)
    return (number if keeps_marker else value), value == (1 << n_bits) - 1


def _float(value: bytes) -> float:
    """Return a number of 4 or 8 bytes; 0 if it has another length."""
    form = {4: ">f", 8: ">d"}.get(len(value))
    return float(struct.unpack(form, value)[0]) if form else 0.0
