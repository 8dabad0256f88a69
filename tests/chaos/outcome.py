"""What must be so after each fault: every recording finished exactly once, with the bytes of an undisturbed run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import xxhash
from footage import fingerprint
from service_lab import ServiceLab

from deployments.processes import find_marked
from facehog_core import Catalogue
from facehog_core.schema import Fate

# What facehog keeps beside stores: what the nights' verifications found.
VERIFIED = ".verified.jsonl"


def check_finished(lab: ServiceLab, recordings: Iterable[Path], expected: Mapping[str, str]) -> None:
    """Wait for recordings to be finished, and check that each is so once, with the right bytes."""
    recordings = list(recordings)
    for path, file in lab.wait_until_settled(*recordings).items():
        assert file.state is Fate.FINISHED, f"{path.name} is {file.state}: {file.reason}\n{lab.logs()}"
        made = [found for found in (lab.store / path.stem).iterdir() if not found.name.endswith(VERIFIED)]
        assert made == [lab.store_of(path, file.run_id or "").final], f"{path.name} has {made}"
        assert fingerprint(made[0]) == expected, f"{path.name}: other bytes than an undisturbed run's"
    with Catalogue(f"sqlite:///{lab.catalogue}") as catalogue:
        for path in recordings:
            runs = [run for run in catalogue.records() if run.path == path]
            assert [run.state for run in runs] == [Fate.FINISHED], f"{path.name} is recorded as {runs}"


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
