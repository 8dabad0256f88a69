from __future__ import annotations

from pathlib import Path

from barcode import write_recording

from facehog_core import Catalogue, Recipe
from facehog_core.locks import hold
from facehog_core.source import Signature
from facehog_core.video import probe
from flows.ledger import Ledger


def test_other_runs_in_progress_are_those_that_a_process_is_at(tmp_path: Path) -> None:
    paths = [write_recording(tmp_path / f"{name}.mp4", 5) for name in ("own", "dead", "alive")]
    with Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as records:
        ledgers = [
            Ledger(records, tmp_path / "store", path, Signature.of(path), Recipe(), 1, "flow-1", None) for path in paths
        ]
        assert ledgers[0].find_others() == []
        for path, ledger in zip(paths, ledgers, strict=True):
            ledger.begin(probe(path)[0], f"run-{path.stem}")
        with hold(records.location, "run-own"), hold(records.location, "run-alive"):
            (other,) = ledgers[0].find_others()
    assert other.final == tmp_path / "store" / "alive" / "run-alive.zarr"
