"""What must be so after each fault: every recording finished exactly once, with the bytes of an undisturbed run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import xxhash
from footage import fingerprint
from service_lab import ServiceLab

from deployments.processes import find_marked
from facehog_core import Catalogue
from facehog_core.schema import Fate

# What facehog keeps beside stores: what the nights' verifications found.
VERIFIED = ".verified.jsonl"


# Shards that are described: their files, by recording and path within the store, and when those were written.
Shards = Mapping[tuple[Path, str], int]


def find_shards(lab: ServiceLab, recordings: Iterable[Path]) -> Shards:
    """Return the shards of recordings that are described by now: what was done is not to be done again."""
    found = {}
    for path in recordings:
        for receipt in lab.store.glob(f"{path.stem}/*.partial/receipts/*.json"):
            # The run may end, and be tidied up, at any time.
            with suppress(FileNotFoundError):
                for name in json.loads(receipt.read_text("utf-8"))["files"]:
                    found[path, name] = (receipt.parents[1] / "store.zarr" / name).stat().st_mtime_ns
    return found


def check_finished(
    lab: ServiceLab, recordings: Iterable[Path], expected: Mapping[str, str], done: Shards | None = None
) -> None:
    """Wait for recordings to be finished, and check that each is so once, with the right bytes.

    Parameters
    ----------
    lab : ServiceLab
    recordings : iterable of Path
    expected : mapping of str to str
        The fingerprint of an undisturbed run's store.
    done : mapping, optional
        What `find_shards` found before the fault.
    """
    recordings = list(recordings)
    made_of: dict[Path, Path] = {}
    for path, file in lab.wait_until_settled(*recordings).items():
        assert file.state is Fate.FINISHED, f"{path.name} is {file.state}: {file.reason}\n{lab.logs()}"
        made = [found for found in (lab.store / path.stem).iterdir() if not found.name.endswith(VERIFIED)]
        assert made == [lab.store_of(path, file.run_id or "").final], f"{path.name} has {made}"
        assert fingerprint(made[0]) == expected, f"{path.name}: other bytes than an undisturbed run's"
        made_of[path] = made[0]
    for (path, name), written_ns in (done or {}).items():
        assert (made_of[path] / name).stat().st_mtime_ns == written_ns, f"{path.name}: {name} was described again"
    with Catalogue(f"sqlite:///{lab.catalogue}") as catalogue:
        for path in recordings:
            runs = [run for run in catalogue.records() if run.path == path]
            assert [run.state for run in runs] == [Fate.FINISHED], f"{path.name} is recorded as {runs}"
            # Attempts share a run's row.
            story = catalogue.story(path)
            assert [step.state for step in story].count(Fate.FINISHED) == 1, f"{path.name} was finished again: {story}"


def check_nothing_is_left(lab: ServiceLab) -> None:
    """Check that a service that was stopped has left no process, and nothing half made."""
    assert find_marked(str(lab.state_dir)) == []
    among = [path for path in lab.store.iterdir() if not path.is_dir()]
    within = [path for path in lab.store.glob("*/*") if path.suffix != ".zarr" and not path.name.endswith(VERIFIED)]
    strays = among + within
    assert strays == []


def digest_of(folder: Path) -> dict[Path, str]:
    """Digest what lies in an inbox: it is not to be changed."""
    return {path: xxhash.xxh3_128_hexdigest(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
