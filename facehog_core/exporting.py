"""What the writers of all forms are given and share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import StoredRun
from .errors import ExportError
from .session_facts import SessionFacts

#: Is told how many steps of how many are done.
Tell = Callable[[int, int], None]


class Steps:
    """Counts what is done, in whatever order it is, and tells of it.

    Parameters
    ----------
    n_all : int
    tell : callable
    """

    def __init__(self, n_all: int, tell: Tell) -> None:
        self._n_done, self._n_all, self._tell = 0, n_all, tell

    def advance(self, n_steps: int) -> None:
        """Note that so many more are done."""
        self._n_done += n_steps
        self._tell(self._n_done, self._n_all)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Export:
    """An export on its way.

    Parameters
    ----------
    run : StoredRun
    path : Path
        The file to write.
    target : Path
        What it will be called: paths within it start from there.
    arrays : tuple of str
        What to write of each frame, beside the columns.
    facts : SessionFacts
    steps : Steps
        A step is a frame of an array.
    """

    run: StoredRun
    path: Path
    target: Path
    arrays: tuple[str, ...]
    facts: SessionFacts
    steps: Steps

    @property
    def provenance(self) -> str:
        """What the store says of its run, as JSON."""
        return json.dumps(self.run.attributes, ensure_ascii=False)

    def rows(self) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield columns and arrays together, a block of frames at a time."""
        names = (*self.run.columns, *self.arrays)
        for start, stop in self.run.spans():
            yield {name: self._read(name, start, stop) for name in names}

    def blocks(self, name: str) -> Iterator[NDArray[Any]]:
        """Yield the values of one column or array, a block of frames at a time."""
        return (self._read(name, start, stop) for start, stop in self.run.spans())

    def _read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        values = self.run.read(name, start, stop)
        if name in self.arrays:
            self.steps.advance(stop - start)
        return values


def need(module: str) -> Any:
    """Import a library that only exports need.

    Raises
    ------
    ExportError
        If it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ExportError(
            module,
            f"{error.name} is not installed",
            "In facehog's folder: pip install -c requirements.lock '.[export]'",
        ) from error


def name_values(run: StoredRun, name: str) -> list[str]:
    """Name each value that an array has of a frame: ``descriptors_r03_c12_o5``, for row, column and orientation.

    Where blocks hold several cells, the last number is the value's place in its block: ``descriptors_r03_c12_v05``.
    """
    if name == "histograms":
        shape, last = run.shape(name)[1:], "o"
    else:
        shape, last = run.block_shape, "o" if run.recipe.hog.cells_per_block == (1, 1) else "v"
    digits = [len(str(n - 1)) for n in shape]
    return [
        f"{name}_r{row:0{digits[0]}}_c{col:0{digits[1]}}_{last}{value:0{digits[2]}}"
        for row, col, value in np.ndindex(*shape)
    ]
