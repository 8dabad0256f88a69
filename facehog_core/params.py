"""How a frame is described: the parameters of histograms of oriented gradients. Values alone, nothing is computed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from numbers import Integral
from typing import Any

#: How a block is normalised, and what the kernel calls it.
BLOCK_NORMS = {"L1": 0, "L1-sqrt": 1, "L2": 2, "L2-Hys": 3}

#: One bin a degree. More is a slip of the pen: 8-bit gradients have no finer angles to offer.
MAX_ORIENTATIONS = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class HogParams:
    """How a frame is described; the defaults are those of Dolensek et al. [1]_ for a mouse's face.

    Parameters
    ----------
    orientations : int
        Number of bins between 0 and 180 degrees, at most 180.
    pixels_per_cell : (int, int)
        Size of a cell in pixels, (row, col).
    cells_per_block : (int, int)
        Size of a block in cells, (row, col). Blocks overlap: each cell starts one.
    block_norm : {"L1", "L1-sqrt", "L2", "L2-Hys"}
        How a block is normalised.
    transform_sqrt : bool
        Take the square root of the grey levels first, which lifts dark regions.

    Raises
    ------
    ValueError
        If a value is not one of those allowed; the message names the field, the value and the choices.

    References
    ----------
    .. [1] Dolensek et al. (2020), Science 368:89, doi:10.1126/science.aaz9468
    """

    orientations: int = 8
    pixels_per_cell: tuple[int, int] = (32, 32)
    cells_per_block: tuple[int, int] = (1, 1)
    block_norm: str = "L2-Hys"
    transform_sqrt: bool = True

    def __post_init__(self) -> None:
        if not (_is_count(self.orientations) and self.orientations <= MAX_ORIENTATIONS):
            raise ValueError(
                f"orientations must be a whole number from 1 to {MAX_ORIENTATIONS}, got {self.orientations!r}"
            )
        object.__setattr__(self, "orientations", int(self.orientations))
        for name in ("pixels_per_cell", "cells_per_block"):
            object.__setattr__(self, name, _as_pair(name, getattr(self, name)))
        if self.block_norm not in list(BLOCK_NORMS):  # Not by hash: it may be anything that a file holds.
            raise ValueError(f"block_norm must be one of {', '.join(BLOCK_NORMS)}, got {self.block_norm!r}")
        if not isinstance(self.transform_sqrt, bool):
            raise ValueError(f"transform_sqrt must be true or false, got {self.transform_sqrt!r}")

    def n_cells(self, frame_shape: tuple[int, int]) -> tuple[int, int]:
        """Count the whole cells, (row, col), in a frame of `frame_shape` (row, col) pixels."""
        (n_rows, n_cols), (cell_rows, cell_cols) = frame_shape, self.pixels_per_cell
        return n_rows // cell_rows, n_cols // cell_cols

    def n_blocks(self, frame_shape: tuple[int, int]) -> tuple[int, int]:
        """Count the blocks, (row, col), in a frame of `frame_shape` (row, col) pixels.

        Raises
        ------
        ValueError
            If not one block fits into the frame.
        """
        (cell_rows, cell_cols), (block_rows, block_cols) = self.pixels_per_cell, self.cells_per_block
        n_cell_rows, n_cell_cols = self.n_cells(frame_shape)
        if n_cell_rows < block_rows or n_cell_cols < block_cols:
            raise ValueError(
                f"a frame of {frame_shape[0]} x {frame_shape[1]} pixels (row x col) cannot hold one block; "
                f"it needs at least {block_rows * cell_rows} x {block_cols * cell_cols}"
            )
        return n_cell_rows - block_rows + 1, n_cell_cols - block_cols + 1

    def n_features(self, frame_shape: tuple[int, int]) -> int:
        """Count the values in the descriptor of a frame of `frame_shape` (row, col) pixels.

        Raises
        ------
        ValueError
            If not one block fits into the frame.
        """
        (n_block_rows, n_block_cols), (block_rows, block_cols) = self.n_blocks(frame_shape), self.cells_per_block
        return n_block_rows * n_block_cols * block_rows * block_cols * self.orientations

    def as_dict(self) -> dict[str, Any]:
        """Give the fields as JSON has them; ``HogParams(**fields)`` makes them a `HogParams` again."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def _as_pair(name: str, value: object) -> tuple[int, int]:
    if not (isinstance(value, tuple | list) and len(value) == 2 and all(map(_is_count, value))):
        raise ValueError(f"{name} must be two whole numbers (row, col) of at least 1, got {value!r}")
    return int(value[0]), int(value[1])
