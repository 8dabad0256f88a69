"""Work on files that may do harm, each in a process of its own that is watched and may be lost."""

from __future__ import annotations

import multiprocessing
import pickle
import resource
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from recordings import md5_of

from facehog_core.decode import iter_frames
from facehog_core.errors import FacehogError
from facehog_core.video import probe

GIB = 2**30
# What nothing may reach: beyond it the machine is kept from harm, and the process is lost.
MOST_BYTES = 4 * GIB
TIMEOUT_S = 60.0
SPAN = 6
# Of a recording that is no longer, several threads must see what one sees: as few as there can be, and many.
MOST_COMPARED = 100
N_THREADS = (2, 7)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a file: how many frames were had, or one clear line, or something that must not be."""

    path: Path
    said: str
    is_refused: bool = False
    is_wrong: bool = False
    peak_bytes: int = 0


def examine(path: Path, *, compares: bool = False) -> Outcome:
    """Probe a file and decode spans at its beginning, middle and end, as its reader would.

    If asked for, several threads are compared with one.
    """
    try:
        info, index = probe(path)
        n = info.n_frames
        starts = sorted({0, max(n // 2 - SPAN // 2, 0), max(n - SPAN, 0)})
        spans = [(start, min(start + SPAN, n)) for start in starts]
        for span in spans:
            _read(info, index, span)
        if compares and n <= MOST_COMPARED:
            _compare_threads(info, index)
    except FacehogError as error:
        return Outcome(path=path, said=str(error), is_refused=True, is_wrong=not _is_clear(error, path))
    except BaseException:
        return Outcome(path=path, said=traceback.format_exc(), is_wrong=True)
    return Outcome(path=path, said=f"{info.width} x {info.height}, {n} frames")


def _read(info: Any, index: Any, span: tuple[int, int]) -> None:
    frames = list(iter_frames(info, index, *span))
    numbers = [decoded.index for decoded in frames]
    assert numbers == list(range(*span)), f"frames {numbers} in place of {span}"
    assert all(decoded.frame is not None or decoded.is_corrupt for decoded in frames), "a lost frame is not marked"


def _compare_threads(info: Any, index: Any) -> None:
    one = _see(info, index, 1)
    for n_threads in N_THREADS:
        others = _see(info, index, n_threads)
        differences = [pair for pair in zip(one, others, strict=False) if pair[0] != pair[1]]
        assert others == one, f"{n_threads} threads see something else than one: {differences[:3]}"


def _see(info: Any, index: Any, n_threads: int) -> list[Any]:
    seen: list[Any] = []
    try:
        for decoded in iter_frames(info, index, 0, index.n_frames, n_threads=n_threads):
            pixels = None if decoded.frame is None else md5_of(decoded.frame)
            seen.append((decoded.index, decoded.is_corrupt, pixels))
    except FacehogError as error:
        seen.append(str(error))
    return seen


def _is_clear(error: FacehogError, path: Path) -> bool:
    message = str(error)
    is_line = "\n" not in message and message.startswith(f"{path.name}: ") and message.endswith(".")
    return is_line and str(pickle.loads(pickle.dumps(error))) == message


def examine_all(paths: list[Path], *, timeout_s: float = TIMEOUT_S, compares: bool = False) -> list[Outcome]:
    """Examine files one after the other in one process; another takes over from one that is lost or hangs."""
    outcomes: list[Outcome] = []
    while len(outcomes) < len(paths):
        outcomes += _examine_until_lost(paths[len(outcomes) :], timeout_s, compares)
    return outcomes


def _examine_until_lost(paths: list[Path], timeout_s: float, compares: bool) -> list[Outcome]:
    outcomes: list[Outcome] = []
    with _Child(_serve, paths, compares) as child:
        for path in paths:
            if not child.answers.poll(timeout_s):
                return [*outcomes, Outcome(path=path, said=f"hangs for {timeout_s:.0f} s", is_wrong=True)]
            try:
                outcomes.append(child.answers.recv())
            except EOFError:
                child.process.join()
                said = f"the process ended with status {child.process.exitcode}"
                return [*outcomes, Outcome(path=path, said=said, is_wrong=True)]
    return outcomes


class _Child:
    """A process that has loaded everything already, and goes when it is left."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["bounded"])
        self.answers, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=work, args=(theirs, *arguments), daemon=True)
        self.process.start()
        theirs.close()

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.join()
        self.answers.close()


def _serve(answers: Connection, paths: list[Path], compares: bool) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    for path in paths:
        outcome = examine(path, compares=compares)
        peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        answers.send(Outcome(**{**vars(outcome), "peak_bytes": peak_bytes}))
