from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from barcode import write_recording
from hypothesis import given
from hypothesis import strategies as st

from facehog_core.choices import choose_by_sidecar, read_manifest
from facehog_core.confirm import check_manifest, confirm_source, tell_missing
from facehog_core.errors import ChangedError, ConfigError, ManifestError
from facehog_core.manifest import ALGORITHMS, Manifest
from facehog_core.recipe import Recipe
from facehog_core.video import VideoInfo, probe

N_FRAMES = 6


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_recording(tmp_path_factory.mktemp("whole") / "m12.mp4", n_frames=N_FRAMES).read_bytes()


@pytest.fixture
def recording(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "m12.mp4"
    path.write_bytes(content)
    return path


@pytest.fixture
def info(recording: Path) -> VideoInfo:
    return probe(recording)[0]


def say(recording: Path, **values: object) -> Path:
    sidecar = recording.with_suffix(".facehog.json")
    sidecar.write_text(json.dumps(values))
    return sidecar


# -- what whoever made it says ----------------------------------------------------------------------------


def test_a_recording_that_is_what_the_file_beside_it_says_passes(recording: Path, info: VideoInfo) -> None:
    content = recording.read_bytes()
    digests = {name: hashlib.new(name, content).hexdigest() for name in ("md5", "sha1", "sha256")}
    for name, digits in {**digests, "xxh3_128": info.digest}.items():
        say(recording, size_bytes=len(content), n_frames=N_FRAMES, digest=f"{name}:{digits.upper()}", subject="CSE020")
        check_manifest(info)
    assert choose_by_sidecar(Recipe(), recording) == Recipe(), "what it must be is no choice of how it is described"


def test_a_recording_of_which_nothing_is_said_passes(info: VideoInfo) -> None:
    check_manifest(info)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_other_bytes_than_were_promised_are_refused_with_both_digests(
    recording: Path, info: VideoInfo, algorithm: str
) -> None:
    promised = f"{algorithm}:{'0' * ALGORITHMS[algorithm]}"
    say(recording, digest=promised)
    with pytest.raises(ManifestError) as raised:
        check_manifest(info)
    assert f"m12.facehog.json: it says digest = {promised}, and m12.mp4 has {algorithm}:" in str(raised.value)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"n_frames": 9000}, "n_frames = 9000, and m12.mp4 holds 6"),
        ({"size_bytes": 7}, "size_bytes = 7, and m12.mp4 has"),
    ],
)
def test_another_number_of_frames_or_bytes_is_refused_with_both(
    recording: Path, info: VideoInfo, said: dict[str, int], found: str
) -> None:
    say(recording, **said)
    with pytest.raises(ManifestError, match=f"it says {found}"):
        check_manifest(info)


@pytest.mark.parametrize(
    "values",
    [
        {"size_bytes": "10"},
        {"size_bytes": 0},
        {"n_frames": True},
        {"n_frames": 2.5},
        {"digest": "0" * 32},
        {"digest": f"crc32:{'0' * 8}"},
        {"digest": f"md5:{'g' * 32}"},
        {"digest": f"sha256:{'0' * 63}"},
        {"digest": 5},
    ],
)
def test_a_wrong_value_is_named_with_what_it_must_be(recording: Path, values: dict[str, object]) -> None:
    say(recording, **values)
    (name,) = values
    with pytest.raises(ConfigError, match=rf"m12.facehog.json: {name} = .* is wrong. It must be "):
        choose_by_sidecar(Recipe(), recording)
    with pytest.raises(ConfigError, match=r"m12.facehog.json: "):
        read_manifest(recording)


@pytest.mark.parametrize("text", ["[1, 2]", "3", "{", '{"n_frames": NaN}', "\0"])
def test_what_is_no_table_of_keys_is_refused_in_words(recording: Path, text: str) -> None:
    recording.with_suffix(".facehog.json").write_text(text)
    with pytest.raises(ConfigError, match=r"m12.facehog.json: "):
        choose_by_sidecar(Recipe(), recording)


@given(st.integers(1, 10**12), st.integers(0, 10**12))
def test_what_has_not_arrived_is_told_and_what_is_too_much_refused(promised: int, size_bytes: int) -> None:
    path, manifest = Path("/nowhere/m12.mp4"), Manifest(size_bytes=promised)
    if size_bytes > promised:
        with pytest.raises(ManifestError, match=f"size_bytes = {promised}"):
            tell_missing(path, manifest, size_bytes)
    else:
        told = tell_missing(path, manifest, size_bytes)
        assert (told is None) == (size_bytes == promised)
        assert told is None or f"has {size_bytes} of the {promised} bytes" in told


# -- still what it was ------------------------------------------------------------------------------------


def test_a_recording_that_is_what_it_was_is_confirmed(info: VideoInfo) -> None:
    confirm_source(info)


def test_other_bytes_of_the_same_size_and_time_are_found(recording: Path, info: VideoInfo, content: bytes) -> None:
    found = recording.stat()
    recording.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(recording, ns=(found.st_atime_ns, found.st_mtime_ns))
    with pytest.raises(ChangedError, match="its content changed while it was processed"):
        confirm_source(info)


@pytest.mark.parametrize("change", ["touched", "gone"])
def test_a_recording_that_was_touched_or_is_gone_is_another(recording: Path, info: VideoInfo, change: str) -> None:
    if change == "gone":
        recording.unlink()
    else:
        os.utime(recording, ns=(0, info.mtime_ns + 1))
    with pytest.raises(ChangedError):
        confirm_source(info)
