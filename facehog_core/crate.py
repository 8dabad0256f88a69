"""Where the runs of a recording come from, as an RO-Crate that others' programs read without facehog.

One document for a recording's folder, by the profile Process Run Crate: each run is an action that made its store from
the recording, by a program and its libraries, with parameters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from mimetypes import guess_type
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .disk import write_durably
from .errors import StoreError
from .exporting import need
from .path_text import as_text
from .provenance import RunRecord
from .sealed import read_record
from .source import is_folder

NAME = "ro-crate-metadata.json"
# The profile builds on this version of RO-Crate.
_VERSION = "1.1"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_METHOD = "https://doi.org/10.1126/science.aaz9468"
_ZARR = "https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html"
# Package URLs: a name for a version of a program wherever it is got from.
_PACKAGE = "pkg:pypi/{name}@{version}"
_OF_FFMPEG = "pkg:generic/ffmpeg/{name}@{version}"
_ELSEWHERE = {"python": "pkg:generic/{name}@{version}"} | dict.fromkeys(
    ("libavcodec", "libavformat", "libswscale"), _OF_FFMPEG
)


def write_crate(folder: Path) -> Path:
    """Write down where the finished runs of a recording come from.

    Parameters
    ----------
    folder : Path
        The folder of the recording's stores. Nothing else in it is changed.

    Returns
    -------
    Path
        The document: it is made anew from the stores each time.

    Raises
    ------
    StoreError
        If there is no sealed store, or one cannot be read.
    ExportError
        If the library is not installed.
    """
    records = sorted(map(read_record, folder.glob("*.zarr")), key=lambda record: str(record.run_id))
    if not records:
        raise StoreError(folder, "there is no finished run", "See `facehog find state=finished`.")
    crate = _describe(records)
    write_durably(folder / NAME, json.dumps(crate.metadata.generate(), indent=2, ensure_ascii=False))
    return folder / NAME


def _describe(records: list[RunRecord]) -> Any:
    crate = need("rocrate.rocrate").ROCrate(version=_VERSION)
    names = ", ".join(dict.fromkeys(as_text(record.path.name) for record in records))
    crate.name = f"Runs of {names}"
    crate.description = (
        f"Histograms of oriented gradients of the face in {names}, made by facehog: {len(records)} runs, each a Zarr "
        "store. The recording itself is not part of this crate."
    )
    # When the newest was made: the document says the same whenever it is written.
    crate.datePublished = max(record.changed_at for record in records)
    crate.license = _add(
        crate, "#licence", "CreativeWork", name="not given", description="Nobody has given these data a licence."
    )
    crate.root_dataset["conformsTo"] = _add(
        crate, _PROFILE, "CreativeWork", name="Process Run Crate", version=_PROFILE.rsplit("/", 1)[1]
    )
    crate.root_dataset["mentions"] = [_add_run(crate, record) for record in records]
    return crate


def _add_run(crate: Any, record: RunRecord) -> Any:
    took = f"{record.n_frames} frames, {record.n_corrupt} of them corrupt"
    return _add(
        crate,
        f"#{record.run_id}",
        "CreateAction",
        name=f"Run {record.run_id}",
        description=" ".join(
            [f"{took}, on {record.host.get('name', 'a machine that is not named')}.", *record.warnings]
        ),
        instrument=_add_software(crate, record),
        object=[*_add_sources(crate, record), *_add_parameters(crate, record)],
        result=_add_store(crate, record),
        startTime=_moment(record.started_at),
        endTime=_moment(record.finished_at),
        actionStatus="http://schema.org/CompletedActionStatus",
    )


def _add_store(crate: Any, record: RunRecord) -> Any:
    return crate.add_dataset(
        dest_path=f"{record.run_id}.zarr",
        properties={
            "name": f"{record.run_id}.zarr",
            "description": f"Zarr v3: {', '.join(record.arrays)}",
            "encodingFormat": ["application/vnd.zarr; version=3", _ref(_add_format(crate))],
            "contentSize": str(record.store_size_bytes),
            "dateCreated": _moment(record.finished_at),
            "variableMeasured": [
                _ref(_add_value(crate, f"#{record.run_id}-{name}", name, value))
                for name, value in (
                    ("n_frames", record.n_frames),
                    ("n_corrupt", record.n_corrupt),
                    ("n_dropped", record.n_dropped),
                )
                if value is not None
            ],
        },
    )


def _add_format(crate: Any) -> Any:
    return _add(crate, _ZARR, ["WebPage", "Standard"], name="Zarr core specification, version 3")


def _add_sources(crate: Any, record: RunRecord) -> Iterator[Any]:
    """Add the recording, and its file of timestamps: they are named by what they hold, and lie elsewhere."""
    yield _add(
        crate,
        f"#recording-{record.digest}",
        ["MediaObject", "ImageObject" if is_folder(record.path) else "VideoObject"],
        name=as_text(record.path.name),
        description="The recording, as it was read",
        contentSize=str(record.size_bytes),
        contentUrl=record.path.as_uri() if record.path.is_absolute() else record.path.as_posix(),
        encodingFormat=guess_type(record.path.name)[0] or "application/octet-stream",
        additionalProperty=[
            _add_value(crate, f"#recording-{record.digest}-{name}", name, value)
            for name, value in record.identity.as_dict().items()
            if value is not None
        ],
        identifier=_add_value(crate, f"#digest-{record.digest}", "xxh3_128 of the content", record.digest),
    )
    sidecar = record.timing.get("sidecar")
    if sidecar and sidecar["is_used"]:
        digest = sidecar["digest"]
        yield _add(
            crate,
            f"#timestamps-{digest}",
            "MediaObject",
            name=Path(sidecar["path"]).name,
            description="The time of each frame, as the rig wrote it",
            encodingFormat="text/plain",
            identifier=_add_value(crate, f"#digest-{digest}", "xxh3_128 of the content", digest),
        )


def _add_parameters(crate: Any, record: RunRecord) -> Iterator[Any]:
    """Add each parameter with its value; those that are a table or list as JSON."""
    flat = {key: value for key, value in record.recipe.items() if key != "hog"}
    for key, value in (flat | {f"hog.{key}": value for key, value in record.recipe["hog"].items()}).items():
        plain = value if isinstance(value, str) else json.dumps(value)
        yield _add_value(crate, f"#{record.run_id}-{key}", key, plain)


def _add_software(crate: Any, record: RunRecord) -> Any:
    versions = {"facehog": "not noted", **record.software}
    libraries = [_add_program(crate, name, number) for name, number in versions.items() if name != "facehog"]
    # Runs by one facehog may be by others of its libraries.
    facehog = _add_program(crate, "facehog", versions["facehog"], f"?run={record.run_id}")
    facehog["softwareRequirements"] = libraries
    facehog["url"] = _METHOD
    return facehog


def _add_program(crate: Any, name: str, version: str, suffix: str = "") -> Any:
    identifier = _ELSEWHERE.get(name, _PACKAGE).format(name=name, version=quote(version)) + suffix
    return _add(crate, identifier, "SoftwareApplication", name=name, softwareVersion=version)


def _add_value(crate: Any, identifier: str, name: str, value: Any) -> Any:
    return _add(crate, identifier, "PropertyValue", name=name, value=value)


def _add(crate: Any, identifier: str, kind: str | list[str], /, **properties: Any) -> Any:
    entity = need("rocrate.model.contextentity").ContextEntity(crate, identifier, {"@type": kind})
    for name, value in properties.items():
        entity[name] = value
    return crate.add(entity)


def _ref(entity: Any) -> dict[str, str]:
    return {"@id": entity.id}


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")
