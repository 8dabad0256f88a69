"""What is chosen on the command line for one call, instead of what the configuration says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from facehog_core.choices import read_rate
from facehog_core.errors import ConfigError, CropError, FacehogError, ViewError
from facehog_core.recipe import Recipe
from facehog_core.timestamps import TimestampsSource

# What of a recipe may ask for what a recording does not have.
_REACHING = ("crop", "downsample", "grey", "apply_rotation", "frames")


def parse_frame_rate(text: str | None) -> Fraction | None:
    """Read ``--frame-rate``.

    Raises
    ------
    ConfigError
        If it is no rate.
    """
    if text is None:
        return None
    try:
        return Recipe(frame_rate=read_rate(text)).frame_rate
    except ValueError as error:
        fact = f"{text!r} is no number of frames a second"
        raise ConfigError("--frame-rate", fact, "Such as --frame-rate 30 or --frame-rate 30000/1001.") from error


def parse_timestamps(
    recording: Path, file: str | None, column: str | None, unit: str | None
) -> TimestampsSource | None:
    """Read ``--timestamps``, ``--column`` and ``--unit`` for a recording.

    Parameters
    ----------
    recording : Path
    file : str or None
        A file, or a pattern from the recording's folder.
    column, unit : str or None

    Raises
    ------
    ConfigError
        If they make no sense, or there is no such file: one that is named by hand is meant.
    """
    if file is None:
        if column or unit:
            raise ConfigError(
                "--timestamps", "no file is named", "Give --timestamps FILE, or `timestamps` of the inbox."
            )
        return None
    if Path(file).is_file():
        # By its text, as the recording: links are not followed.
        file = os.path.abspath(file)  # noqa: PTH100
        file = file.replace("{", "{{").replace("}", "}}")
    chosen = int(column) if column and column.isdecimal() else column
    try:
        source = TimestampsSource(file=file, column=chosen, unit=unit or "s")
    except ValueError as error:
        raise ConfigError("--timestamps", str(error), "Such as --timestamps times.csv --column 2 --unit ms.") from error
    if not (path := source.path_for(recording)).is_file():
        raise ConfigError("--timestamps", f"there is no file {path}", "Check the path.")
    return source


def check_reach(recording: Path, asked: Recipe, usual: Recipe) -> None:
    """Check that a recording has what options ask of it, before anything is noted of it.

    Parameters
    ----------
    recording : Path
    asked, usual : Recipe
        What is to be done to it with the options of the call, and without them.

    Raises
    ------
    ConfigError
        If an option asks for pixels or frames that it does not have. What is wrong with the recording itself, or with
        what else is chosen for it, is left to its run.
    """
    reaches = any(getattr(asked, name) != getattr(usual, name) for name in _REACHING)
    if reaches and (said := _find_refusal(recording, asked)):
        without = _find_refusal(recording, usual)
        if without is None or without.fact != said.fact:
            raise ConfigError(recording, said.fact, f"Change the options; nothing else was done. {said.remedy}")


def _find_refusal(recording: Path, recipe: Recipe) -> FacehogError | None:
    """Say why a recipe cannot be applied to a recording."""
    from facehog_core.extract import check_crop, choose_frames
    from facehog_core.timestamps import find_timestamps
    from facehog_core.timing import time_frames
    from facehog_core.video import probe

    with suppress(FacehogError, OSError):
        info, index = probe(recording, recipe.stream)
        times = time_frames(info, index, recipe, find_timestamps(recording, recipe.timestamps))
        try:
            check_crop(info, recipe)
            choose_frames(info, times, recipe)
        except (CropError, ViewError) as error:
            return error
    return None


def check_shared_timestamps(sources: Mapping[Path, TimestampsSource]) -> None:
    """Check that no file would be joined with two recordings.

    Parameters
    ----------
    sources : mapping of Path to TimestampsSource
        The recordings, and where the timestamps of each are.

    Raises
    ------
    ConfigError
        If a file is named for two of them.
    """
    named: dict[Path, Path] = {}
    for recording, source in sources.items():
        file = source.path_for(recording)
        if (other := named.setdefault(file, recording)) != recording:
            raise ConfigError(
                "--timestamps",
                f"{file.name} is named for {other.name} and for {recording.name} too",
                "Name it by {stem} or {name}, such as {stem}_times.csv, or process them one by one.",
            )
