"""A run as Parquet: one row a frame, descriptors and histograms as lists of fixed length.

Not one column a value: a few thousand columns in each of many row groups make a footer that is larger than the data.
Not one row a value either: nobody wants thousands of rows a frame.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from .exporting import Export, name_values, need

# Of float32, a fast one: as small as the slow ones, but for a few per cent.
_CODEC, _LEVEL = "zstd", 1


def write(export: Export) -> list[str]:
    """Write it, a row group for each block of frames; the schema's metadata name the values and hold the provenance."""
    arrow, parquet = need("pyarrow"), need("pyarrow.parquet")
    schema = _make_schema(export, arrow)
    with parquet.ParquetWriter(export.path, schema, compression=_CODEC, compression_level=_LEVEL) as writer:
        for block in export.rows():
            columns = [_make_column(arrow, values) for values in block.values()]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))
    return []


def _make_schema(export: Export, arrow: Any) -> Any:
    run = export.run
    fields = [arrow.field(name, arrow.from_numpy_dtype(run.dtype(name))) for name in run.columns]
    for name in export.arrays:
        n_values = int(np.prod(run.shape(name)[1:]))
        about = {"shape": json.dumps(run.shape(name)[1:]), "values": json.dumps(name_values(run, name))}
        fields.append(arrow.field(name, arrow.list_(arrow.float32(), n_values), metadata=about))
    return arrow.schema(fields, metadata={"facehog": export.provenance})


def _make_column(arrow: Any, values: Any) -> Any:
    if values.ndim == 1:
        return arrow.array(values)
    return arrow.FixedSizeListArray.from_arrays(values.ravel(), int(np.prod(values.shape[1:])))
