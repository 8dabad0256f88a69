"""A run in the forms that others read: NWB, Parquet, CSV, MATLAB's and NumPy's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from .blocks import ARRAYS, StoredRun
from .disk import appearing, telling_full_disk
from .errors import ExportError
from .exporting import Export, Steps, Tell
from .session_facts import SessionFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form of file.

    Parameters
    ----------
    home : str
        The module of this package whose function `write` writes it.
    arrays : tuple of str
        What it holds of each frame, unless others are chosen.
    """

    home: str
    arrays: tuple[str, ...] = ARRAYS


FORMS = {
    "nwb": Form(home="export_nwb"),
    "parquet": Form(home="export_parquet"),
    # Text is large, and of cells of one block each both arrays say nearly the same.
    "csv": Form(home="export_csv", arrays=("descriptors",)),
    "mat": Form(home="export_mat"),
    "npz": Form(home="export_npz"),
}


def export_run(
    store: Path,
    target: Path,
    form: str,
    *,
    arrays: Sequence[str] | None = None,
    facts: SessionFacts | None = None,
    force: bool = False,
    tell: Tell | None = None,
) -> list[str]:
    """Write a run to a file in another form, a block of frames at a time.

    Parameters
    ----------
    store : Path
        A sealed store.
    target : Path
        The file. It is there when it is whole, and not before.
    form : {"nwb", "parquet", "csv", "mat", "npz"}
    arrays : sequence of {"descriptors", "histograms"}, optional
        What to write of each frame; both if left out, of CSV the descriptors.
    facts : SessionFacts, optional
        For NWB: who was recorded, and when; the subject may be known from the run.
    force : bool, optional
        Write over a file that is there.
    tell : callable, optional
        Is told on the way how many steps of how many are done.

    Returns
    -------
    list of str
        What whoever uses the file must know, a sentence each.

    Raises
    ------
    ExportError
        If the form or an array is not known, its library is not installed, the file is there already, or the form
        cannot hold the run.
    StoreError
        If the store is damaged.
    DiskFullError
        If there is no space.
    """
    chosen = _choose(form, arrays)
    write: Callable[[Export], list[str]] = import_module(f".{FORMS[form].home}", __package__).write
    _check_free(target, force=force)
    run = StoredRun.open(store)
    # Some libraries go by what a name ends in.
    with telling_full_disk(target.parent), appearing(target, suffix=target.suffix) as unfinished:
        export = Export(
            run=run,
            path=unfinished,
            target=target,
            arrays=chosen,
            facts=(facts or SessionFacts()).complete(run.record.identity),
            steps=Steps(run.n_frames * len(chosen), tell or _say_nothing),
        )
        remarks = write(export)
        _check_free(target, force=force)
    return [*run.record.warnings, *remarks]


def _choose(form: str, arrays: Sequence[str] | None) -> tuple[str, ...]:
    if form not in FORMS:
        raise ExportError(form, f"there is no form {form!r}", f"Choose from {', '.join(FORMS)}.")
    chosen = FORMS[form].arrays if arrays is None else tuple(dict.fromkeys(arrays))
    strange = [name for name in chosen if name not in ARRAYS]
    if strange or not chosen:
        told = repr(strange[0]) if strange else "nothing"
        raise ExportError("arrays", f"{told} cannot be exported", f"Choose from {', '.join(ARRAYS)}.")
    return chosen


def _check_free(target: Path, *, force: bool) -> None:
    if target.is_dir():
        raise ExportError(target, "it is a folder", "Name a file by -o.")
    if target.exists() and not force:
        raise ExportError(target, "it is there already", "Give --force to write over it, or another name by -o.")
    if not target.parent.is_dir():
        raise ExportError(target, f"there is no folder {target.parent}", "Make it, or give another name by -o.")


def _say_nothing(_n_done: int, _n_all: int) -> None:
    pass
