"""What whoever uses a run's results must know, in sentences: collected when it is planned and when it is sealed.

A run with warnings is finished all the same. Each is a sentence of its own that names numbers and places.
"""

from __future__ import annotations

from collections.abc import Iterable

from .receipts import ShardReceipt, tell_damage
from .timing import Times
from .video import VideoInfo

# Containers whose frames are nowhere listed: where damage swallows some, the others close up.
_WITHOUT_LISTS = {"h264", "mpegts", "matroska,webm", "flv"}
_MAY_BE_SHIFTED = (
    "Its container does not list its frames: if some are gone without a trace, "
    "those behind them have lower numbers than they had."
)


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
    share = info.missing_share
    told = "nobody can know how much is missing" if share is None else f"about {100 * share:.2g} % is missing"
    return [f"It is not whole: {info.completeness_fact} ({told})."]


def warn_of_results(receipts: Iterable[ShardReceipt], container: str) -> list[str]:
    """Collect what is known once all frames are described.

    Parameters
    ----------
    receipts : iterable of ShardReceipt
        Of all shards.
    container : str
        FFmpeg's name of the recording's container.

    Returns
    -------
    list of str
    """
    damage = tell_damage(receipts)
    if not damage:
        return []
    return [f"{damage}.", *([_MAY_BE_SHIFTED] if container in _WITHOUT_LISTS else [])]
