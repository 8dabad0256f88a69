"""The command line."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.markup import escape

from facehog_core.catalogue import Catalogue
from facehog_core.crop import Crop
from facehog_core.errors import CatalogueError, ConfigError, FacehogError, RecordingRefusedError
from facehog_core.provenance import RunRecord
from facehog_core.recipe import Recipe
from facehog_core.schema import Fate
from facehog_core.selection import Selection

from .choices import check_shared_timestamps, parse_frame_rate, parse_timestamps
from .config import FILE_NAME, TEMPLATE, Config, find_config, load_config
from .display import (
    aside,
    console,
    print_error,
    print_json,
    print_pairs,
    print_records,
    print_run,
    print_warnings,
    stream_pairs,
    tell_time,
    timing_pairs,
)
from .environment import apply_environment, describe_environment

# A command imports what it needs, when it is given: those that only ask are not to wait for what reads video.
if TYPE_CHECKING:
    from facehog_core.store import Progress
    from facehog_core.verify import Verdict

DONE, FAILED, WRONG_USAGE, REFUSED = 0, 1, 2, 3

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="HOG descriptors of a mouse's face, from each recording as soon as it lands.",
    epilog="Exit status: 0 done; 1 failed; 2 wrong usage or configuration; 3 the recording was refused.",
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="FACEHOG_CONFIG", help=f"Configuration; otherwise ./{FILE_NAME}."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show the log.")]


def main() -> None:
    """Run the command line; errors that a user can act on are one line on standard error."""
    try:
        app()
    except FacehogError as error:
        print_error(str(error))
        sys.exit(status_of(error))
    except OSError as error:
        print_error(f"{error.filename or 'the system'}: {error.strerror or error}")
        sys.exit(FAILED)


def normalise(path: Path) -> Path:
    """Return an absolute path without ``~`` and ``..``, as the catalogue names files."""
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would follow links


def status_of(error: FacehogError) -> int:
    """Return the exit status that tells the kind of an error."""
    match error:
        case ConfigError():
            return WRONG_USAGE
        case RecordingRefusedError():
            return REFUSED
        case _:
            return FAILED


def _show_version(wanted: bool) -> None:
    if wanted:
        console.print(f"facehog {version('facehog')}")
        raise typer.Exit


@app.callback()
def facehog(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """HOG descriptors of a mouse's face, from each recording as soon as it lands."""


def _configure(path: Path | None) -> tuple[Config, Path | None]:
    found = find_config(path)
    return load_config(found), found


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to start; it is made if it is not there.")] = Path(),
) -> None:
    """Write a commented configuration, and make the inbox and the store that it names."""
    path = folder / FILE_NAME
    if path.exists():
        raise ConfigError(path, "there is a configuration already", "Edit it, or remove it first.")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(TEMPLATE, "utf-8")
    config = load_config(path.absolute())
    for made in (config.store, *(inbox.path for inbox in config.inbox)):
        made.mkdir(parents=True, exist_ok=True)
    told = f"wrote {path}; recordings go into {config.inbox[0].path}, results into {config.store}"
    console.print(told, markup=False)
    console.print("Edit it (the crop above all), then start: facehog up")


@app.command()
def up(config: ConfigOption = None) -> None:
    """Watch the inboxes and process what lands: starts Prefect, Dask, runner and sensor until Ctrl-C."""
    from .up import run_service

    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    loaded, found = _configure(config)
    run_service(loaded, found)


@app.command()
def demo(
    folder: Annotated[
        Path | None, typer.Option(help="Keep everything there; otherwise in a new scratch folder.")
    ] = None,
) -> None:
    """Show the main job: two recordings land in an inbox and are found in the catalogue."""
    from .demo import run_demo

    raise typer.Exit(run_demo(folder))


@app.command()
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
    config: ConfigOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Process recordings now, in the foreground, with the same flow and without a server of one's own.

    What is given here wins over the inbox and over the file beside the recording. Masks stand in those.
    """
    loaded, _ = _configure(config)
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
    _prepare_prefect(loaded, verbose=verbose)
    from .foreground import process_in_foreground

    if not verbose:
        # A worker that is stopped, as all are in the end, may miss its scheduler in a traceback.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
    statuses, records = [], []
    for path, recipe in recipes.items():
        state = process_in_foreground(loaded, path, recipe)
        record = _last_record(loaded, path)
        records.append(record)
        statuses.append(_status_of_run(record))
        if statuses[-1] != DONE:
            print_error(_name(path, record.reason if record else str(state.message)))
        elif record and not as_json:
            console.print(f"{path.name}: {record.reason}\n  {record.store}", markup=False)
            print_warnings(record.warnings)
    if as_json:
        print_json([record.as_dict() for record in records if record])
    raise typer.Exit(max(statuses))


def _name(path: Path, reason: str) -> str:
    """Name the recording where a reason names another file: its timestamps."""
    return reason if path.name in reason else f"{path.name}: {reason}"


T = TypeVar("T")


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


def _prepare_prefect(config: Config, *, verbose: bool) -> None:
    """Set Prefect up before it is imported: the service's server if one is up, else a temporary one."""
    api_url = config.prefect.api_url or find_service(config).get("api_url")
    home = config.state_dir / "prefect"
    home.mkdir(parents=True, exist_ok=True)
    apply_environment(describe_environment(home, api_url))
    apply_environment({"PREFECT_LOGGING_LEVEL": "INFO" if verbose else "CRITICAL"})


def find_service(config: Config) -> dict[str, str]:
    """Return the addresses of the service that is up for this configuration; empty if none is."""
    from .up import ServicePaths, is_up

    paths = ServicePaths(state_dir=config.state_dir)
    if not paths.addresses.exists() or not is_up(config.state_dir):
        return {}
    addresses: dict[str, str] = json.loads(paths.addresses.read_text("utf-8"))
    return addresses


