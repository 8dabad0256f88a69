"""From grey to histograms of gradients, cell by cell: where a frame's time goes beside decoding.

The sums run down columns in vector registers, which Numba's compiler does not find out by itself: it would keep them in
memory and write them there for each pixel. So that one loop is spelled out for LLVM, in vectors of `LANES` columns; it
takes half the time. Which instructions they become is the machine's, and no bit of a result depends on it: each column
is summed from its top to its bottom.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from .kernels import compiled

#: An angle at most so far (radians) from the border between two bins lies on it. Each of the 2**32 gradients that
#: 8-bit grey or its roots can make is within 1e-13 of a border, by rounding, or beyond 1e-11 (tried: 8, 9, 12 bins).
TIE_RAD = 1e-12

#: Cotangents up to this one lie just below 180 degrees, on the border of the first bin.
LOWEST_COTANGENT = -1 / np.tan(TIE_RAD)

#: Borders of bins that one pass over a frame compares with: as many as the default `HogParams` has bins. Only with a
#: fixed number can each have a register of its own.
BINS_PER_PASS = 8

#: Columns that are summed at once: a vector register of AVX-512, two of AVX2, four of NEON.
LANES = 8


def bin_borders(orientations: int) -> NDArray[np.float64]:
    """Give the cotangents between which the gradients of each bin lie.

    The cotangent ``g_col / g_row`` falls from inf to -inf while the angle rises from 0 to 180 degrees, and a gradient
    and its opposite share it. So it tells the bin by comparisons, without an arctangent. It errs by some 1e-16 of
    itself, far less than the `TIE_RAD` by which each border is moved down to catch what lies on it.

    Parameters
    ----------
    orientations : int
        Number of bins between 0 and 180 degrees.

    Returns
    -------
    ndarray of float64, shape (orientations,)
        Bin ``k`` holds ``borders[k] >= cotangent > borders[k + 1]``, and the last one all that is left.
    """
    angles = np.pi * np.arange(1, orientations) / orientations
    return np.concatenate([[np.inf], 1 / np.tan(angles - TIE_RAD)])


@compiled
def cumulative_histograms(
    frame: NDArray[np.unsignedinteger],
    table: NDArray[np.float64],
    borders: tuple[float, ...],
    cell_rows: int,
    cell_cols: int,
    out: NDArray[np.float64],
) -> None:
    """Fill `out`, shape (cell_row, cell_col, border), with the gradient magnitudes per pixel from each border on.

    `frame` holds places in `table`, which gives their brightness. Pixels beyond the last whole cell count only as
    neighbours. `borders` are the lower borders of `BINS_PER_PASS` bins, as `bin_borders` gives them.
    """
    n_cell_rows, n_cell_cols, n_borders = out.shape
    n_cols = -(-n_cell_cols * cell_cols // LANES) * LANES
    # Zeros where the last vector reaches beyond the frame.
    band = np.zeros((cell_rows + 2, max(n_cols, frame.shape[1]) + 2))
    # Columns are summed first, and into their cells in the end: a cell may begin and end amid a vector.
    column_sums = np.empty((BINS_PER_PASS, n_cols))
    for cell_row in range(n_cell_rows):
        _read_band(frame, table, cell_row * cell_rows, band)
        for col in range(0, n_cols, LANES):
            _sum_columns(band, col, borders, column_sums)
        for cell_col in range(n_cell_cols):
            for k in range(n_borders):
                total = 0.0
                for col in range(cell_col * cell_cols, (cell_col + 1) * cell_cols):
                    total += column_sums[k, col]
                out[cell_row, cell_col, k] = total / (cell_rows * cell_cols)


@compiled
def _read_band(
    frame: NDArray[np.unsignedinteger],
    table: NDArray[np.float64],
    first_row: int,
    band: NDArray[np.float64],
) -> None:
    """Look up the brightness of a row of cells, and of one pixel around it, into `band`.

    Around the frame its second and last but one rows and columns are repeated: differences across the frame's edge
    are then 0, as in scikit-image.
    """
    n_rows, n_cols = frame.shape
    for i in range(band.shape[0]):
        row = first_row + i - 1
        if row < 0:
            row = min(1, n_rows - 1)
        elif row == n_rows:
            row = max(0, n_rows - 2)
        for col in range(n_cols):
            band[i, col + 1] = table[frame[row, col]]
        band[i, 0] = band[i, min(2, n_cols)]
        band[i, n_cols + 1] = band[i, max(1, n_cols - 1)]


_FLOAT, _INT = ir.DoubleType(), ir.IntType(64)
_FLOATS, _INTS = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INT, LANES)
_SIGN_BIT = -(2**63)


@intrinsic  # type: ignore[untyped-decorator]
def _sum_columns(typing_context: Any, band: Any, col: Any, borders: Any, sums: Any) -> Any:
    """Sum the magnitudes of the gradients of `LANES` columns from `col` on, for each border that they are not below.

    In Numba it would be, for each column of them, with `sums` of shape (border, col)::

        for row in range(band.shape[0] - 2):
            g_row = band[row + 2, col + 1] - band[row, col + 1]
            g_col = band[row + 1, col + 2] - band[row + 1, col]
            magnitude = sqrt(g_row * g_row + g_col * g_col)
            if g_row < 0: g_row, g_col = -g_row, -g_col  # The opposite gradient is in the same bin.
            if g_col <= LOWEST_COTANGENT * g_row: g_col = inf  # Just below 180 degrees, or no gradient at all.
            for k in range(BINS_PER_PASS):
                if not g_col > borders[k] * g_row:  # Not (0 > inf * 0), which is not a number: all is in bin 0.
                    sums[k, col] += magnitude
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> Any:
        band, col, borders, sums = given
        source = context.make_array(signature.args[0])(context, builder, band)
        target = context.make_array(signature.args[3])(context, builder, sums)
        n_rows, stride = cgutils.unpack_tuple(builder, source.shape, 2)
        (_, n_sums) = cgutils.unpack_tuple(builder, target.shape, 2)
        levels = [_spread(builder, border) for border in cgutils.unpack_tuple(builder, borders)]
        totals = [cgutils.alloca_once_value(builder, _all_of(0.0)) for _ in levels]
        first = builder.gep(source.data, [col])
        with cgutils.for_range(builder, builder.sub(n_rows, ir.Constant(_INT, 2))) as loop:
            above = builder.gep(first, [builder.mul(loop.index, stride)])
            row = builder.gep(above, [stride])
            below = builder.gep(row, [stride])
            g_row = builder.fsub(_load(builder, below, 1), _load(builder, above, 1))
            g_col = builder.fsub(_load(builder, row, 2), _load(builder, row, 0))
            squares = builder.fadd(builder.fmul(g_row, g_row), builder.fmul(g_col, g_col))
            magnitude = _call(builder, "sqrt", squares)
            sign = builder.and_(builder.bitcast(g_row, _INTS), ir.Constant(_INTS, [_SIGN_BIT] * LANES))
            g_col = builder.bitcast(builder.xor(builder.bitcast(g_col, _INTS), sign), _FLOATS)
            g_row = _call(builder, "fabs", g_row)
            is_below_180 = builder.fcmp_ordered(">", g_col, builder.fmul(g_row, _all_of(LOWEST_COTANGENT)))
            g_col = builder.select(is_below_180, g_col, _all_of(np.inf))
            for level, total in zip(levels, totals, strict=True):
                # Of what is not a number the unordered comparison is true.
                counts = builder.fcmp_unordered("<=", g_col, builder.fmul(g_row, level))
                before = builder.load(total)
                builder.store(builder.select(counts, builder.fadd(before, magnitude), before), total)
        for k, total in enumerate(totals):
            place = builder.add(builder.mul(n_sums, ir.Constant(_INT, k)), col)
            _store(builder, builder.load(total), builder.gep(target.data, [place]))
        return context.get_dummy_value()

    return types.void(band, col, borders, sums), generate


def _all_of(value: float) -> ir.Constant:
    return ir.Constant(_FLOATS, [ir.Constant(_FLOAT, float(value))] * LANES)


def _spread(builder: ir.IRBuilder, value: Any) -> Any:
    """Put one value into all lanes."""
    number = ir.IntType(32)
    alone = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, ir.Constant(number, 0))
    return builder.shuffle_vector(alone, alone, ir.Constant(ir.VectorType(number, LANES), [0] * LANES))


def _load(builder: ir.IRBuilder, place: Any, offset: int) -> Any:
    vector = builder.load(builder.bitcast(builder.gep(place, [ir.Constant(_INT, offset)]), _FLOATS.as_pointer()))
    vector.align = 8  # bytes: it begins at any float64.
    return vector


def _store(builder: ir.IRBuilder, vector: Any, place: Any) -> None:
    builder.store(vector, builder.bitcast(place, _FLOATS.as_pointer())).align = 8


def _call(builder: ir.IRBuilder, name: str, vector: Any) -> Any:
    """Call a function of LLVM that works on each lane."""
    kind = ir.FunctionType(_FLOATS, [_FLOATS])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f64"), [vector])
