"""`facehog up`, as a lab runs it: real processes, real files, real signals."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from barcode import write_recording
from loopback import Receiver, receive
from postgresql import find_obstacle
from service_lab import N_MOUSE, PATIENCE_S, REPOSITORY, SETTLE_S, VICTIMS, ServiceLab, write_mouse

from deployments.environment import describe_environment
from deployments.processes import find_marked
from deployments.service_paths import ServicePaths
from deployments.stop import stop_service
from facehog_core import Catalogue, open_session
from facehog_core.schema import Fate

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.name == "nt", reason="stops services by POSIX signals"),
]

# So many times the mouse are several chunks: a recording in whose midst something can happen.
N_LONG = 4
SECRET = "hooks-secret-not-to-be-kept"
PASSWORD = "password-not-to-be-kept"


@pytest.fixture(scope="module")
def told() -> Iterator[Receiver]:
    """Return who is told of recordings that are refused."""
    with receive() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def started(
    tmp_path_factory: pytest.TempPathFactory,
    told: Receiver,
    make_catalogue_url: Callable[[str, Path], str],
) -> Iterator[ServiceLab]:
    """Start a service for the tests of this module: it takes a while.

    Its catalogue is on a server, where one can be started; those of the chaos suite, of the demo and of all others are
    files.
    """
    folder = tmp_path_factory.mktemp("lab")
    kind = "sqlite" if find_obstacle() else "postgresql"
    secrets = {
        "FACEHOG_NOTIFY__SLACK": f"{told.url}/{SECRET}",
        "FACEHOG_PREFECT__AUTH_STRING": f"lab:{PASSWORD}",
    }
    lab = ServiceLab(folder, secrets, make_catalogue_url(kind, folder))
    # There before anybody looks.
    write_recording(lab.inbox / "early.mp4", 20)
    lab.start()
    yield lab
    stop_service(ServicePaths(state_dir=lab.state_dir))


@pytest.fixture
def lab(started: ServiceLab) -> ServiceLab:
    """Return a lab whose service runs, also after a test that stopped it."""
    if not started.is_running:
        started.start()
    return started


def copy_slowly(source: Path, target: Path, n_pieces: int = 24) -> float:
    """Copy a file for longer than a file must stand still, and return the longest pause in seconds."""
    content, pauses_s, last_s = source.read_bytes(), [], time.monotonic()
    size = -(-len(content) // n_pieces)
    with target.open("wb") as file:
        for start in range(0, len(content), size):
            file.write(content[start : start + size])
            file.flush()
            pauses_s.append(time.monotonic() - last_s)
            last_s += pauses_s[-1]
            time.sleep(2 * SETTLE_S / n_pieces)
    return max(pauses_s)


def test_a_recording_that_was_there_before_the_start_is_processed(lab: ServiceLab) -> None:
    files = lab.wait_until_settled(lab.inbox / "early.mp4")
    assert files[lab.inbox / "early.mp4"].state is Fate.FINISHED


# A recording that loses one of these waits until there is another one: meanwhile the others are killed.
RESTING = ("cluster", "prefect")


def test_kill_9_of_any_one_process_is_survived(lab: ServiceLab, tmp_path: Path) -> None:
    n_frames: dict[Path, int] = {}
    for name, command in VICTIMS.items():
        # The run has to be long enough for the process to be found.
        n_times = 2 if name == "flow" else 1
        target = write_mouse(tmp_path / f"{name}.mp4", n_times).rename(lab.inbox / f"{name}.mp4")
        n_frames[target] = n_times * N_MOUSE
        lab.wait_for(lambda target=target: (file := lab.file(target)) and file.state is Fate.RUNNING, f"{name} to run")
        victims = lab.wait_for(lambda command=command: lab.find_processes(command), command)
        # Of the hosts only one has the flow: it is among them.
        for victim in victims if name == "flow" else victims[:1]:
            victim.kill()
        if name not in RESTING:
            lab.wait_until_settled(target)
    for target, file in lab.wait_until_settled(*n_frames).items():
        assert file.state is Fate.FINISHED, (target.name, file.reason, lab.logs())
        assert open_session(lab.store_of(target, file.run_id or "").final).sizes["frame"] == n_frames[target]
        assert len(list((lab.folder / "store" / target.stem).iterdir())) == 1, "once, and nothing half made"


def test_a_recording_that_is_copied_slowly_is_taken_up_once_and_whole(lab: ServiceLab, tmp_path: Path) -> None:
    for number in itertools.count():
        target = lab.inbox / f"slow{number}.mp4"
        if copy_slowly(write_mouse(tmp_path / target.name), target) < SETTLE_S / 2:
            break  # Else the machine was busy, and the copy stood still for so long that it may have been taken up.

    file = lab.wait_until_settled(target)[target]
    assert (file.state, file.attempt) == (Fate.FINISHED, 1)
    session = open_session(lab.store_of(target, file.run_id or "").final)
    assert session.sizes["frame"] == N_MOUSE
    with Catalogue(lab.catalogue_url) as catalogue:
        states = [step.state for step in catalogue.story(target)]
    assert states == [Fate.WAITING, Fate.QUEUED, Fate.RUNNING, Fate.RUNNING, Fate.FINISHED]


def test_renamed_and_nested_recordings_are_found_and_what_is_not_meant_is_left(lab: ServiceLab, tmp_path: Path) -> None:
    part = write_recording(tmp_path / "whole.mp4", 21)
    arriving = lab.inbox / "renamed.mp4.part"
    shutil.copy(part, arriving)
    (lab.inbox / "notes.txt").write_text("not a recording", "utf-8")
    nested = lab.inbox / "new folder" / "100% 'odd'" / "-nested name.mp4"
    nested.parent.mkdir(parents=True)
    write_recording(tmp_path / "nested.mp4", 22).rename(nested)
    renamed = arriving.rename(lab.inbox / "renamed.mp4")

    files = lab.wait_until_settled(renamed, nested)
    assert {file.state for file in files.values()} == {Fate.FINISHED}
    assert lab.file(arriving) is None
    assert lab.file(lab.inbox / "notes.txt") is None


def test_a_backfill_is_described_by_the_service(lab: ServiceLab, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    (archive / "2019").mkdir(parents=True)
    paths = [write_recording(archive / "2019" / f"old {number}.mp4", 31 + number) for number in range(3)]
    command = [sys.executable, "-m", "deployments.cli", "backfill", archive, "--json"]
    told = subprocess.run(command, cwd=lab.folder, check=True, capture_output=True, text=True).stdout
    assert json.loads(told)["n_open"] == 3

    assert {file.state for file in lab.wait_until_settled(*paths).values()} == {Fate.FINISHED}
    lab.wait_for(lambda: not list((lab.state_dir / "backlog").iterdir()), "the end of the backfill")


def test_a_bad_file_is_quarantined_harms_no_other_and_people_are_told(
    lab: ServiceLab, told: Receiver, tmp_path: Path
) -> None:
    bad = lab.inbox / "bad.mp4"
    bad.write_text("this is a text", "utf-8")
    good = lab.inbox / "good.mp4"
    write_recording(tmp_path / "good.mp4", 23).rename(good)

    files = lab.wait_until_settled(bad, good)
    assert files[bad].state is Fate.QUARANTINED
    assert "FFmpeg cannot read it" in files[bad].reason
    assert files[good].state is Fate.FINISHED

    body = lab.wait_for(lambda: next((body for _, _, body in told.asked if bad.name in body), None), "a message")
    assert "recording" in json.loads(body)["text"]
    assert f"{bad}: quarantined: bad.mp4: FFmpeg cannot read it as a video." in json.loads(body)["text"]
    assert {path for _, path, _ in told.asked} == {f"/{SECRET}"}

    this_run = {"flow_runs": {"name": {"any_": [bad.name]}}}
    (asked,) = lab.ask("flow_runs/filter", this_run)
    # As the button of the UI does it.
    lab.ask(f"flow_runs/{asked['id']}/set_state", {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}})

    def is_retried() -> bool:
        (found,) = lab.ask("flow_runs/filter", this_run)
        return bool(found["run_count"] == 2 and found["state"]["type"] == "FAILED")

    lab.wait_for(is_retried, "the retried run to end as before")

    write_recording(tmp_path / "whole.mp4", 24).replace(bad)
    lab.wait_for(lambda: (file := lab.file(bad)) and file.state is Fate.FINISHED, "the whole file in its place")


def test_secrets_are_kept_nowhere_and_who_does_not_know_the_password_is_not_let_in(lab: ServiceLab) -> None:
    secrets = (SECRET.encode(), PASSWORD.encode())
    files = [file for file in lab.folder.rglob("*") if file.is_file()]
    assert [file for file in files if any(secret in file.read_bytes() for secret in secrets)] == []
    assert any(file.suffix == ".db" for file in files)
    assert httpx.post(f"{lab.api_url}/deployments/filter", json={}).status_code == httpx.codes.UNAUTHORIZED
    assert lab.ask("deployments/filter", {})
    scheduler = json.loads((lab.state_dir / "ready" / "scheduler.json").read_text("utf-8"))
    assert scheduler["address"].startswith("tls://")


def test_the_nightly_deployment_gets_scheduled_runs(lab: ServiceLab) -> None:
    scheduled = {
        "flows": {"name": {"any_": ["tidy-stores"]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    assert lab.wait_for(lambda: lab.ask("flow_runs/filter", scheduled), "a run that cron scheduled")


def rename(prefect_yaml: str) -> str:
    """Name deployments such that they are beside the service's own."""
    return re.sub("- name: (inbox|tidy-stores|verify-stores)", r"- name: own-\1", prefect_yaml)


