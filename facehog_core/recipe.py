"""What is done to a recording: the choices that shape the numbers, and a name for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import xxhash

from .crop import Crop
from .hog import HogParams
from .timestamps import TimestampsFile, TimestampsSource

# The choices that there were at first. A run is named after them, and after those of the later ones that are not the
# usual: so it keeps the name that it always had.
_FIRST = frozenset({"hog", "crop", "with_images"})


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
    max_corrupt : float, optional
        The share of corrupt frames, 0 to 1, above which a recording is refused.
    frame_rate : Fraction, optional
        Frames a second of a recording whose container does not time its frames.
    timestamps : TimestampsSource, optional
        Where each frame's own time is written beside the recording.
    """

    hog: HogParams = field(default_factory=HogParams)
    crop: Crop | None = None
    with_images: bool = False
    max_corrupt: float = 0.05
    frame_rate: Fraction | None = None
    timestamps: TimestampsSource | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.max_corrupt <= 1:
            raise ValueError(f"max_corrupt must be a share from 0 to 1, got {self.max_corrupt!r}")
        if self.frame_rate is not None and self.frame_rate <= 0:
            raise ValueError(f"frame_rate must be above 0, got {self.frame_rate}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Rebuild a recipe from `as_dict`."""
        crop, rate, timestamps = values["crop"], values.get("frame_rate"), values.get("timestamps")
        return cls(
            hog=HogParams(**values["hog"]),
            crop=None if crop is None else Crop.from_sequence(crop),
            with_images=values["with_images"],
            max_corrupt=values.get("max_corrupt", 0.05),
            frame_rate=None if rate is None else Fraction(rate),
            timestamps=None if timestamps is None else TimestampsSource(**timestamps),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for JSON and for Prefect's parameters."""
        return {
            "hog": self.hog.as_dict(),
            "crop": None if self.crop is None else self.crop.as_list(),
            "with_images": self.with_images,
            "max_corrupt": self.max_corrupt,
            "frame_rate": None if self.frame_rate is None else str(self.frame_rate),
            "timestamps": None if self.timestamps is None else self.timestamps.as_dict(),
        }

    def frame_shape(self, width: int, height: int) -> tuple[int, int]:
        """Return the size (row, col) of what is described of a frame of this size in pixels."""
        return self.crop.shape if self.crop else (height, width)

    @property
    def digest(self) -> str:
        """A name of 16 hexadecimal digits that two recipes share only if they are the same."""
        told, usual = self.as_dict(), Recipe().as_dict()
        told = {name: value for name, value in told.items() if name in _FIRST or value != usual[name]}
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return xxhash.xxh3_64_hexdigest(text.encode())


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
