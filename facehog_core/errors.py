"""What can go wrong, each said once in words: what happened, to which file, and what to do."""

from __future__ import annotations

import os
from pathlib import PurePath

from .path_text import printable, showable


def tell_error(error: Exception) -> str:
    """Say what Python says of values that are not as they should be."""
    # Of a key that is missing it says the key alone.
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


class FacehogError(Exception):
    """An error that a user can read and act on.

    Parameters
    ----------
    path : str or path-like
        The file, folder or key that it is about.
    fact : str
        What happened, without a full stop at the end.
    remedy : str
        What to do about it: a sentence.
    """

    # All parts go to Exception by position: an exception with keyword-only parts cannot be unpickled
    # from a Dask worker and would turn into a TypeError.
    def __init__(self, path: str | os.PathLike[str], fact: str, remedy: str) -> None:
        super().__init__(os.fspath(path), fact, remedy)

    @property
    def path(self) -> str:
        """The file, folder or key that the error is about."""
        return str(self.args[0])

    @property
    def fact(self) -> str:
        """What happened."""
        return showable(str(self.args[1]))

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return str(self.args[2])

    def __str__(self) -> str:
        return f"{printable(showable(PurePath(self.path).name or self.path))}: {self.fact}. {self.remedy}"


class RecordingRefusedError(FacehogError):
    """The recording cannot be processed for what it is; trying again does not help."""


class UnreadableError(RecordingRefusedError):
    """The file is no video that FFmpeg can open, or its index is missing."""


class EmptyFileError(RecordingRefusedError):
    """The file has no bytes, or its video stream has no frame."""


class NoVideoError(RecordingRefusedError):
    """The file holds no video stream."""


class NotH264Error(RecordingRefusedError):
    """The video stream is not coded in H264."""


class TruncatedError(RecordingRefusedError):
    """The file ends before its header says it does."""


class DamagedError(RecordingRefusedError):
    """More frames than may be are damaged, or one that is asked for cannot be decoded."""


class BeyondLimitsError(RecordingRefusedError):
    """The file claims more than it can hold, or than any H264 recording has."""


class SequenceError(RecordingRefusedError):
    """The images of a folder are not one recording: several sequences or sizes, or pixels that are no frame's."""


class CrashError(RecordingRefusedError):
    """Reading or decoding it ended the worker's process, time after time."""


class CropError(RecordingRefusedError):
    """The crop reaches outside of the frame, or cannot hold one block."""


class ViewError(RecordingRefusedError):
    """What is to be described of its frames cannot be had: masks, rotation, range of frames, grey."""


class TimestampsError(RecordingRefusedError):
    """The timestamps beside the recording cannot be read."""


class ManifestError(RecordingRefusedError):
    """The recording is not what the file beside it says: its size, frames or content.

    Parameters
    ----------
    path : str or path-like
    fact, remedy : str
    claim : str, optional
        What that file says: ``size_bytes = 1048576``.
    """

    def __init__(self, path: str | os.PathLike[str], fact: str, remedy: str, claim: str = "") -> None:
        super().__init__(path, fact, remedy)
        self.args = (*self.args, claim)

    @property
    def claim(self) -> str:
        """What the file beside the recording says."""
        return str(self.args[3])


class ChangedError(FacehogError):
    """The recording changed while it was being read."""


class ConfigError(FacehogError):
    """A wrong or unknown key in the configuration, or a wrong use of a command."""


class FilterError(ConfigError):
    """A filter of the catalogue cannot be read.

    Parameters
    ----------
    path : str
        The filter.
    fact, remedy : str
    at : int, optional
        The place in it.
    """

    def __init__(self, path: str, fact: str, remedy: str, at: int = 0) -> None:
        super().__init__(path, fact, remedy)
        self.args = (*self.args, at)

    def __str__(self) -> str:
        shown = "".join(char if char.isprintable() else " " for char in self.path)
        return f"{self.fact}. {self.remedy}\n  {shown}\n  {' ' * self.args[3]}^"


class StoreError(FacehogError):
    """A store is missing, half made, or not what its attributes say."""


class StoreGoneError(StoreError):
    """The store in progress was removed: its run has ended, and what still works for it may stop."""


class DiskFullError(StoreError):
    """There is no space for the store."""


class RecipeError(FacehogError, ValueError):
    """What a run was made with cannot be read: a newer facehog wrote it, or somebody else."""


class ExportError(FacehogError):
    """A run cannot be exported: a library is missing, a file is in the way, or the form cannot hold it."""


class CatalogueError(FacehogError):
    """The catalogue cannot be opened, or does not know what is asked for."""


class NoCatalogueError(CatalogueError):
    """There is no catalogue yet."""


class ServiceError(FacehogError):
    """A server or process that facehog needs does not run or does not answer."""


class SilentShareError(FacehogError):
    """The disk or share on which the recording lies does not answer."""
