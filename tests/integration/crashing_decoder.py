"""Loaded into a Dask worker before it works: a decoder that crashes on recordings of a certain name."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import facehog_core.extract
import facehog_core.starts
import facehog_core.video


# Closures, since Dask loads this twice: what is wrapped must not be looked up by a name of this module.
def _crashing_decoder(iter_frames: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    def iter_or_crash(info: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
        for decoded in iter_frames(info, *arguments, **options):
            if "crashes-the-decoder" in info.path and decoded.index == 3:
                ctypes.string_at(0)  # at once, unlike a signal
            yield decoded

    return iter_or_crash


def _crashing_probe(probe: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def probe_or_crash(path: Any, stream: Any) -> Any:
        if "crashes-the-probe" in str(path):
            ctypes.string_at(0)  # at once, unlike a signal
        return probe(path, stream)

    return probe_or_crash


facehog_core.extract.iter_frames = _crashing_decoder(facehog_core.extract.iter_frames)
facehog_core.video.probe = _crashing_probe(facehog_core.video.probe)
# A worker takes seconds to come back.
facehog_core.starts.MOST_STARTS = 2
