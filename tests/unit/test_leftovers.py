from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest
from catalogue_users import come_to
from runs import BEGUN, fill_store, make_paths, make_store, make_work

from facehog_core.catalogue import Catalogue
from facehog_core.causes import Cause, CauseKind
from facehog_core.leftovers import find_leftovers, remove_leftovers
from facehog_core.locks import hold
from facehog_core.run_paths import RunPaths
from facehog_core.schema import Fate
from facehog_core.source import Signature
from facehog_core.store import create_store

LOOK = Signature(size_bytes=1, mtime_ns=2, inode=3)
MONTH = timedelta(days=30)
GONE = "is not seen in the inbox any more"
PATH = Path("/data/inbox/m\udcff12.mp4")


@pytest.fixture
def catalogue(file_url: str) -> Iterator[Catalogue]:
    with Catalogue(file_url, create=True) as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def leave(store: Path, days_ago: float, digest: str = "0123456789abcdef" * 2) -> RunPaths:
    """Leave a run half done: its store is filled, and not sealed."""
    work = make_work(path=str(PATH), digest=digest)
    paths = make_paths(store, work)
    fill_store(paths, work)
    at_s = time.time() - days_ago * 86400
    for path in [*paths.partial.rglob("*"), paths.partial]:
        os.utime(path, (at_s, at_s))
    return paths


@pytest.mark.parametrize(
    ("state", "reason", "is_kept"),
    [
        (Fate.FAILED, "the run was cancelled by hand", False),
        (Fate.QUARANTINED, "too much damage", False),
        (Fate.FINISHED, "under other parameters", False),
        (Fate.WAITING, GONE, False),
        (Fate.WAITING, "the disk is full", True),
        (Fate.QUEUED, "waits for its run", True),
        (Fate.RUNNING, "is being described", True),
    ],
)
def test_what_no_run_will_go_on_with_is_removed_after_a_while_and_its_story_says_so(
    store: Path, catalogue: Catalogue, state: Fate, reason: str, is_kept: bool
) -> None:
    cause = Cause(kind=CauseKind.VANISHED) if reason == GONE else None
    come_to(catalogue, PATH, state, reason, signature=LOOK, cause=cause)
    before, last = catalogue.file(PATH), catalogue.last_event()
    paths = leave(store, 31)
    removed = remove_leftovers(store, catalogue, MONTH)

    assert paths.partial.exists() is is_kept
    assert [found.paths.run_id for found in removed] == ([] if is_kept else [paths.run_id])
    assert catalogue.file(PATH) == before, "it is no news of the file itself"
    said = [step.reason for step in catalogue.story(PATH)[1:]]
    assert [("was removed" in text, "30 days" in text) for text in said] == ([] if is_kept else [(True, True)])
    assert catalogue.events_after(last, list(Fate)) == [], "nobody is told of it once more"


def test_what_was_touched_lately_is_kept_and_found(store: Path, catalogue: Catalogue) -> None:
    paths = leave(store, 29)
    assert remove_leftovers(store, catalogue, MONTH) == []
    (found,) = find_leftovers(store, catalogue)
    assert (found.paths.run_id, found.recording) == (paths.run_id, PATH)
    assert found.size_bytes > 1000
    # One file that was written is enough.
    paths = leave(store, 31)
    os.utime(next(paths.receipts.iterdir()))
    assert remove_leftovers(store, catalogue, MONTH) == []
    assert paths.partial.exists()


@pytest.mark.parametrize("is_held", [True, False])
def test_what_a_process_is_at_is_never_removed(store: Path, catalogue: Catalogue, is_held: bool) -> None:
    paths = leave(store, 31)
    with hold(catalogue.location, paths.run_id) if is_held else nullcontext():
        remove_leftovers(store, catalogue, MONTH)
    assert paths.partial.exists() is is_held


def test_what_cannot_be_read_any_more_is_removed_and_what_is_sealed_never(store: Path, catalogue: Catalogue) -> None:
    sealed = make_store(store, make_work(path=str(PATH), digest="f" * 32))
    at_s = time.time() - 400 * 86400
    for path in [*sealed.rglob("*"), sealed]:
        os.utime(path, (at_s, at_s))
    paths = leave(store, 31)
    (paths.working / "zarr.json").write_bytes(b"\0")
    os.utime(paths.working / "zarr.json", (at_s, at_s))
    remove_leftovers(store, catalogue, MONTH)

    assert list(paths.folder.iterdir()) == [sealed]
    assert list(find_leftovers(store, catalogue)) == []


def test_a_run_that_begins_with_it_meanwhile_keeps_it(
    store: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = leave(store, 31)
    waited = []

    def hold_after_a_run(location: str, name: str) -> object:
        waited.append(name)
        create_store(paths, make_work(path=str(PATH)), BEGUN)
        (paths.begun / "0-10").parent.mkdir()
        (paths.begun / "0-10").write_text("1")
        return hold(location, name)

    monkeypatch.setattr("facehog_core.leftovers.hold", hold_after_a_run)
    assert remove_leftovers(store, catalogue, MONTH) == []
    assert waited == [paths.run_id]
    assert paths.partial.exists()
