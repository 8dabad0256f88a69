"""Which images of a folder are one recording, in which order, and which of them are missing: from their names alone.

A sequence's names differ in one number, the frame's. They are put in natural order: `img2` comes before `img10`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .errors import EmptyFileError, SequenceError
from .path_text import showable

# Suffixes of images that are frames of a recording if they lie in one folder.
STILL_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")

_DIGITS = re.compile(r"([0-9]+)")
# What is named in a message, at most.
_MOST_NAMED = 4
_ONE_FOLDER_EACH = "Put each sequence into a folder of its own, without other images."


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedImages:
    """The images of a folder that are the frames of one recording.

    Parameters
    ----------
    names : tuple of str
        In natural order: the i-th is frame i.
    left_out : tuple of str
        Images beside them that carry no number, and so are no frames.
    missing : tuple of range
        Numbers that the sequence leaves out. Empty also where the number does not count (a time stamp, say).
    """

    names: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    missing: tuple[range, ...] = ()

    @property
    def remarks(self) -> list[str]:
        """What whoever uses the frames must know, a sentence each."""
        told = []
        if self.missing:
            n_missing = sum(map(len, self.missing))
            named = ", ".join(_tell_span(numbers) for numbers in self.missing[:_MOST_NAMED])
            more = f" and {len(self.missing) - _MOST_NAMED} more gaps" if len(self.missing) > _MOST_NAMED else ""
            told.append(
                f"{n_missing} image{_s(n_missing)} of the sequence {'are' if n_missing > 1 else 'is'} missing "
                f"(number{_s(n_missing)} {named}{more}): frames are counted without a gap there."
            )
        if self.left_out:
            n_images = len(self.left_out)
            are = "are no frames" if n_images > 1 else "is no frame"
            told.append(f"{n_images} image{_s(n_images)} without a number {are}: {_list(self.left_out)}.")
        return told


def is_still_name(name: str) -> bool:
    """Say whether a file name is that of an image that may be a frame."""
    return name.lower().endswith(STILL_SUFFIXES) and not name.startswith((".", "~"))


def has_number(name: str) -> bool:
    """Say whether a name carries a number: an image without one is no frame."""
    return _DIGITS.search(name) is not None


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return what names are sorted by, such that numbers in them are compared as numbers."""
    return [int(part) if place % 2 else part for place, part in enumerate(_parts(name))], name


def number_images(folder: str | os.PathLike[str], names: Iterable[str]) -> NumberedImages:
    """Find the one sequence of numbered images in a folder.

    Parameters
    ----------
    folder : str or path-like
        For errors.
    names : iterable of str
        Names of all images in it.

    Returns
    -------
    NumberedImages

    Raises
    ------
    EmptyFileError
        If there is no image.
    SequenceError
        If no image carries a number, two of them carry the same one, or there are several sequences.
    """
    ordered = sorted(names, key=natural_key)
    if not ordered:
        raise EmptyFileError(
            folder, f"the folder holds no images ({', '.join(STILL_SUFFIXES)})", "Check that it is a recording."
        )
    numbered = [name for name in ordered if has_number(name)]
    if not numbered:
        fact = f"its images carry no numbers ({_list(ordered)})"
        raise SequenceError(folder, fact, "Number them in the order in which they were taken.")
    _check_one_sequence(folder, Counter(_blank_out(name) for name in numbered))
    numbers = np.array([[int(part) for part in _parts(name)[1::2]] for name in numbered], dtype=object)
    _check_told_apart(folder, numbered, numbers)
    counting = np.flatnonzero((numbers != numbers[0]).any(axis=0))
    if len(counting) > 1:
        _check_one_counter(folder, numbered, numbers, counting)
    return NumberedImages(
        names=tuple(numbered),
        left_out=tuple(name for name in ordered if not has_number(name)),
        missing=_find_missing([int(number) for number in numbers[:, counting[0]]]) if len(counting) == 1 else (),
    )


def _parts(name: str) -> list[str]:
    """Split a name into text, number, text, ..., text; of numbers alone it begins and ends with empty text."""
    return _DIGITS.split(name.lower())


def _blank_out(name: str, keep: int = 0) -> str:
    """Return a name with a sign in place of each number but the first few."""
    parts = _parts(name)
    return "".join("#" if place % 2 and place >= 2 * keep else part for place, part in enumerate(parts))


def _check_one_sequence(folder: str | os.PathLike[str], n_images: Counter[str]) -> None:
    if len(n_images) > 1:
        named = [f"{pattern} ({n} image{_s(n)})" for pattern, n in n_images.most_common()]
        raise SequenceError(folder, f"it holds several sequences of images: {_list(named)}", _ONE_FOLDER_EACH)


def _check_told_apart(folder: str | os.PathLike[str], names: Sequence[str], numbers: NDArray[np.object_]) -> None:
    for (before, name), same in zip(pairwise(names), (numbers[1:] == numbers[:-1]).all(axis=1), strict=True):
        if same:
            fact = f"{before} and {name} carry the same number"
            raise SequenceError(folder, fact, "Remove one of them, or give it a number of its own.")


def _check_one_counter(
    folder: str | os.PathLike[str], names: Sequence[str], numbers: NDArray[np.object_], counting: NDArray[np.intp]
) -> None:
    """Refuse names in which a counter starts again: `cam0_1, cam0_2, ..., cam1_1, ...`.

    Names may also differ in several numbers because they tell the time. Then the last does not count on without
    gaps, and their natural order is that of time.
    """
    last = int(counting[-1])
    runs: dict[str, list[int]] = {}
    for name, row in zip(names, numbers, strict=True):
        runs.setdefault(_blank_out(name, keep=last), []).append(int(row[last]))
    n_places = sum(max(run) - min(run) + 1 for run in runs.values())
    if 2 * len(runs) <= len(names) and n_places < 2 * len(names):
        _check_one_sequence(folder, Counter({pattern: len(run) for pattern, run in runs.items()}))


def _find_missing(numbers: Sequence[int]) -> tuple[range, ...]:
    """Return the numbers that are left out, by the step that most of them keep."""
    steps = Counter(after - before for before, after in pairwise(numbers))
    step, n_kept = steps.most_common(1)[0]
    if 2 * n_kept <= len(numbers) - 1:
        return ()  # no count, but time stamps or the like
    gaps = (range(before + step, after, step) for before, after in pairwise(numbers) if after - before > step)
    return tuple(filter(len, gaps))


def _tell_span(numbers: range) -> str:
    if len(numbers) == 1:
        return str(numbers[0])
    return f"{numbers[0]} to {numbers[-1]}" + (f" by {numbers.step}" if numbers.step > 1 else "")


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return showable(", ".join(names[:_MOST_NAMED])) + more


def _s(count: int) -> str:
    return "s" if count != 1 else ""
