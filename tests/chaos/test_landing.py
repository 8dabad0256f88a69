"""What people do to an inbox: slow copies, renames, replacements, deletions, copies of copies, crowds."""

from __future__ import annotations

import os
import random
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from footage import Footage
from outcome import check_finished
from service_lab import SETTLE_S, ServiceLab
from strike import RUNS, reach

from facehog_core import Catalogue
from facehog_core.leftovers import remove_leftovers
from facehog_core.schema import Fate
from facehog_core.source import digest_file

# CI has the same of the flow alone, in tests/integration/test_sources.py.
pytestmark = [pytest.mark.e2e, pytest.mark.thorough, pytest.mark.timeout(3600)]

# Pieces of a slow copy, which takes longer than a file must stand still.
N_PIECES = 12


@pytest.mark.fault("a file is replaced in mid-run", "the new one is described, and only that one")
def test_a_file_that_is_replaced_in_mid_run_is_described_as_it_is_now(
    lab: ServiceLab, footage: Footage, moment: random.Random
) -> None:
    landed, _ = reach(lab, lambda: footage.land(lab.inbox, f"{moment.getrandbits(64):016x}.mp4"), moment)
    (target,) = footage.land(lab.inbox, landed[-1].name)
    digest = digest_file(target)[:12]
    lab.wait_for(
        lambda: (file := lab.file(target)) and file.state is Fate.FINISHED and (file.run_id or "").startswith(digest),
        "the new file's run",
    )
    file = lab.file(target)
    assert file is not None
    assert not list((lab.store / target.stem).glob("*.partial")), "of the old one nothing half made is left"


@pytest.mark.fault("a file is deleted in mid-run, and comes back", "others go on; it is finished when it is back")
def test_a_file_that_is_deleted_in_mid_run_is_finished_when_it_is_back(
    lab: ServiceLab, footage: Footage, moment: random.Random
) -> None:
    def land() -> list[Path]:
        tag = f"{moment.getrandbits(64):016x}"
        return footage.land(lab.inbox, f"{tag}gone.mp4", f"{tag}kept.mp4")

    (*_, gone, kept), _ = reach(lab, land, moment, RUNS)
    content = gone.read_bytes()
    gone.unlink()
    check_finished(lab, [kept], footage.expected)
    lab.wait_for(
        lambda: (file := lab.file(gone)) is None or file.state is Fate.WAITING, "the run of a lost file to end"
    )
    gone.write_bytes(content)
    check_finished(lab, [gone], footage.expected)


@pytest.mark.fault("a file is copied slowly", "it waits for its end, and is described once")
def test_a_file_that_is_copied_slowly_is_described_once(
    lab: ServiceLab, footage: Footage, moment: random.Random
) -> None:
    target, content = lab.inbox / f"{moment.getrandbits(64):016x}.mp4", footage.content()
    size = len(content) // N_PIECES + 1
    with target.open("wb") as file:
        for start in range(0, len(content), size):
            file.write(content[start : start + size])
            file.flush()
            time.sleep(moment.uniform(0, SETTLE_S / 2))
    check_finished(lab, [target], footage.expected)


@pytest.mark.fault("a file is renamed in mid-run", "it is finished under its new name, once")
def test_a_file_that_is_renamed_in_mid_run_is_finished_under_its_new_name(
    lab: ServiceLab, footage: Footage, moment: random.Random
) -> None:
    landed, _ = reach(lab, lambda: footage.land(lab.inbox, f"{moment.getrandbits(64):016x}.mp4"), moment, RUNS)
    *others, old = landed
    renamed = old.rename(old.with_stem(f"{old.stem}renamed"))
    check_finished(lab, [*others, renamed], footage.expected)
    lab.wait_for(lambda: (file := lab.file(old)) and file.state is Fate.WAITING, "the run of the old name to end")
    # It would be gone on with if the old name came back. After a while somebody tidies up.
    with Catalogue(lab.catalogue_url) as catalogue:
        assert {found.recording for found in remove_leftovers(lab.store, catalogue, timedelta())} <= {old}


@pytest.mark.fault("the same file under 20 names", "it is described once; the others are its duplicates")
def test_the_same_file_under_20_names_is_described_once(
    lab: ServiceLab, footage: Footage, moment: random.Random
) -> None:
    tag = f"{moment.getrandbits(64):016x}"
    targets = [lab.inbox / f"{tag}-{number}.mp4" for number in range(20)]
    for target in targets:
        target.write_bytes(footage.content(tag))
    states = [file.state for file in lab.wait_until_settled(*targets).values()]
    assert sorted(states) == sorted([Fate.FINISHED, *[Fate.DUPLICATE] * 19])


@pytest.mark.fault("a file grows for ever", "it waits, and others go on")
def test_a_file_that_grows_for_ever_waits(lab: ServiceLab, footage: Footage, moment: random.Random) -> None:
    tag = f"{moment.getrandbits(64):016x}"
    growing, stop = lab.inbox / f"{tag}growing.mp4", threading.Event()

    def grow() -> None:
        with growing.open("ab") as file:
            while not stop.wait(SETTLE_S / 10):
                file.write(os.urandom(1000))
                file.flush()

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        check_finished(lab, footage.land(lab.inbox, f"{tag}.mp4"), footage.expected)
        file = lab.file(growing)
        assert file is not None
        assert file.state is Fate.WAITING
    finally:
        stop.set()
        writer.join()
        growing.unlink()


@pytest.mark.fault("1,000 files at once", "each has its fate; the good ones are finished")
def test_a_thousand_files_at_once_are_all_dealt_with(lab: ServiceLab, footage: Footage, moment: random.Random) -> None:
    folder = lab.inbox / f"{moment.getrandbits(64):016x}"
    folder.mkdir()
    bad = [folder / f"bad{number}.mp4" for number in range(990)]
    for path in bad:
        path.write_bytes(b"no video " + path.name.encode())
    good = footage.land(folder, *(f"{folder.name}good{number}.mp4" for number in range(10)))
    assert {file.state for file in lab.wait_until_settled(*bad, patience_s=1800).values()} == {Fate.QUARANTINED}
    check_finished(lab, good, footage.expected)
