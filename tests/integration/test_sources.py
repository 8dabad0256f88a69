"""The flow on recordings that are not what they seem, or do not stay what they were."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from barcode import write_recording
from lab import Lab

from facehog_core import Catalogue, confirm, open_session
from facehog_core.schema import Fate
from facehog_core.source import digest_file

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_a_recording_that_is_not_what_the_file_beside_it_says_is_quarantined(lab: Lab, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "m12.mp4", 5)
    sidecar = tmp_path / "m12.facehog.toml"
    sidecar.write_text("n_frames = 6")
    state = lab.process(path)

    assert state.name == "Quarantined"
    assert lab.record(path).state == Fate.QUARANTINED
    assert "m12.facehog.toml: it says n_frames = 6, and m12.mp4 holds 5" in lab.record(path).reason
    assert lab.left_behind() == []
    sidecar.write_text(f"n_frames = 5\ndigest = 'xxh3_128:{digest_file(path)}'")
    assert lab.process(path).is_completed()


# A short recording is described by one task, a longer one by several.
LENGTHS = pytest.mark.parametrize("n_frames", [5, 300])


def do_before_the_end(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Let something happen to a recording when all of it has been described."""
    check = confirm.check_unchanged
    monkeypatch.setattr(confirm, "check_unchanged", lambda info: (do(), check(info)))


@LENGTHS
def test_a_recording_that_is_replaced_in_mid_run_leaves_nothing_and_is_taken_up_as_it_is_then(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_frames: int
) -> None:
    path = write_recording(tmp_path / "m12.mp4", n_frames)

    def replace() -> None:
        # As `cp --preserve` of another take: nothing but the bytes tells.
        status, content = path.stat(), path.read_bytes()
        path.write_bytes(content.replace(b"Lavf", b"Lave"))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    with monkeypatch.context() as patch:
        do_before_the_end(patch, replace)
        state = lab.process(path)
    assert state.name == "Changed"
    with Catalogue(lab.catalogue) as catalogue:
        file = catalogue.file(path)
    assert file is not None
    assert file.state is Fate.WAITING
    assert "its content changed while it was processed" in file.reason
    assert [found for found in lab.left_behind() if found.is_file()] == []

    assert lab.process(path).is_completed()
    with Catalogue(lab.catalogue) as catalogue:
        (made,) = catalogue.find({"state": "finished"})
    assert made.digest == digest_file(path)


@LENGTHS
def test_a_recording_that_is_only_touched_goes_on_from_what_is_done(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_frames: int
) -> None:
    path = write_recording(tmp_path / "m12.mp4", n_frames)
    with monkeypatch.context() as patch:
        do_before_the_end(patch, lambda: os.utime(path))
        assert lab.process(path).name == "Changed"
    assert list(lab.store.rglob("receipts/*.json")), "what was described stays"
    assert lab.process(path).is_completed()
    assert not list(lab.store.rglob("*.partial"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_recording_may_have_any_name_that_the_disk_takes(lab: Lab, tmp_path: Path) -> None:
    odd = "-o 100%s {0} %(x)s\n'\"`$(x)&;*?[a]<b>\\ü "
    name = odd + "n" * (255 - len(odd.encode()) - 4) + ".mp4"
    path = write_recording(tmp_path / "m12.mp4", 5).rename(tmp_path / name)
    assert len(os.fsencode(name)) == 255

    assert lab.process(path).is_completed()
    record = lab.record(path)
    assert record.state == Fate.FINISHED
    assert record.store is not None
    assert open_session(record.store).sizes["frame"] == 5
    with Catalogue(lab.catalogue) as catalogue:
        assert [step.state for step in catalogue.story(path)][-1] == Fate.FINISHED


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_refused_and_hangs_nothing(lab: Lab, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m12.mp4")
    state = lab.process(tmp_path / "m12.mp4")

    assert state.name == "Quarantined"
    with Catalogue(lab.catalogue) as catalogue:
        file = catalogue.file(tmp_path / "m12.mp4")
    assert file is not None
    assert file.state is Fate.QUARANTINED
