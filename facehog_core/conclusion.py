"""What is said of a run once all of its frames are described: it goes into the attributes of its store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .provenance import join_software, tell_other_software
from .quality import sum_up, warn_of_quality
from .receipts import ShardReceipt
from .recipe import Recipe
from .rounding import join_errors, tell_rounding
from .warning import warn_of_results


def conclude(receipts: Sequence[ShardReceipt], told: Mapping[str, Any]) -> dict[str, Any]:
    """Draw from the receipts of all shards what holds for the whole run.

    Parameters
    ----------
    receipts : sequence of ShardReceipt
        In order.
    told : mapping
        What the store says of itself already.

    Returns
    -------
    dict
        Attributes. The `warnings` are those that follow from the receipts alone.
    """
    recipe = Recipe.from_dict(told["recipe"])
    quality = sum_up(look for receipt in receipts for look in receipt.looks)
    if quality and "reference" in told:
        quality["reference"] = told["reference"]
    software = join_software(receipt.software for receipt in receipts)
    rounding = join_errors(receipt.rounding for receipt in receipts)
    return {
        "warnings": [
            *warn_of_results(receipts, told["source"]["container"]),
            *([tell_rounding(rounding, recipe.keep_bits)] if rounding else []),
            *warn_of_quality(quality, recipe.downsample * min(recipe.hog.pixels_per_cell) / 2),
            *tell_other_software(told.get("software", {}), software),
        ],
        "quality": quality,
        # `software` stays what the run was planned by: whoever goes on with it must have the same.
        "worker_software": software,
        "rounding": {name: {"largest": error.largest, "rms": error.rms} for name, error in rounding.items()},
        "shards": [receipt.as_sealed() for receipt in receipts],
    }