def _last_record(config: Config, path: Path) -> RunRecord | None:
    """Return what the catalogue says of a file now: of the run that it came to last, not of the newest one."""
    with Catalogue(config.catalogue) as catalogue:
        file = catalogue.file(path)
        run_id = file.run_id if file else None
        return next((found for found in catalogue.find({"path": _literally(path)}) if found.run_id == run_id), None)


def _literally(path: Path) -> str:
    """Return a pattern that matches one path alone."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in str(path))


def _status_of_run(record: RunRecord | None) -> int:
    match record.state if record else Fate.FAILED:
        case Fate.FINISHED | Fate.DUPLICATE:
            return DONE
        case Fate.QUARANTINED:
            return REFUSED
        case _:
            return FAILED


@app.command()
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

    loaded, _ = _configure(config)
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


@app.command()
def find(
    filters: Annotated[list[str] | None, typer.Argument(metavar="[FILTER...]")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List recordings and runs, newest first.

    All filters must hold: state=finished (or failed,quarantined), name=*m12*, path=/data/*, run=1f0c,
    digest=1f0c, since=2026-11-21, until=2026-11-21T08:00 (UTC), warnings=yes (or no).
    """
    loaded, _ = _configure(config)
    with Catalogue(loaded.catalogue) as catalogue:
        records = catalogue.find(_parse_filters(filters or []))
    if as_json:
        print_json([record.as_dict() for record in records])
    elif records:
        print_records(records)
    else:
        aside.print("nothing is found")


def _parse_filters(texts: list[str]) -> dict[str, str]:
    parsed = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not value:
            raise ConfigError(text, "a filter is NAME=VALUE", "Such as state=finished.")
        parsed[name] = value
    return parsed


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="Name of a run, or its beginning.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all that is known of a run."""
    loaded, _ = _configure(config)
    with Catalogue(loaded.catalogue) as catalogue:
        record = catalogue.run(run)
    progress = _progress_of(record, loaded)
    if as_json:
        print_json(record.as_dict() | ({"progress": asdict(progress)} if progress else {}))
    else:
        print_run(record, str(progress) if progress else None)


def _progress_of(record: RunRecord, config: Config) -> Progress | None:
    """Look how far a running run is."""
    if record.state != Fate.RUNNING or record.run_id is None:
        return None
    from facehog_core.source import name_recording
    from facehog_core.store import RunPaths, measure_progress

    paths = RunPaths(root=config.store, recording=name_recording(record.path), run_id=record.run_id)
    return measure_progress(paths, record.started_at.timestamp() if record.started_at else 0.0)


@app.command()
def why(
    path: Annotated[Path, typer.Argument(help="A file that is or was in an inbox.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what became of a file, and why."""
    loaded, _ = _configure(config)
    with Catalogue(loaded.catalogue) as catalogue:
        story = catalogue.story(normalise(path))
        file = catalogue.file(normalise(path))
        warnings = catalogue.run(file.run_id).warnings if file and file.run_id else []
    if not story:
        raise CatalogueError(
            path,
            "no inbox has seen this file",
            "See `facehog doctor` for the inboxes, or `facehog process` it.",
        )
    if as_json:
        steps = [{"at": step.at.isoformat(), "state": step.state, "reason": step.reason} for step in story]
        print_json([*steps[:-1], {**steps[-1], "warnings": warnings}])
        return
    for step in story:
        console.print(f"[dim]{tell_time(step.at)}[/]  {step.state:<11}  {escape(step.reason)}")
    print_warnings(warnings)


@app.command()
def verify(
    run: Annotated[str | None, typer.Argument(help="Name of a run, or its beginning.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every finished run.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that stores hold what was written, byte for byte, and that their recordings are unchanged."""
    if (run is None) == (not every):
        raise ConfigError("verify", "nothing or too much is named", "Give a RUN, or --all.")
    loaded, _ = _configure(config)
    with Catalogue(loaded.catalogue) as catalogue:
        records = catalogue.find({"state": Fate.FINISHED}) if every else [catalogue.run(run or "")]
    stored = [record for record in records if record.store]
    if not stored:
        raise CatalogueError(run or "--all", "there is no finished run", "See `facehog find`.")
    verdicts = [_verify(record) for record in stored]
    if as_json:
        print_json([asdict(verdict) | {"store": str(verdict.store)} for verdict in verdicts])
    raise typer.Exit(DONE if all(verdict.is_sound for verdict in verdicts) else FAILED)


def _verify(record: RunRecord) -> Verdict:
    from facehog_core.verify import Verdict, verify_store

    assert record.store is not None
    name = escape(record.path.name)
    with aside.status(f"reads {name}") as status:
        for found in verify_store(record.store, record):
            if isinstance(found, Verdict):
                break
            status.update(f"{name}: {found} of {record.n_frames} frames")
    for problem in found.problems:
        aside.print(f"[red]{record.run_id}[/]: {escape(problem)}")
    if found.is_sound:
        aside.print(
            f"[green]{record.run_id}[/]: {record.n_frames} frames are as written; source {escape(found.source)}"
        )
    return found


@app.command()
def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check this machine and the configuration, and say what to do about what is wrong."""
    from .doctor import examine

    loaded, found = _configure(config)
    findings = examine(loaded, found)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = {"good": "[green]good[/]", "look": "[yellow]look[/]", "bad": "[red]bad [/]"}[finding.verdict]
            console.print(f"{mark}  {escape(finding.subject)}: {escape(finding.fact)}")
            if finding.remedy:
                console.print(f"      {finding.remedy}", markup=False)
    raise typer.Exit(FAILED if any(finding.verdict == "bad" for finding in findings) else DONE)


if __name__ == "__main__":
    main()
