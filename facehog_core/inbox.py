"""An inbox: where recordings land, and what is done to them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from .choices import choose_by_sidecar, find_sidecar
from .crop import Crop
from .errors import ConfigError, FacehogError
from .names import NamePattern
from .recipe import Recipe
from .source import name_recording
from .timestamps import is_pattern

log = logging.getLogger(__name__)

FLAG_MUST_BE = "a file name with {stem} or {name} in it, such as '{stem}.done'"


def check_flag(text: str) -> str:
    """Check the name of the file that says that a recording is ready.

    Raises
    ------
    ValueError
        If it is a path, or names none of a recording.
    """
    if not is_pattern(text) or text == text.format(stem="", name="") or any(sign in text for sign in "/\\\0"):
        raise ValueError(f"ready must be {FLAG_MUST_BE}, got {text!r}")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """A folder in which recordings land, and what is done to them.

    Parameters
    ----------
    path : Path
    patterns : sequence of str
        Names of recordings, such as ``*.mp4``.
    settle_s : float
        How long a file must stand still before it is taken up, in seconds.
    recipe : Recipe
        What is done to a recording of which nothing else is said.
    crops : sequence of (str, Crop), optional
        Names of recordings, such as ``*m12*``, and the crop of those: the first that matches counts.
    depth : int, optional
        Levels of sub-folders that are searched; all if left out.
    priority : int, optional
        Of two recordings that wait, the one of the inbox with the higher number comes first.
    ready : str, optional
        Name of the file that lies beside a recording once it may be taken up, such as ``{stem}.done``; ``{stem}``
        stands for the recording's name without its suffix, ``{name}`` for all of it.
    name_pattern : NamePattern, optional
        How names of recordings say who was recorded and when.

    Raises
    ------
    ValueError
        If `ready` is no such name.
    """

    path: Path
    patterns: Sequence[str]
    settle_s: float
    recipe: Recipe
    crops: Sequence[tuple[str, Crop]] = ()
    depth: int | None = None
    priority: int = 0
    ready: str | None = None
    name_pattern: NamePattern = field(default_factory=NamePattern)

    def __post_init__(self) -> None:
        if self.ready is not None:
            check_flag(self.ready)

    def flag_of(self, path: Path) -> Path | None:
        """Return what must lie beside a recording before it is taken up; None if nothing must."""
        if self.ready is None:
            return None
        return path.parent / self.ready.format(stem=name_recording(path), name=path.name)

    def recipe_by_name(self, path: Path) -> Recipe:
        """Return what is done to one recording where no file beside it says anything."""
        name = path.name.lower()
        matching = (crop for pattern, crop in self.crops if fnmatchcase(name, pattern.lower()))
        return replace(self.recipe, crop=next(matching, self.recipe.crop))

    def recipe_for(self, path: Path) -> Recipe:
        """Return what is done to one recording: by its name, and by the file beside it.

        Raises
        ------
        ConfigError
            If the file beside it is wrong, or holds what nobody thought of: that is this recording's fate alone.
        OSError
            If the disk or share fails.
        """
        try:
            return choose_by_sidecar(self.recipe_by_name(path), path)
        except (FacehogError, OSError):
            raise
        except Exception as error:
            log.debug("%s: what is to be done to it cannot be read", path, exc_info=True)
            raise ConfigError(
                find_sidecar(path), f"{type(error).__name__}: {error}", "Mend it, or remove it."
            ) from error
