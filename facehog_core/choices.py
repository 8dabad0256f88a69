"""What a user may choose for each recording: the keys of an inbox, and of the file beside a recording.

``m12_cam0.facehog.toml`` beside ``m12_cam0.mp4`` sets keys for that recording alone, and wins over its inbox.
"""

from __future__ import annotations

import errno
import json
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any

from .crop import Crop
from .disk import lies_with_the_file
from .errors import ConfigError
from .intake import SIDECARS, is_temporary_name
from .manifest import MANIFEST_KEYS, Manifest
from .mask import MUST_BE, read_masks
from .names import IDENTITY_KEYS, Identity, NamePattern
from .path_text import showable
from .recipe import GREYS, Recipe
from .rounding import ALL_BITS
from .selection import Selection
from .source import name_recording
from .timestamps import UNITS, TimestampsSource, leaves_folder

#: The keys, and what completes the sentence "<key> must be ...".
CHOICES = {
    "crop": "[x, y, width, height] in whole pixels, x and y from 0 on, width and height from 1 on",
    "grey": f"one of {', '.join(map(repr, GREYS))}",
    "downsample": "a whole number from 1 on",
    "masks": MUST_BE,
    "apply_rotation": "true or false",
    "frames": "[first, after the last] or [first], whole numbers from 0 on",
    "seconds": "[from, before] or [from], in seconds, and not beside `frames`",
    "every": "a whole number from 1 on",
    "max_corrupt": "a share from 0 to 1, such as 0.05 for 5 %",
    "keep_bits": f"a whole number from 1 to {ALL_BITS}",
    "stream": "a whole number from 0 on, as `facehog probe` names it",
    "frame_rate": "a number of frames a second above 0, such as 30 or '30000/1001'",
    "timestamps": "a table such as { file = '{stem}_timestamps.csv', column = 'time', unit = 'ms' }: file a path "
    f"from the recording's folder, column a name or a number from 1 on, unit one of {', '.join(UNITS)}",
}

# Far more than all choices take.
_MOST_BYTES = 10**6
# No file can have this name.
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
# What no database takes as text: NUL, and half of a character of UTF-16, as JSON may name it.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
# Without exponents: the exact value of 1e999999999 takes all the memory that there is.
_RATE = re.compile(r"\d{1,9}(\.\d{0,20}|/\d{1,9})?", re.ASCII)


def read_rate(value: Any) -> Fraction:
    """Read a frame rate: a number, or a text such as ``30000/1001``.

    Raises
    ------
    ValueError
        If it is none.
    """
    text = str(value).strip()
    if not _RATE.fullmatch(text):
        raise ValueError(f"frame_rate must be a number such as 30 or 30000/1001, got {text[:40]!r}")
    try:
        return Fraction(text)
    except ZeroDivisionError as error:
        raise ValueError(f"frame_rate must not be divided by 0, got {text!r}") from error


