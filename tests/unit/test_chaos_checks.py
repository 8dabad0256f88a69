"""That the checks of the chaos suite see what must not be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from barcode import write_recording
from footage import fingerprint
from outcome import check_finished, find_shards
from runs import BEGUN, ENDED
from service_lab import ServiceLab

from facehog_core import Catalogue, Recipe
from facehog_core.extract import extract_chunk, plan_run
from facehog_core.recipe import name_run
from facehog_core.run_paths import RunPaths
from facehog_core.schema import Fate
from facehog_core.sealed import read_record
from facehog_core.sealing import seal_store
from facehog_core.source import Signature
from facehog_core.video import probe


def test_what_is_described_or_finished_again_is_seen(tmp_path: Path) -> None:
    lab = ServiceLab(tmp_path)
    recording = write_recording(lab.inbox / "m12.mp4", 5)
    info, _ = probe(recording)
    paths = RunPaths(root=lab.store, recording="m12", run_id=name_run(info.digest, Recipe()))
    (chunk,) = plan_run(paths, info, Recipe(), BEGUN)
    receipts = extract_chunk(paths, chunk)
    done = find_shards(lab, [recording])
    assert {name for _, name in done} == set(receipts[0].files)
    record, expected = read_record(final := seal_store(paths, receipts, ENDED)), fingerprint(final)
    with Catalogue(f"sqlite:///{lab.catalogue}", create=True) as catalogue:
        catalogue.set_fate(recording, Fate.RUNNING, "is being read", signature=Signature.of(recording))
        catalogue.record(record)
        check_finished(lab, [recording], expected, done)

        (_, name), *_ = done
        os.utime(final / name, (0, 0))
        with pytest.raises(AssertionError, match="was described again"):
            check_finished(lab, [recording], expected, done)
        catalogue.set_fate(recording, Fate.RUNNING, "is being read")
        catalogue.record(record)
        with pytest.raises(AssertionError, match="was finished again"):
            check_finished(lab, [recording], expected)
