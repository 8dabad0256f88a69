"""What is found in the catalogue, as a table of pandas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from .filter_values import FIELDS, Kind

# Types that know missing values: a column of whole numbers stays one where something is not known.
_TYPES = {
    Kind.COUNT: "Int64",
    Kind.SHARE: "Int64",
    Kind.SIZE: "Int64",
    Kind.SECONDS: "Float64",
    Kind.NUMBER: "Float64",
    Kind.PART: "Float64",
    Kind.DAY: "datetime64[s]",
    Kind.MOMENT: "datetime64[us, UTC]",
}


def make_frame(rows: Iterable[tuple[Any, ...]], columns: Sequence[str]) -> pd.DataFrame:
    """Make a table, with a type for each column that is the same whatever is in it."""
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pd.DataFrame(
        {
            name: pd.Series(list(column), dtype=_TYPES.get(FIELDS[name].kind, "string"))
            for name, column in zip(columns, values, strict=True)
        }
    )
