"""What whoever uses a run's results must know, in sentences: collected when it is planned and when it is sealed.

A run with warnings is finished all the same. Each is a sentence of its own that names numbers and places.
"""

from __future__ import annotations

from collections.abc import Iterable

from .receipts import ShardReceipt, tell_damage
from .timing import Times
from .video import VideoInfo


def warn_of_plan(info: VideoInfo, times: Times) -> list[str]:
    """Collect what is known before a frame is decoded.

    Parameters
    ----------
    info : VideoInfo
    times : Times
        When the frames were taken.

    Returns
    -------
    list of str
    """
    return [*info.remarks, *_warn_of_end(info), *times.warnings]


def _warn_of_end(info: VideoInfo) -> list[str]:
    if info.completeness != "incomplete":
        return []
    share = "" if info.missing_share is None else f" (about {100 * info.missing_share:.2g} % is missing)"
    return [f"It is not whole: {info.completeness_fact}{share}."]


def warn_of_results(receipts: Iterable[ShardReceipt]) -> list[str]:
    """Collect what is known once all frames are described.

    Parameters
    ----------
    receipts : iterable of ShardReceipt
        Of all shards.

    Returns
    -------
    list of str
    """
    damage = tell_damage(receipts)
    return [f"{damage}."] if damage else []
