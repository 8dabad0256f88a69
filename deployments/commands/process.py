"""Process recordings in the foreground."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from facehog_core.catalogue import Catalogue
from facehog_core.crop import Crop
from facehog_core.errors import ConfigError
from facehog_core.filters import any_of
from facehog_core.path_text import as_text
from facehog_core.provenance import RunRecord
from facehog_core.recipe import Recipe
from facehog_core.schema import Fate
from facehog_core.selection import Selection

from ..choices import check_reach, check_shared_timestamps, parse_frame_rate, parse_timestamps
from ..config import Config
from ..display import console, plain, print_error, print_json, print_warnings
from ..environment import apply_environment, describe_environment
from .common import (
    DONE,
    FAILED,
    REFUSED,
    ConfigOption,
    JsonOption,
    VerboseOption,
    configure,
    find_service,
    normalise,
)

T = TypeVar("T")


def process(
    paths: Annotated[list[Path], typer.Argument(help="Recordings: files, or folders of images.", metavar="PATH...")],
    crop: Annotated[str | None, typer.Option(help="Part of each frame, in pixels.", metavar="X,Y,WIDTH,HEIGHT")] = None,
    images: Annotated[bool, typer.Option("--images", help="Write HOG pictures too.")] = False,
    grey: Annotated[str | None, typer.Option(help="rgb, or luma: Y as it is stored.", metavar="GREY")] = None,
    downsample: Annotated[int | None, typer.Option(help="Average N x N pixels into one.", metavar="N", min=1)] = None,
    keep_bits: Annotated[
        int | None, typer.Option(help="Round values to N bits; 10 are those of float16.", metavar="N", min=1, max=23)
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            help="Numbers from 0; STOP is not taken. Each part may be empty: ::10 is every tenth frame.",
            metavar="START:STOP[:STEP]",
        ),
    ] = None,
    seconds: Annotated[
        str | None,
        typer.Option(help="The same by times in seconds; the step in frames.", metavar="START:STOP[:STEP]"),
    ] = None,
    max_corrupt: Annotated[
        float | None, typer.Option(help="Share of damaged frames that may be.", metavar="SHARE", min=0, max=1)
    ] = None,
    stream: Annotated[int | None, typer.Option(help="Number of the video stream.", metavar="N", min=0)] = None,
    rotate: Annotated[bool | None, typer.Option(help="Turn frames as the file asks for.")] = None,
    frame_rate: Annotated[
        str | None,
        typer.Option(help="Of raw .h264 and of images: 30, 29.97 or 30000/1001 a second.", metavar="RATE"),
    ] = None,
    timestamps: Annotated[
        str | None,
        typer.Option(help="A time for each frame; {stem}_times.csv: beside each recording.", metavar="FILE"),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Of the timestamps: its name, or its number from 1 on.", metavar="COLUMN")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="Of the timestamps: s, ms, us or ns.", metavar="UNIT")] = None,
    force: Annotated[bool, typer.Option("--force", help="Do all anew, where it has been done before.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Process recordings now, in the foreground, with the same flow and without a server of one's own.

    What is given here wins over the inbox and over the file beside the recording. Masks stand in those.
    """
    loaded, _ = configure(config)
    given = {
        "crop": _parse("--crop", crop, Crop.parse, "Such as --crop 53,22,916,475."),
        "grey": _parse("--grey", grey, lambda text: Recipe(grey=text).grey, "Such as --grey luma."),
        "frames": _parse_frames(frames, seconds),
        "downsample": downsample,
        "keep_bits": keep_bits,
        "stream": stream,
        "apply_rotation": rotate,
        "max_corrupt": max_corrupt,
        "with_images": images or None,
        "frame_rate": parse_frame_rate(frame_rate),
    }

    def choose_for(path: Path) -> Recipe:
        changes = given | {"timestamps": parse_timestamps(path, timestamps, column, unit)}
        recipe = loaded.recipe_for(path, **{name: value for name, value in changes.items() if value is not None})
        if (frames or seconds or "::").count(":") == 2:
            return recipe
        # A range without a step leaves `every` as it is set.
        return replace(recipe, frames=replace(recipe.frames, step=loaded.recipe_for(path).frames.step))

    # All are looked at before the first is begun.
    recipes = {path: choose_for(path) for path in map(normalise, paths)}
    if timestamps:
        check_shared_timestamps({path: recipe.timestamps for path, recipe in recipes.items() if recipe.timestamps})
    for path, recipe in recipes.items():
        check_reach(path, recipe, loaded.recipe_for(path))
    prepare_prefect(loaded, verbose=verbose)
    from ..foreground import process_in_foreground

    if not verbose:
        # A worker that is stopped, as all are in the end, may miss its scheduler in a traceback.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
    statuses, records = [], []
    for path, recipe in recipes.items():
        state = process_in_foreground(loaded, path, recipe, force=force)
        record = last_record(loaded, path)
        records.append(record)
        statuses.append(_status_of_run(record))
        if statuses[-1] != DONE:
            print_error(_name(path, record.reason if record else str(state.message)))
        elif record and not as_json:
            console.print(f"{plain(as_text(path.name))}: {plain(record.reason)}\n  {plain(record.store)}")
            print_warnings(record.warnings)
    if as_json:
        print_json([record.as_dict() for record in records if record])
    raise typer.Exit(max(statuses))


def _name(path: Path, reason: str) -> str:
    """Name the recording where a reason names another file: its timestamps."""
    name = as_text(path.name)
    return reason if name in reason else f"{name}: {reason}"


def _parse(option: str, text: str | None, parse: Callable[[str], T], remedy: str) -> T | None:
    try:
        return parse(text) if text is not None else None
    except ValueError as error:
        raise ConfigError(option, str(error), remedy) from error


def _parse_frames(frames: str | None, seconds: str | None) -> Selection | None:
    if frames is not None and seconds is not None:
        raise ConfigError("--seconds", "--frames is given too", "Choose one of the two.")
    chosen = _parse("--frames", frames, lambda text: Selection.parse(frames=text), "Such as --frames 0:9000:10.")
    return chosen or _parse(
        "--seconds", seconds, lambda text: Selection.parse(seconds=text), "Such as --seconds 60:360."
    )


def prepare_prefect(config: Config, *, verbose: bool) -> None:
    """Set Prefect up before it is imported: the service's server if one is up, else a temporary one."""
    api_url = config.prefect.api_url or find_service(config).get("api_url")
    home = config.state_dir / "prefect"
    home.mkdir(parents=True, exist_ok=True)
    auth_string = config.prefect.auth_string
    apply_environment(describe_environment(home, api_url, auth_string.get_secret_value() if auth_string else None))
    apply_environment({"PREFECT_LOGGING_LEVEL": "INFO" if verbose else "CRITICAL"})


def last_record(config: Config, path: Path) -> RunRecord | None:
    """Return what the catalogue says of a file now: of the run that it came to last, not of the newest one."""
    with Catalogue(config.catalogue) as catalogue:
        file = catalogue.file(path)
        run_id = file.run_id if file else None
        return next(
            (found for found in catalogue.records(any_of("path", as_text(path))) if found.run_id == run_id), None
        )


def _status_of_run(record: RunRecord | None) -> int:
    match record.state if record else Fate.FAILED:
        case Fate.FINISHED | Fate.DUPLICATE:
            return DONE
        case Fate.QUARANTINED:
            return REFUSED
        case _:
            return FAILED
