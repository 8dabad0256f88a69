"""HOG descriptors of a mouse's face: exact reading, the descriptors, the store and the catalogue.

Nothing here knows Prefect, Dask's cluster or watchdog: a notebook can use all of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .catalogue import Catalogue
    from .crop import Crop
    from .errors import FacehogError
    from .hog import compute_hog
    from .params import HogParams
    from .reader import RecordingReader
    from .recipe import Recipe
    from .session import open_session
    from .video import FrameIndex, VideoInfo, probe

# Read when they are asked for: xarray, Numba and scikit-image take seconds to import, and most processes need none.
_HOMES = {
    "Catalogue": "catalogue",
    "Crop": "crop",
    "FacehogError": "errors",
    "FrameIndex": "video",
    "HogParams": "params",
    "Recipe": "recipe",
    "RecordingReader": "reader",
    "VideoInfo": "video",
    "compute_hog": "hog",
    "open_session": "session",
    "probe": "video",
}

__all__ = [
    "Catalogue",
    "Crop",
    "FacehogError",
    "FrameIndex",
    "HogParams",
    "Recipe",
    "RecordingReader",
    "VideoInfo",
    "compute_hog",
    "open_session",
    "probe",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