def choose(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return a recipe with some of its choices made anew.

    Parameters
    ----------
    recipe : Recipe
        What holds where nothing is chosen.
    values : mapping
        By the keys of `CHOICES`, as TOML has them.

    Raises
    ------
    ValueError
        If a value is wrong.
    """
    changes = {name: value for name, value in values.items() if name not in ("frames", "seconds", "every")}
    try:
        if "crop" in values:
            changes["crop"] = Crop.from_sequence(values["crop"])
        if "masks" in values:
            changes["masks"] = read_masks(values["masks"])
        if "frame_rate" in values:
            changes["frame_rate"] = read_rate(values["frame_rate"])
        if "timestamps" in values:
            changes["timestamps"] = TimestampsSource(**values["timestamps"])
        return replace(recipe, frames=_choose_frames(recipe.frames, values), **changes)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _choose_frames(frames: Selection, values: Mapping[str, Any]) -> Selection:
    step = values.get("every", frames.step)
    match values:
        case {"frames": _, "seconds": _}:
            raise ValueError("frames and seconds are both given")
        case {"frames": [start] | [start, _] as span}:
            return Selection(start=start, stop=span[1] if len(span) > 1 else None, step=step)
        case {"seconds": [start_s] | [start_s, _] as span}:
            return Selection(start_s=start_s, stop_s=span[1] if len(span) > 1 else None, step=step)
        case {"frames": value} | {"seconds": value}:
            raise ValueError(f"a range must be one or two numbers, got {value!r}")
        case _:
            return replace(frames, step=step)


def sidecars_of(path: Path) -> list[Path]:
    """Return where a recording's own choices may be: ``m12.mp4.facehog.toml`` comes before ``m12.facehog.toml``.

    The first is for ``m12.mp4`` alone, the second for ``m12.mkv`` beside it too.
    """
    names = dict.fromkeys((path.name, name_recording(path)))
    return [path.with_name(f"{name}{suffix}") for name in names for suffix in SIDECARS]


def find_sidecar(path: Path) -> Path:
    """Return where a recording's own choices are, or would be if it had any.

    Raises
    ------
    OSError
        If the disk or share fails.
    """
    found = sidecars_of(path)
    return next(filter(_is_there, found), found[-len(SIDECARS)])


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        if error.errno in _NO_FILE:
            return False
        if not lies_with_the_file(error):
            raise
    return True


def find_orphans(root: Path, recordings: Iterable[Path]) -> list[Path]:
    """Return the files under a folder that are named like a recording's own choices, but are none's."""
    sidecars = {path for path in root.rglob("*") if path.name.lower().endswith(SIDECARS)}
    claimed = {sidecar for path in recordings for sidecar in sidecars_of(path)}
    return sorted(path for path in sidecars - claimed if not is_temporary_name(path.name))


def choose_by_sidecar(recipe: Recipe, path: Path) -> Recipe:
    """Return the recipe of one recording: with what the file beside it chooses, if there is one.

    Parameters
    ----------
    recipe : Recipe
        What holds where that file chooses nothing.
    path : Path
        The recording.

    Raises
    ------
    ConfigError
        If the file cannot be read, a key is unknown or a value wrong: key, value and choices are named.
    OSError
        If the disk or share fails.
    """
    sidecar = find_sidecar(path)
    values = _read(sidecar)
    known = CHOICES | IDENTITY_KEYS | MANIFEST_KEYS
    for name, value in values.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise ConfigError(sidecar, f"unknown key {name}", f"{hint}Choose from {', '.join(known)}.")
        try:
            # What is of the one is of no meaning to the other.
            choose(Recipe(), {name: value} if name in CHOICES else {})
            Identity.from_dict({name: value})
            Manifest.from_dict({name: value})
        except ValueError as error:
            raise ConfigError(sidecar, f"{name} = {value!r} is wrong", f"It must be {known[name]}.") from error
    try:
        chosen = choose(recipe, {name: value for name, value in values.items() if name in CHOICES})
    except ValueError as error:
        # Each value is right in itself.
        raise ConfigError(sidecar, str(error), "Take one of the two keys out.") from error
    if "timestamps" in values and chosen.timestamps and leaves_folder(chosen.timestamps.file):
        # Whoever may write into an inbox may not read by facehog's hand what else its user may read.
        fact = f"timestamps = {chosen.timestamps.file!r} lies outside of the recording's folder"
        raise ConfigError(sidecar, fact, "Put it beside the recording or below, or set it in facehog.toml.")
    return chosen


def identify(path: Path, known: Identity | None = None, pattern: NamePattern | None = None) -> Identity:
    """Say who was recorded and when: by the file beside a recording, and where that says nothing by its name.

    Parameters
    ----------
    path : Path
        The recording.
    known : Identity, optional
        What holds if the file beside it cannot be read; what its name says, if left out.
    pattern : NamePattern, optional
        How names say it; the default pattern if left out.
    """
    by_name = (pattern or NamePattern()).read(showable(name_recording(path)))
    try:
        return Identity.from_dict(by_name.as_dict() | _read(find_sidecar(path)))
    except (ConfigError, ValueError, OSError):
        # Is said when the recording is asked for, and keeps it from being processed.
        return known or by_name


def read_manifest(path: Path) -> Manifest:
    """Read what the file beside a recording says that it must be; nothing, if there is none.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a value is wrong.
    OSError
        If the disk or share fails.
    """
    sidecar = find_sidecar(path)
    try:
        return Manifest.from_dict(_read(sidecar))
    except ValueError as error:
        raise ConfigError(sidecar, str(error), "Mend it, or take the key out.") from error


def _read(sidecar: Path) -> dict[str, Any]:
    kind = "JSON" if sidecar.name.lower().endswith(".json") else "TOML"
    try:
        status = sidecar.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            raise ConfigError(sidecar, "it cannot be read: it is no short file", "Mend it, or remove it.")
        # Notepad begins a file with a mark of its own.
        text = sidecar.read_text("utf-8-sig")
        values = json.loads(text) if kind == "JSON" else tomllib.loads(text)
        _check_text(sidecar, values)
    except (ValueError, RecursionError) as error:
        # No UTF-8 and no TOML, but also numbers of thousands of digits, and thousands of brackets.
        raise ConfigError(sidecar, f"this is not {kind}: {error}", "Mend the line that is named.") from error
    except OSError as error:
        if error.errno in _NO_FILE:
            return {}
        if not lies_with_the_file(error):
            raise
        raise ConfigError(sidecar, f"it cannot be read: {error.strerror}", "Check the file and its rights.") from error
    if not isinstance(values, dict):
        raise ConfigError(sidecar, "it holds no keys", 'Write it as {"every": 10}.')
    return values


def _check_text(sidecar: Path, value: object) -> None:
    match value:
        case str() if found := _NO_TEXT.search(value):
            fact = f"a text in it holds {found[0]!r}, which is no character"
            raise ConfigError(sidecar, fact, "Write that text anew.")
        case dict():
            for name, part in value.items():
                _check_text(sidecar, name)
                _check_text(sidecar, part)
        case list():
            for part in value:
                _check_text(sidecar, part)
