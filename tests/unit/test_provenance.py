from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import av

from facehog_core.provenance import RunRecord, describe_host, describe_software, find_version, now
from facehog_core.schema import Fate


def test_the_software_names_all_that_shapes_a_number_with_ffmpegs_libraries() -> None:
    software = describe_software()

    assert software["numpy"] == version("numpy")
    assert software["libavcodec"] == ".".join(map(str, av.library_versions["libavcodec"]))
    assert {"python", "facehog", "av", "numba", "zarr", "numcodecs", "libavformat", "libswscale"} <= set(software)
    assert "not installed" not in software.values()


def test_what_has_no_say_in_the_numbers_is_told_of_the_host() -> None:
    # Another version of Prefect must not make a half made store be thrown away.
    assert "prefect" in describe_host()
    assert not set(describe_software()) & set(describe_host())


def test_a_package_that_is_missing_is_no_error() -> None:
    assert find_version("no-such-package-of-mice") == "not installed"


def test_the_time_is_in_utc_and_whole_milliseconds() -> None:
    moment = now()

    assert moment.tzinfo is UTC
    assert moment.microsecond % 1000 == 0


def test_a_record_is_told_in_json() -> None:
    moment = datetime(2026, 11, 21, 12, tzinfo=UTC)
    record = RunRecord(
        path=Path("/data/m12.mp4"), state=Fate.FINISHED, reason="300 frames", changed_at=moment, size_bytes=9
    )

    told = json.loads(json.dumps(record.as_dict()))
    assert (told["path"], told["state"], told["changed_at"]) == (
        "/data/m12.mp4",
        "finished",
        "2026-11-21T12:00:00+00:00",
    )
    assert told["store"] is None
    assert set(told) == set(RunRecord.__dataclass_fields__)
