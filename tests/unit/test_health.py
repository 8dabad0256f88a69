from __future__ import annotations

import json
import shutil
import threading
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from catalogue_users import NOON, come_to, make_record, running

from deployments import health as health_module
from deployments.config_file import load_config
from deployments.health import Config, Health, Part, measure_free, measure_health
from deployments.health_server import serve_health
from deployments.pulse import Condition
from deployments.service_paths import ServicePaths
from deployments.status import find_health
from facehog_core import Catalogue
from facehog_core import catalogue as catalogue_module
from facehog_core.errors import ServiceError
from facehog_core.locks import hold
from facehog_core.schema import Fate
from facehog_core.source import Signature
from facehog_core.verifications import Verification
from facehog_core.vitals import STILL_AFTER

LOOK = Signature(size_bytes=1, mtime_ns=2, inode=3)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "facehog.toml"
    file.write_text("", "utf-8")
    return load_config(file)


def part(name: str = "dask-cluster", condition: Condition = Condition.WELL, **facts: object) -> Part:
    return Part(name=name, condition=condition, pid=1, facts=facts)


def test_it_counts_what_waits_and_runs_and_what_failed_within_a_day(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measure_health(config, [], is_up=True).files == health_module.Files(), "there is no catalogue yet"
    with Catalogue(config.catalogue, create=True) as catalogue:
        for number, state in enumerate([Fate.WAITING, Fate.WAITING, *Fate]):
            come_to(catalogue, Path(f"/inbox/{number}.mp4"), state, f"reason {number}", signature=LOOK)
        assert catalogue.oldest(Fate.WAITING) is not None
        oldest = catalogue.records("path=/inbox/0.mp4")[0].changed_at

    files = measure_health(config, [], is_up=True).files
    assert (files.n_waiting, files.n_queued, files.n_running, files.n_failed, files.n_quarantined) == (3, 1, 1, 1, 1)
    told = {"path": "/inbox/0.mp4", "since": oldest.isoformat(timespec="seconds"), "reason": "reason 0"}
    assert files.oldest_waiting == told

    monkeypatch.setattr(health_module, "A_DAY", -health_module.A_DAY)
    files = measure_health(config, [], is_up=True).files
    assert (files.n_waiting, files.n_failed, files.n_quarantined) == (3, 0, 0), "failures of other days are not counted"


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (part(condition=Condition.SILENT), "dask-cluster: does not answer"),
        (part(condition=Condition.ENDED), "dask-cluster: has ended, and is started again"),
        (part(workers=0), "dask-cluster: there are no workers"),
        (part("sensor", troubles={"/in": "is gone"}), "inbox /in: is gone"),
    ],
)
def test_a_part_that_is_not_well_is_said_in_words(config: Config, bad: Part, problem: str) -> None:
    good = [part("runner", last_look_s=1.0), part(workers=2)]
    assert measure_health(config, good, is_up=True).is_well
    found = measure_health(config, [*good, bad], is_up=True)
    assert (found.is_well, found.problems) == (False, [problem])


