"""What is done to a recording: the choices that shape the numbers, and a name for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import xxhash

from .crop import Crop
from .errors import RecipeError, tell_error
from .mask import Mask, read_masks
from .params import HogParams
from .rounding import ALL_BITS
from .selection import Selection
from .timestamps import TimestampsFile, TimestampsSource

GREYS = ("rgb", "luma")

# The choices that there were at first. A run is named after them, and after those of the later ones that are not the
# usual: so it keeps the name that it always had.
_FIRST = frozenset({"hog", "crop", "with_images"})
# What shapes nothing that is stored of a frame, but what is said of the recording.
_WITHOUT_A_NAME = frozenset({"reference"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The choices that shape a run's results.

    Parameters
    ----------
    hog : HogParams, optional
        Parameters of the descriptors.
    crop : Crop, optional
        The part of each frame that is described; the whole frame if left out.
    with_images : bool, optional
        Whether HOG pictures are written to the store too.
    grey : {"rgb", "luma"}, optional
        ``"rgb"``: as the 2020 recipe makes it, through RGB. ``"luma"``: the recording's Y as it is stored, whatever its
        range is tagged as; more than 8 bits are scaled to 8 and keep their fractions.
    downsample : int, optional
        The grey levels of this many rows by this many columns of the crop are averaged into one pixel before anything
        else. Rows and columns that are left over at the lower and right edge are dropped.
    masks : tuple of Box or Polygon, optional
        What must have no say, in pixels of the whole frame: before the crop, and as rotated if it is.
    apply_rotation : bool, optional
        Whether frames are turned as the file asks players to; by default they are described as stored.
    frames : Selection, optional
        Which frames are described; all if left out.
    max_corrupt : float, optional
        The share of corrupt frames, 0 to 1, above which a recording is refused.
    keep_bits : int, optional
        Bits behind the first one of each histogram and descriptor that are stored, 1 to 23; 10 are those of a float16.
    stream : int, optional
        Number of the video stream in the container; the best one if left out.
    frame_rate : Fraction, optional
        Frames a second of a recording whose container does not time its frames.
    timestamps : TimestampsSource, optional
        Where each frame's own time is written beside the recording.
    reference : str, optional
        Path of the picture that says where the face should lie. It has no say in the numbers, nor in the name of a run.

    Raises
    ------
    ValueError
        If a value is not one of those allowed; the message names the field, the value and the choices.
    """

    hog: HogParams = field(default_factory=HogParams)
    crop: Crop | None = None
    with_images: bool = False
    grey: str = "rgb"
    downsample: int = 1
    masks: tuple[Mask, ...] = ()
    apply_rotation: bool = False
    frames: Selection = field(default_factory=Selection)
    max_corrupt: float = 0.05
    keep_bits: int = ALL_BITS
    stream: int | None = None
    frame_rate: Fraction | None = None
    timestamps: TimestampsSource | None = None
    reference: str | None = None

    def __post_init__(self) -> None:
        if self.grey not in GREYS:
            raise ValueError(f"grey must be one of {', '.join(GREYS)}, got {self.grey!r}")
        if not _is_whole(self.downsample) or self.downsample < 1:
            raise ValueError(f"downsample must be a whole number of at least 1, got {self.downsample!r}")
        if not isinstance(self.apply_rotation, bool):
            raise ValueError(f"apply_rotation must be true or false, got {self.apply_rotation!r}")
        if isinstance(self.max_corrupt, bool) or not isinstance(self.max_corrupt, int | float):
            raise ValueError(f"max_corrupt must be a share from 0 to 1, got {self.max_corrupt!r}")
        if not 0 <= self.max_corrupt <= 1:
            raise ValueError(f"max_corrupt must be a share from 0 to 1, got {self.max_corrupt!r}")
        object.__setattr__(self, "max_corrupt", float(self.max_corrupt))
        if not _is_whole(self.keep_bits) or not 1 <= self.keep_bits <= ALL_BITS:
            raise ValueError(f"keep_bits must be a whole number from 1 to {ALL_BITS}, got {self.keep_bits!r}")
        if self.stream is not None and (not _is_whole(self.stream) or self.stream < 0):
            raise ValueError(f"stream must be a whole number of at least 0, got {self.stream!r}")
        if self.frame_rate is not None and self.frame_rate <= 0:
            raise ValueError(f"frame_rate must be above 0, got {self.frame_rate}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Rebuild a recipe from `as_dict`, also of a version that knew fewer choices.

        Raises
        ------
        RecipeError
            If it cannot be read, or has choices that this version does not know: they may shape the numbers.
        """
        try:
            if unknown := [name for name in values if name not in cls.__slots__]:
                raise ValueError(f"it says {', '.join(sorted(unknown))}, which is not known")
            return cls._read(values)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise RecipeError(
                "the recipe",
                f"what a run was made with cannot be read: {tell_error(error)}",
                "If a newer facehog wrote it, use that one.",
            ) from error

    @classmethod
    def _read(cls, values: Mapping[str, Any]) -> Recipe:
        known: dict[str, Any] = {name: values[name] for name in cls.__slots__ if name in values}
        crop, rate, timestamps = known["crop"], known.get("frame_rate"), known.get("timestamps")
        return cls(
            **known
            | {
                "hog": HogParams(**known["hog"]),
                "crop": None if crop is None else Crop.from_sequence(crop),
                "masks": read_masks(known.get("masks", [])),
                "frames": Selection(**known.get("frames", {})),
                "frame_rate": None if rate is None else Fraction(rate),
                "timestamps": None if timestamps is None else TimestampsSource(**timestamps),
            }
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for JSON and for Prefect's parameters."""
        return {
            "hog": self.hog.as_dict(),
            "crop": None if self.crop is None else self.crop.as_list(),
            "with_images": self.with_images,
            "grey": self.grey,
            "downsample": self.downsample,
            "masks": [mask.as_dict() for mask in self.masks],
            "apply_rotation": self.apply_rotation,
            "frames": self.frames.as_dict(),
            "max_corrupt": self.max_corrupt,
            "keep_bits": self.keep_bits,
            "stream": self.stream,
            "frame_rate": None if self.frame_rate is None else str(self.frame_rate),
            "timestamps": None if self.timestamps is None else self.timestamps.as_dict(),
            "reference": self.reference,
        }

    @property
    def unusual(self) -> dict[str, Any]:
        """The choices beside HOG and crop that are not the usual ones, as they are shown."""
        usual = Recipe()
        shown: dict[str, Any] = {"masks": [mask.as_dict() for mask in self.masks]}
        if self.timestamps:
            shown["timestamps"] = self.timestamps.as_dict()
        return {
            name: shown.get(name, getattr(self, name))
            for name in self.__slots__
            if name not in _FIRST and getattr(self, name) != getattr(usual, name)
        }

    def turned_shape(self, width: int, height: int, rotation: int = 0) -> tuple[int, int]:
        """Return the size (row, col) of a whole frame of this size in pixels, turned if it is to be."""
        return (width, height) if self.apply_rotation and rotation % 180 else (height, width)

    def frame_shape(self, width: int, height: int, rotation: int = 0) -> tuple[int, int]:
        """Return the size (row, col) of what is described of a frame of this size in pixels.

        `rotation` is the one that the file asks for, in degrees.
        """
        n_rows, n_cols = self.crop.shape if self.crop else self.turned_shape(width, height, rotation)
        return n_rows // self.downsample, n_cols // self.downsample

    @property
    def digest(self) -> str:
        """A name of 16 hexadecimal digits that two recipes share only if they are the same."""
        told, usual = self.as_dict(), Recipe().as_dict()
        named = told.keys() - _WITHOUT_A_NAME
        told = {name: told[name] for name in named if name in _FIRST or told[name] != usual[name]}
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return xxhash.xxh3_64_hexdigest(text.encode())


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_run_of(run_id: str, recipe: Recipe) -> bool:
    """Say whether a run, by its name, is one of this recipe."""
    return run_id.endswith(f"-{recipe.digest[:8]}")


def name_run(source_digest: str, recipe: Recipe, timestamps: TimestampsFile | None = None) -> str:
    """Name the run of a recipe on a recording's content.

    The name follows from what is read alone: whoever starts a run that was stopped finds what it left, and whoever
    starts one when the timestamps have come, or were mended, does not find the one that was made without them.

    Parameters
    ----------
    source_digest : str
        Digest of the recording's content.
    recipe : Recipe
        What is done to it.
    timestamps : TimestampsFile, optional
        What was found of the timestamps that the recipe names.

    Returns
    -------
    str
        12 digits of the source's digest, a dash, 8 of the recipe's. With timestamps the source is both files.
    """
    if timestamps is not None:
        source_digest = xxhash.xxh3_128_hexdigest(f"{source_digest} {timestamps.digest}".encode())
    return f"{source_digest[:12]}-{recipe.digest[:8]}"