def test_prefect_yaml_is_deployed_twice_and_its_cron_gets_runs(lab: ServiceLab, tmp_path: Path) -> None:
    for name in ("prefect.yaml", "flows", "tasks", "facehog_core"):
        source = REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    before = {found["id"]: found for found in lab.ask("deployments/filter", {})}
    (tmp_path / "prefect.yaml").write_text(rename((tmp_path / "prefect.yaml").read_text("utf-8")), "utf-8")
    environment = {
        **os.environ,
        **describe_environment(tmp_path / "home", lab.api_url, f"lab:{PASSWORD}"),
        "PREFECT_API_URL": lab.api_url,
        "PWD": str(tmp_path),
    }

    def prefect(*words: str) -> None:
        command = [sys.executable, "-m", "prefect", "--no-prompt", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def deployed() -> dict[str, dict[str, Any]]:
        return {found["name"]: found for found in lab.ask("deployments/filter", {}) if found["id"] not in before}

    prefect("work-pool", "create", "--type", "process", "facehog")
    prefect("deploy", "--all")
    first = deployed()
    assert set(first) == {"own-inbox", "own-tidy-stores", "own-verify-stores"}
    assert first["own-inbox"]["entrypoint"] == "flows/process_recording.py:process_recording"

    written = subprocess.run(
        [sys.executable, "-m", "deployments.cli", "prefect"], cwd=lab.folder, capture_output=True, text=True, check=True
    ).stdout
    (tmp_path / "prefect.yaml").write_text(rename(written), "utf-8")
    prefect("deploy", "--all")
    second = deployed()
    assert {name: found["id"] for name, found in second.items()} == {name: found["id"] for name, found in first.items()}
    assert second["own-inbox"]["parameters"]["store"] == str(lab.folder / "store")
    by_deployment = {"deployments": {"id": {"any_": [second["own-tidy-stores"]["id"]]}}}
    assert lab.wait_for(lambda: lab.ask("flow_runs/filter", by_deployment), "a run that cron scheduled")


def test_everything_listens_on_loopback_alone(lab: ServiceLab) -> None:
    listening = [
        connection.laddr.ip
        for process in find_marked(str(lab.state_dir))
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) <= {"127.0.0.1", "::1"}


def test_status_tells_by_words_json_and_its_exit_status_that_all_is_well(lab: ServiceLab) -> None:
    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deployments.cli", "status", *words]
        return subprocess.run(command, cwd=lab.folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    told: dict[str, Any] = lab.wait_for(
        lambda: (found := json.loads(ask("--json").stdout))["is_well"] and found, "health"
    )
    assert [part["name"] for part in told["parts"]] == [
        "prefect-server",
        "dask-cluster",
        "runner",
        "sensor",
        "notifier",
    ]
    assert {part["condition"] for part in told["parts"]} == {"well"}
    assert told["parts"][1]["facts"] == {"workers": 2}
    assert told["parts"][3]["facts"]["last_look_s"] < PATIENCE_S
    human = ask()
    assert (human.returncode, human.stderr) == (0, "")
    assert "facehog is well" in human.stdout


def test_a_second_service_for_the_folder_is_refused_in_words(lab: ServiceLab) -> None:
    command = [sys.executable, "-m", "deployments.cli", "up"]
    second = subprocess.run(command, cwd=lab.folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert second.returncode == 1
    assert "is up already" in second.stderr


def test_after_kill_9_of_everything_a_run_goes_on_from_its_finished_chunks_and_stop_gives_it_back(
    lab: ServiceLab, tmp_path: Path
) -> None:
    target = write_mouse(tmp_path / "long.mp4", N_LONG).rename(lab.inbox / "long.mp4")

    def receipts() -> list[Path]:
        return list((lab.folder / "store" / "long").glob("*.partial/receipts/*.json"))

    lab.wait_for(receipts, "the first finished chunk")
    lab.kill_everything()
    kept = {path.stem for path in receipts()}
    (working,) = (lab.folder / "store" / "long").glob("*.partial/store.zarr")
    file = lab.file(target)
    assert file is not None
    assert file.state is Fate.RUNNING
    assert not list((lab.folder / "store" / "long").glob("*.zarr")), "half of a store never has the final name"
    written_ns = {path.relative_to(working): path.stat().st_mtime_ns for path in working.glob("descriptors/c/*/0")}
    assert len(written_ns) >= len(kept)

    # Lands while nobody looks.
    write_recording(tmp_path / "missed.mp4", 25).rename(lab.inbox / "missed.mp4")
    _start_detached(lab)
    files = lab.wait_until_settled(target, lab.inbox / "missed.mp4")

    assert {file.state for file in files.values()} == {Fate.FINISHED}
    final = lab.store_of(target, files[target].run_id or "").final
    session = open_session(final)
    assert session.sizes["frame"] == N_LONG * N_MOUSE
    assert not session.descriptors.isnull().any()
    lengths = session.attrs["plan"]["frames_per_shard"]
    for span in kept:
        shard = Path("descriptors") / "c" / str(int(span.split("-")[0]) // lengths) / "0"
        assert (final / shard).stat().st_mtime_ns == written_ns[shard], "a finished chunk is not redone"
    under_way = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}}
    lab.wait_for(lambda: not lab.ask("flow_runs/filter", under_way), "no run that Prefect believes in")

    again = write_mouse(tmp_path / "again.mp4", N_LONG)
    _check_that_stop_gives_back_what_runs_and_leaves_no_process(lab, again)


def _start_detached(lab: ServiceLab) -> None:
    """Start the service as one does whose terminal is about to be closed."""
    command = [sys.executable, "-m", "deployments.cli", "up", "--detach"]
    environment = {**os.environ, **lab.environment}
    done = subprocess.run(
        command, cwd=lab.folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout.startswith("facehog is up: ")) == (0, True), done
    for part in ("prefect-server", "dask-cluster", "runner", "sensor"):
        assert f"{part} is ready" in done.stderr, "what it waits for is said"
    # It is nobody's child any more.
    lab.process = None


def _check_that_stop_gives_back_what_runs_and_leaves_no_process(lab: ServiceLab, recording: Path) -> None:
    target = recording.rename(lab.inbox / recording.name)
    lab.wait_for(lambda: list((lab.folder / "store" / target.stem).glob("*.partial/receipts/*.json")), "a chunk")
    family = find_marked(str(lab.state_dir))
    assert len(family) >= 6, "server, scheduler, two workers, runner, sensor"
    command = [sys.executable, "-m", "deployments.cli", "stop"]
    done = subprocess.run(command, cwd=lab.folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.stdout.startswith("facehog has stopped"), done
    assert not ServicePaths(state_dir=lab.state_dir).is_up
    assert find_marked(str(lab.state_dir)) == []
    assert not any(process.is_running() for process in family)
    file = lab.file(target)
    assert file is not None
    assert (file.state, file.reason) == (Fate.WAITING, "facehog was stopped; goes on with what is not done yet")
    events = (lab.state_dir / "logs" / "up.log").read_text("utf-8").splitlines()
    assert json.loads(events[-1])["message"] == "has stopped"