def test_little_space_and_a_broken_catalogue_are_problems(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    config.catalogue_file.write_text("no database " * 100, "utf-8")
    found = measure_health(config, [], is_up=True)
    assert len(found.problems) == 2
    assert "cannot be used" in found.problems[0]
    assert found.problems[1].endswith("1.0 GB are free")


def test_a_runner_that_lives_and_begins_no_runs_is_a_problem(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    with Catalogue(config.catalogue, create=True) as catalogue:
        turn = partial(come_to, catalogue, reason="by hand", signature=LOOK)
        for name in "ab":
            turn(Path(f"/inbox/{name}.mp4"), Fate.QUEUED)
        assert measure_health(config, [], is_up=True).is_well
        later = health_module.now() + 2 * health_module.STANDSTILL
        monkeypatch.setattr(health_module, "now", lambda: later)
        stuck = measure_health(config, [], is_up=True)
        said = "runner: 2 recordings are queued, and no run has begun for 10 minutes; see runner.log"
        assert stuck.problems == [said]
        assert Health.from_dict(stuck.as_dict()) == stuck
        turn(Path("/inbox/long.mp4"), Fate.RUNNING)
        with hold(catalogue.location, "/inbox/long.mp4"):
            assert not measure_health(config, [], is_up=True).files.n_stuck, "they wait for one that takes its time"
        # It has ended a moment ago.
        monkeypatch.setattr(catalogue_module, "now", lambda: later)
        turn(Path("/inbox/long.mp4"), Fate.FINISHED)
        assert measure_health(config, [], is_up=True).is_well


def test_runs_in_progress_are_told_with_their_last_sign_of_life(config: Config) -> None:
    path = Path("/inbox/long.mp4")
    with Catalogue(config.catalogue, create=True) as catalogue:
        come_to(catalogue, path, Fate.RUNNING, "300 frames are being described", signature=LOOK)
        with hold(catalogue.location, str(path)):
            good = measure_health(config, [], is_up=True)
    assert good.is_well
    (told,) = good.files.running
    assert (told["path"], told["doing"], told["vigour"]) == (str(path), "300 frames are being described", "alive")
    assert told["told"].startswith("last sign of life")
    dead = measure_health(config, [], is_up=True)
    assert len(dead.problems) == 1
    assert dead.problems[0].startswith(f"{path}: its process is gone")
    assert Health.from_dict(json.loads(json.dumps(dead.as_dict()))) == dead


def test_a_run_that_stands_still_is_a_problem_where_no_other_goes_on(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    still, alive = Path("/inbox/still.mp4"), Path("/inbox/alive.mp4")
    with Catalogue(config.catalogue, create=True) as catalogue:
        come_to(catalogue, still, Fate.RUNNING, "is being read", signature=LOOK)
        later = health_module.now() + 2 * STILL_AFTER
        monkeypatch.setattr(health_module, "now", lambda: later)
        with hold(catalogue.location, str(still)), hold(catalogue.location, str(alive)):
            (problem,) = measure_health(config, [], is_up=True).problems
            assert problem.startswith(f"{still}: no sign of life for 60 minutes")
            # It may have to wait for the workers that another one has.
            monkeypatch.setattr(catalogue_module, "now", lambda: later)
            come_to(catalogue, alive, Fate.RUNNING, "300 frames are being described", signature=LOOK)
            found = measure_health(config, [], is_up=True)
    assert found.is_well
    assert [run["vigour"] for run in found.files.running] == ["still", "alive"]


def test_a_store_that_verification_found_wrong_is_a_problem_until_it_is_mended(config: Config) -> None:
    record = make_record()
    with Catalogue(config.catalogue, create=True) as catalogue:
        catalogue.record(record)
        looks = [
            Verification(at=NOON + timedelta(days=day), is_deep=False, source="unchanged", problems=problems)
            for day, problems in enumerate([["a shard is missing"], []])
        ]
        catalogue.note_verifications(str(record.run_id), looks[:1])
        said = "verification: 1 run was found wrong; see `facehog find verdict=wrong`"
        assert measure_health(config, [], is_up=True).problems == [said]
        assert catalogue.rows("verdict=wrong", columns=("run",)) == [(record.run_id,)], "what it says to give finds it"
        catalogue.note_verifications(str(record.run_id), looks[1:])
    assert measure_health(config, [], is_up=True).is_well


def test_free_space_is_that_of_the_folder_that_there_is(tmp_path: Path) -> None:
    there = shutil.disk_usage(tmp_path).free
    assert abs((measure_free(tmp_path / "not" / "yet") or 0) - there) < 10**9


def test_what_is_told_over_http_is_read_back_and_its_status_tells_health(config: Config) -> None:
    healths = [measure_health(config, [part("sensor", troubles={}), part(workers=n)], is_up=True) for n in (2, 0)]
    answers = iter(healths)
    with serve_health(lambda: next(answers), 0) as url:
        first, second = httpx.get(url), httpx.get(url)
    assert (first.status_code, second.status_code) == (200, 503)
    assert [Health.from_dict(answer.json()) for answer in (first, second)] == healths


def test_only_who_asks_this_machine_for_health_is_answered(config: Config) -> None:
    def fail() -> Health:
        raise OSError("the disk is gone")

    with serve_health(fail, 0) as url:
        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(url, headers={"Host": "evil.example:80"}).status_code == 404
        assert httpx.get(url.replace("/health", "/")).status_code == 404
        assert httpx.post(url).status_code == 501
        assert httpx.get(url).status_code == 500, "and it goes on answering"
        with (
            pytest.raises(ServiceError, match="another program listens there"),
            serve_health(fail, httpx.URL(url).port or 0),
        ):
            pass


def test_status_asks_the_service_that_is_up_and_says_what_is_wrong_otherwise(config: Config) -> None:
    paths = ServicePaths(state_dir=config.state_dir)
    assert find_health(config).problems == ["facehog is not up; `facehog up` starts it"]
    with paths.alone():
        assert find_health(config).problems == ["facehog is still starting"]
        healthy = measure_health(config, [part(workers=2)], is_up=True)
        with serve_health(lambda: healthy, 0) as url:
            paths.addresses.write_text(json.dumps({"health_url": url}), "utf-8")
            assert find_health(config) == healthy
        found = find_health(config)
        assert found.is_up
        assert "is up, but does not answer" in found.problems[0]
    assert not find_health(config).is_up, "what it left behind does not mean that it is up"


def test_a_disk_that_fails_hides_runs_in_progress_and_nothing_else(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Catalogue(config.catalogue, create=True) as catalogue:
        catalogue.record(running(make_record()))

    def fail(_: Path) -> bool:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "is_dir", fail)
    files = measure_health(config, [], is_up=True).files
    assert (files.n_running, files.running) == (1, [])


def test_a_disk_that_does_not_answer_keeps_nobody_waiting(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    is_back = threading.Event()
    monkeypatch.setattr(health_module, "measure_free", lambda _: is_back.wait() and 10**12)
    monkeypatch.setattr(health_module, "ANSWER_S", 0.01)
    found = measure_health(config, [], is_up=True)
    assert found.free_bytes is None
    assert found.problems == [f"store {config.store}: its disk cannot be looked at"]
    is_back.set()
