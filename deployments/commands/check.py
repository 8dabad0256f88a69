"""Check a recording before it is processed, and a store after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facehog_core.catalogue import Catalogue
from facehog_core.errors import CatalogueError, ConfigError
from facehog_core.path_text import as_text
from facehog_core.provenance import RunRecord

from ..display import aside, plain, print_json, print_pairs, print_warnings, stream_pairs, timing_pairs
from .common import DONE, FAILED, ConfigOption, JsonOption, configure, normalise

# A command imports what it needs, when it is given: those that only ask are not to wait for what reads video.
if TYPE_CHECKING:
    from facehog_core.verify import Verdict


def probe(
    path: Annotated[Path, typer.Argument(help="A recording: a file, or a folder of images.")],
    stream: Annotated[int | None, typer.Option(help="Number of the video stream.", metavar="N", min=0)] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a recording is, whether it is whole, and when its frames were taken, without decoding it."""
    from facehog_core.timestamps import find_timestamps
    from facehog_core.timing import time_frames
    from facehog_core.video import check_complete
    from facehog_core.video import probe as probe_recording
    from facehog_core.warning import warn_of_plan

    loaded, _ = configure(config)
    recipe = loaded.recipe_for(normalise(path))
    info, index = probe_recording(path, recipe.stream if stream is None else stream)
    times = time_frames(info, index, recipe, find_timestamps(normalise(path), recipe.timestamps))
    warnings = warn_of_plan(info, times)
    keyframes = index.is_keyframe.nonzero()[0].tolist()
    if as_json:
        told = {"n_dropped": times.n_dropped, "timing": times.as_dict(), "warnings": warnings}
        print_json(info.as_dict() | {"keyframes": keyframes} | told)
    else:
        first = f"{len(keyframes)}, the first at frames {', '.join(map(str, keyframes[:8]))}"
        told = info.as_dict()
        of_file = [(name, told[name]) for name in ("path", "size_bytes", "digest")]
        timing = timing_pairs(times.as_dict(), times.n_dropped)
        print_pairs([*of_file, *stream_pairs(told), ("keyframes", first), *timing])
        print_warnings(warnings)
    check_complete(info, recipe.max_corrupt)


def verify(
    run: Annotated[str | None, typer.Argument(help="Name of a run, or its beginning.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every finished run.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Decode and describe all frames again, and not a few.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that stores hold what was written, byte for byte, and that their recordings are unchanged and give it."""
    if (run is None) == (not every):
        raise ConfigError("verify", "nothing or too much is named", "Give a RUN, or --all.")
    loaded, _ = configure(config)
    with Catalogue(loaded.catalogue, stores=loaded.store) as catalogue:
        records = (
            list(map(catalogue.locate, catalogue.records("state=finished"))) if every else [catalogue.run(run or "")]
        )
    stored = [record for record in records if record.store]
    if not stored:
        raise CatalogueError(run or "--all", "there is no finished run", "See `facehog find`.")
    verdicts = {record.run_id: _verify(record, loaded.catalogue, is_deep=deep) for record in stored}
    if as_json:
        print_json([{"run_id": run_id, **verdict.as_dict()} for run_id, verdict in verdicts.items()])
    raise typer.Exit(DONE if all(verdict.is_sound for verdict in verdicts.values()) else FAILED)


@contextmanager
def _telling(record: RunRecord) -> Iterator[None]:
    """Say that a verification cannot be noted: the store or the catalogue may be where only others may write."""
    try:
        yield
    except (OSError, CatalogueError) as error:
        aside.print(f"[yellow]{record.run_id}[/]: that it was verified cannot be noted: {plain(error)}")


def _verify(record: RunRecord, catalogue: str, *, is_deep: bool) -> Verdict:
    from facehog_core.verifications import note_verification, read_history
    from facehog_core.verify import Verdict, verify_store

    assert record.store is not None
    history = read_history(record.store)
    name = plain(as_text(record.path.name))
    with aside.status(f"reads {name}") as status:
        for found in verify_store(record.store, record, is_deep=is_deep, history=history):
            if isinstance(found, Verdict):
                break
            status.update(f"{name}: {found.doing} frames, {found.n_done} of {found.n_all}")
    noted = [*history, found.as_verification()]
    with _telling(record), Catalogue(catalogue) as records:
        records.note_verifications(str(record.run_id), noted)
    with _telling(record):
        note_verification(record.store, noted[-1])
    for finding in found.findings:
        aside.print(f"[red]{record.run_id}[/]: {plain(finding.fact)} ({finding.since}). {plain(finding.remedy)}")
    if found.is_sound:
        again = f"; {found.n_described} described again are the same" if found.n_described else ""
        aside.print(
            f"[green]{record.run_id}[/]: {record.n_frames} frames are as written{again}; source {plain(found.source)}"
        )
    return found
