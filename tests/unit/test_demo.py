"""How far the demo says that a recording is, from when it lands to its end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from catalogue_users import make_record
from runs import BEGUN, make_hogs, make_paths, make_work, shards_of

from deployments.config_file import load_config
from deployments.demo import _measure
from facehog_core.schema import Fate
from facehog_core.store import create_store, write_shard


def test_progress_is_told_of_what_has_no_run_yet_of_what_runs_and_of_what_has_ended(tmp_path: Path) -> None:
    (tmp_path / "facehog.toml").write_text("")
    config = load_config(tmp_path / "facehog.toml")
    work = make_work()
    paths = make_paths(config.store, work)
    landed = replace(make_record(), path=Path(work.info.path), state=Fate.WAITING, run_id=None, n_frames=None)
    assert _measure(config, landed) == {}
    running = replace(landed, state=Fate.RUNNING, run_id=paths.run_id)
    assert _measure(config, running) == {}, "nothing is laid out yet"
    create_store(paths, work, BEGUN)
    first, *_ = shards_of(work)
    write_shard(paths, first, make_hogs(work, first))
    assert _measure(config, running) == {"completed": 10, "total": 23}
    assert _measure(config, replace(running, n_frames=23)) == {"completed": 23, "total": 23}
