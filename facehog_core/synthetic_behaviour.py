"""How a head-fixed mouse's face moves over time: what `synthetic.MouseFace` acts out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator

from .synthetic_portrait import WHISKER_PAD, Floats


class Part(NamedTuple):
    """A part of the face that moves as one: a Gaussian of influence, in face units."""

    x: float
    y: float
    reach: float


PARTS: Final = {
    "nose": Part(0.110, 0.485, 0.050),
    "pad": Part(WHISKER_PAD.x, WHISKER_PAD.y, 0.065),
    "jaw": Part(0.260, 0.650, 0.060),
    "ear": Part(0.940, 0.280, 0.080),
    "chest": Part(0.950, 0.800, 0.220),
}
_WHISKING_HZ: Final = 7  # mice whisk at 5 to 9 Hz while they explore
_BREATHING_HZ: Final = 2.5
_BLINK_S: Final = 0.2
_MEAN_S_BETWEEN_BLINKS: Final = 4.0


@dataclass(frozen=True, eq=False)
class Behaviour:
    """What the face does, frame by frame; lengths in face units."""

    whisking: Floats  # (n_frames,), -1 drawn back to 1 stretched forward
    shifts: Floats  # (n_frames, part, x and y)
    eye_closed: Floats  # (n_frames,), 0 to 1
    pupil: Floats  # (n_frames,), radius as a share of the eye's
    light: Floats  # (n_frames,), the lamp's strength, around 1


def _wander(rng: Generator, n_frames: int, memory: float, spread: float) -> Floats:
    """Return an Ornstein-Uhlenbeck track of `n_frames` frames: `memory` in frames, `spread` its standard deviation."""
    keep = math.exp(-1 / memory)
    steps = rng.standard_normal(n_frames) * spread * math.sqrt(1 - keep * keep)
    return np.fromiter(accumulate(steps, lambda place, step: keep * place + step), float, n_frames)


def behave(n_frames: int, rate: float, rng: Generator) -> Behaviour:
    """Let a mouse behave for `n_frames` frames at `rate` frames a second."""

    def wander(memory_s: float, spread: float) -> Floats:
        return _wander(rng, n_frames, memory_s * rate, spread)

    activity = 1 / (1 + np.exp(-4 * wander(2.5, 1.0)))  # bouts, seconds long
    cycles = np.cumsum(_WHISKING_HZ + wander(1.0, 1.0)) / rate
    whisking = activity * np.sin(2 * np.pi * cycles)
    breath = np.sin(2 * np.pi * _BREATHING_HZ * np.arange(n_frames) / rate)
    still = np.zeros(n_frames)
    tracks = {
        "nose": (0.003 * whisking + wander(0.08, 0.0015), wander(0.08, 0.003) * (0.3 + activity)),
        "pad": (0.005 * whisking, wander(0.10, 0.0015)),
        "jaw": (still, np.maximum(0, wander(0.12, 0.006)) * activity),
        "ear": (wander(0.6, 0.004), wander(0.6, 0.004)),
        "chest": (wander(0.5, 0.003) * activity, 0.003 * breath),
    }
    return Behaviour(
        whisking=whisking,
        shifts=np.stack([np.stack(tracks[part], axis=-1) for part in PARTS], axis=1),
        eye_closed=_blink(n_frames, rate, rng),
        pupil=np.clip(0.45 + wander(3.0, 0.08), 0.2, 0.8),
        light=1 + wander(20.0, 0.01),
    )


def _blink(n_frames: int, rate: float, rng: Generator) -> Floats:
    """Return how far the eye is closed in each frame."""
    closed = np.zeros(n_frames)
    n_blink = max(3, round(_BLINK_S * rate))
    shape = np.minimum(1, 1.3 * np.sin(np.linspace(0, np.pi, n_blink)))
    start = 0
    while (start := start + n_blink + int(rng.exponential(_MEAN_S_BETWEEN_BLINKS * rate))) < n_frames:
        closed[start : start + n_blink] = shape[: n_frames - start]
    return closed
