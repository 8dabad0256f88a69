"""HOG descriptors of a mouse's face: exact reading, the descriptors, the store and the catalogue.

Nothing here knows Prefect, Dask's cluster or watchdog: a notebook can use all of it.
"""

from .catalogue import Catalogue
from .crop import Crop
from .errors import FacehogError
from .hog import HogParams, compute_hog
from .reader import RecordingReader
from .recipe import Recipe
from .session import open_session
from .video import FrameIndex, VideoInfo, probe

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
