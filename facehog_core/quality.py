"""How good the frames of a recording are: brightness, focus, and where the face lies.

Every so many of the frames that are described are looked at, by their places among them: so the figures are the same
however the recording is cut into chunks. They are of the grey crop in whole levels from 0 to 255; pixels under a mask
have no say in them, and corrupt frames are left out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: The first of the frames that are described is looked at, and every so many-th after it: at 100, all of this takes far
#: less than a hundredth of the time of decoding.
EVERY = 100
#: What is measured of each frame that is looked at, but for the face's position.
MEASURED = ("brightness", "saturated", "focus")
# A picture that, moved back, is less like the reference does not show the same face: then its shift says nothing.
LEAST_LIKENESS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLook:
    """What is seen of one frame.

    Parameters
    ----------
    frame : int
        Its number in the recording.
    brightness : float
        Mean grey level, 0 to 255.
    saturated : float
        Share of pixels that are white, 0 to 1.
    focus : float
        Variance of the Laplacian: `facehog_core.looking.measure_focus`.
    shift : tuple of float, optional
        Rows and columns that the face lies from where the reference has it, in pixels of the recording; None without
        a reference.
    likeness : float, optional
        How like the reference it is: `facehog_core.face_position.Shift`.
    """

    frame: int
    brightness: float
    saturated: float
    focus: float
    shift: tuple[float, float] | None = None
    likeness: float | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FrameLook:
        """Rebuild it from JSON."""
        shift = values.get("shift")
        return cls(**{**values, "shift": None if shift is None else (float(shift[0]), float(shift[1]))})

    @property
    def moved(self) -> float | None:
        """Pixels that the face lies from where the reference has it; None where that cannot be told."""
        if self.shift is None or self.likeness is None or self.likeness < LEAST_LIKENESS:
            return None
        return math.hypot(*self.shift)


def is_looked_at(place: int) -> bool:
    """Say whether a frame is looked at, by its place among those that are described."""
    return place % EVERY == 0


def sum_up(looks: Iterable[FrameLook]) -> dict[str, Any]:
    """Make figures of what was seen: for each the median, the least and the most. Nothing seen, no figures."""
    seen = list(looks)
    if not seen:
        return {}
    figures: dict[str, Any] = {"every": EVERY, "n_frames": len(seen)}
    figures |= {name: _spread([getattr(look, name) for look in seen]) for name in MEASURED}
    shifts = [look.shift for look in seen if look.shift is not None]
    if not shifts:
        return figures
    alike = [(look.shift, look.moved) for look in seen if look.shift is not None and look.moved is not None]
    figures |= {
        "likeness": _spread([look.likeness for look in seen if look.likeness is not None]),
        "n_alike": len(alike),
    }
    # Of less than half of them it would be said of a recording what is true of a few frames.
    if 2 * len(alike) <= len(shifts):
        return figures
    shift = [statistics.median(part) for part in zip(*(shift for shift, _ in alike), strict=True)]
    return figures | {"shift": shift, "moved": _spread([round(moved, 2) for _, moved in alike])}


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def median_of(quality: Mapping[str, Any], name: str) -> float | None:
    """Return the median of a figure; None where there is none."""
    spread = quality.get(name)
    return None if spread is None else float(spread["median"])


def warn_of_quality(quality: Mapping[str, Any], half_cell_px: float) -> list[str]:
    """Say what whoever uses the results must know of the face's position.

    Parameters
    ----------
    quality : mapping
        As `sum_up` makes it.
    half_cell_px : float
        Half a cell, in pixels of the recording: a face that lies farther away is described by other features.
    """
    if "likeness" not in quality:
        return []
    moved = median_of(quality, "moved")
    if moved is None:
        fact = f"{quality['n_frames'] - quality['n_alike']} of {quality['n_frames']} frames"
        return [f"Where the face lies is not known: {fact} that were looked at do not look like the reference."]
    if moved <= half_cell_px:
        return []
    rows, cols = quality["shift"]
    places = f"{abs(cols):.0f} to the {'right' if cols > 0 else 'left'}, {abs(rows):.0f} {'down' if rows > 0 else 'up'}"
    return [
        f"The face lies {moved:.0f} pixels from where the reference has it ({places}): that is more than "
        f"half a cell ({half_cell_px:g}), so its features are not those of faces that lie there. Move the crop."
    ]
