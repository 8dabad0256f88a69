"""Rectangles of pixels, and the one of them that is described of each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectangle:
    """A rectangle within a frame, in pixels from its upper left corner.

    Parameters
    ----------
    x, y : int
        Column and row of the upper left pixel.
    width, height : int
        Size in pixels.

    Raises
    ------
    ValueError
        If a value is no whole number, ``x`` or ``y`` is negative, or the rectangle is empty.
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        for name, least in (("x", 0), ("y", 0), ("width", 1), ("height", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                kind = type(self).__name__.lower()
                raise ValueError(f"{kind} {name} must be a whole number of at least {least}, got {value!r}")

    @property
    def window(self) -> tuple[slice, slice]:
        """The index that takes the rectangle out of a (row, col) frame."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def as_list(self) -> list[int]:
        """``[x, y, width, height]``, for JSON."""
        return [self.x, self.y, self.width, self.height]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop(Rectangle):
    """The part of each frame that is described."""

    @classmethod
    def from_sequence(cls, values: Sequence[int]) -> Crop:
        """Make a crop from ``(x, y, width, height)``, as the configuration writes it."""
        if len(values) != 4:
            raise ValueError(f"crop must be four numbers x, y, width, height, got {list(values)!r}")
        x, y, width, height = values
        return cls(x=x, y=y, width=width, height=height)

    @classmethod
    def parse(cls, text: str) -> Crop:
        """Make a crop from ``"X,Y,WIDTH,HEIGHT"``, as the command line writes it."""
        try:
            return cls.from_sequence([int(part) for part in text.split(",")])
        except ValueError as error:
            raise ValueError(f"crop must be X,Y,WIDTH,HEIGHT in pixels, got {text!r}: {error}") from error

    @property
    def shape(self) -> tuple[int, int]:
        """Size as (row, col)."""
        return self.height, self.width

    def fits(self, width: int, height: int) -> bool:
        """Say whether the crop lies within a frame of this size in pixels."""
        return self.x + self.width <= width and self.y + self.height <= height
